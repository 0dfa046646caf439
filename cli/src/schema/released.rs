//! The schemas that were released: golden files of a folder, or of a commit.

use std::{fs, io, path::Path};

use anyhow::{Context, bail};
use contracts::Published;
use serde_json::Value;
use tokio::process::Command;

use crate::Usage;

/// Where the golden files are, from the top of the repository.
const GOLDEN: &str = "schemas/golden";

/// A folder of `<type>/v<version>.json`, or whatever git knows by that name.
pub async fn released(place: &str) -> anyhow::Result<Published> {
    let folder = Path::new(place);
    let files = if folder.is_dir() { in_folder(folder)? } else { at_commit(place).await? };
    let mut published = Published::new();
    for (path, text) in files {
        let (event, version) = named(&path).with_context(|| format!("{path} is not called <type>/v<version>.json"))?;
        let schema: Value = serde_json::from_str(&text).with_context(|| format!("{path} is not JSON"))?;
        published.insert((event, version), schema);
    }
    if published.is_empty() {
        bail!("nothing to compare with: {place} holds no <type>/v<version>.json");
    }
    Ok(published)
}

/// One file of a commit.
pub async fn at(commit: &str, event: &str, version: u32) -> anyhow::Result<Value> {
    let path = format!("{GOLDEN}/{event}/v{version}.json");
    let text = git(&["show", &format!("{commit}:{path}")]).await?;
    serde_json::from_str(&text).with_context(|| format!("{path} of {commit} is not JSON"))
}

fn in_folder(folder: &Path) -> anyhow::Result<Vec<(String, String)>> {
    // The top of a repository will do as well.
    let golden = folder.join(GOLDEN);
    let folder = if golden.is_dir() { &golden } else { folder };
    let mut files = Vec::new();
    for event in entries(folder)?.iter().filter(|name| folder.join(name).is_dir()) {
        // A file that is called otherwise would be left out in silence; its name is refused with the rest.
        for file in entries(&folder.join(event))? {
            let path = folder.join(event).join(&file);
            let text = fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
            files.push((format!("{event}/{file}"), text));
        }
    }
    Ok(files)
}

fn entries(folder: &Path) -> anyhow::Result<Vec<String>> {
    let names = fs::read_dir(folder).and_then(|entries| {
        entries
            .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
            .collect::<io::Result<_>>()
    });
    names.with_context(|| format!("could not read {}", folder.display()))
}

async fn at_commit(commit: &str) -> anyhow::Result<Vec<(String, String)>> {
    if commit.starts_with('-')
        || git(&["rev-parse", "--verify", "--quiet", &format!("{commit}^{{commit}}")]).await.is_err()
    {
        let text =
            format!("--against is `{commit}`, should be a folder of golden schemas or a commit that git knows here");
        return Err(Usage(text).into());
    }
    let listed = git(&["ls-tree", "-r", "--name-only", "--full-tree", commit, "--", GOLDEN]).await?;
    let mut files = Vec::new();
    for path in listed.lines() {
        let text = git(&["show", &format!("{commit}:{path}")]).await?;
        files.push((path.trim_start_matches(GOLDEN).trim_start_matches('/').to_owned(), text));
    }
    Ok(files)
}

async fn git(arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("git").args(arguments).output().await.context("could not run git")?;
    if !output.status.success() {
        bail!("git {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("git {} answered no text", arguments.join(" ")))
}

/// `user.created/v2.json`.
fn named(path: &str) -> Option<(String, u32)> {
    let (event, file) = path.rsplit_once('/')?;
    let version = file.strip_prefix('v')?.strip_suffix(".json")?;
    Some((event.to_owned(), version.parse().ok()?))
}
