use std::{fs, process::ExitCode};

use anyhow::Context;
use clap::Args;
use contracts::{Gap, Older, Shape, gaps, schema_differences};
use schemas::SchemaEntry;
use serde_json::{Value, json};

use super::{print_gap, released};
use crate::{Usage, outln};

#[derive(Debug, Args)]
pub struct Diff {
    /// The older one: `user.created@1`, `v1.2.0:user.created@1` (of a commit), or a file
    older: String,
    /// The newer one, likewise
    newer: String,
    /// Print the differences as JSON
    #[arg(long)]
    json: bool,
}

impl Diff {
    pub async fn execute(self) -> anyhow::Result<ExitCode> {
        let (older, newer) = (read(&self.older).await?, read(&self.newer).await?);
        let differences = schema_differences(&older, &newer);
        let [old, new] = [(&self.older, &older), (&self.newer, &newer)].map(|(name, schema)| {
            Shape::read(schema).with_context(|| format!("{name} is not a schema that can be compared"))
        });
        let (old, new) = (old?, new?);
        let (backward, forward) = (gaps(&old, &new, Older::Writer), gaps(&new, &old, Older::Reader));
        if self.json {
            let told = json!({ "differences": differences, "backward": backward, "forward": forward });
            outln!("{}", serde_json::to_string_pretty(&told)?);
            return Ok(ExitCode::SUCCESS);
        }
        for difference in &differences {
            outln!("{difference}");
        }
        print("BACKWARD", &self.older, &self.newer, &backward)?;
        print("FORWARD", &self.newer, &self.older, &forward)?;
        eprintln!("{} differences; an upcaster may close gaps, which `waypost schema check` tries", differences.len());
        Ok(ExitCode::SUCCESS)
    }
}

fn print(direction: &str, writer: &str, reader: &str, gaps: &[Gap]) -> anyhow::Result<()> {
    if gaps.is_empty() {
        outln!("{direction}: readers of {reader} take everything that writers of {writer} send");
    }
    for gap in gaps {
        print_gap(&format!("{direction}: {writer} as sent, {reader} as read"), gap, &[])?;
    }
    Ok(())
}

async fn read(name: &str) -> anyhow::Result<Value> {
    if let Ok(text) = fs::read_to_string(name) {
        return serde_json::from_str(&text).with_context(|| format!("{name} is not JSON"));
    }
    let (commit, version) = match name.rsplit_once(':') {
        Some((commit, version)) => (Some(commit), version),
        None => (None, name),
    };
    let known = || version.rsplit_once('@').and_then(|(event, number)| Some((event, number.parse().ok()?)));
    let Some((event, number)) = known() else {
        let text = format!("`{name}` should be TYPE@VERSION, COMMIT:TYPE@VERSION, or a file that is there");
        return Err(Usage(text).into());
    };
    match (commit, SchemaEntry::find(event, number)) {
        (Some(commit), _) => released::at(commit, event, number).await,
        (None, Some(entry)) => Ok(entry.json_schema()),
        (None, None) => {
            Err(Usage(format!("there is no `{version}`; `waypost events list` tells what there is")).into())
        }
    }
}
