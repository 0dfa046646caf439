//! The catalog's folder on disk.
//!
//! Whatever is in it belongs to the catalog, so that nothing stale stays. So a folder that holds anything is written to
//! only where its overview says that it is a catalog.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context;
use contracts::{Change, FileDifference, Files, MARK, OVERVIEW};

use crate::Usage;

const NAME: &str = "event-catalog";

/// What says that a folder is the top of the sources, where a first catalog goes.
const ROOT_MARK: &str = "Cargo.lock";

pub struct Folder(PathBuf);

impl Folder {
    /// One that is there.
    pub fn to_read(named: Option<PathBuf>) -> anyhow::Result<Self> {
        let path = match named {
            Some(path) => path,
            None => found_above(|folder| folder.join(NAME).is_dir())?.join(NAME),
        };
        if path.is_dir() {
            return Ok(Self(path));
        }
        Err(Usage(format!("{} is no folder: --dir should name the catalog's", path.display())).into())
    }

    /// One that is there and is a catalog or empty, or one that is yet to be made.
    pub fn to_write(named: Option<PathBuf>) -> anyhow::Result<Self> {
        let path = match named {
            Some(path) => path,
            None => found_above(|folder| folder.join(NAME).is_dir() || folder.join(ROOT_MARK).is_file())?.join(NAME),
        };
        let is_catalog = || fs::read_to_string(path.join(OVERVIEW)).is_ok_and(|text| text.contains(MARK));
        let is_empty = || fs::read_dir(&path).is_ok_and(|mut entries| entries.next().is_none());
        if !path.exists() || is_empty() || is_catalog() {
            return Ok(Self(path));
        }
        let what = format!(
            "{} is no catalog, and what is in it would be removed: --dir should name a catalog, an empty folder, or one \
             that is not there yet",
            path.display()
        );
        Err(Usage(what).into())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Every file, at any depth. Links are not followed, and what is no text is read as empty: neither is a catalog's.
    pub fn read(&self) -> anyhow::Result<Files> {
        let mut files = Files::new();
        if self.0.is_dir() {
            self.read_into(&mut files, "")?;
        }
        Ok(files)
    }

    fn read_into(&self, files: &mut Files, within: &str) -> anyhow::Result<()> {
        let folder = self.0.join(within);
        let entries = fs::read_dir(&folder).with_context(|| format!("could not read {}", folder.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("could not read {}", folder.display()))?;
            let name = entry.file_name();
            let name = name.to_str().with_context(|| format!("{} has no name in UTF-8", entry.path().display()))?;
            let path = if within.is_empty() { name.to_owned() } else { format!("{within}/{name}") };
            if entry.file_type()?.is_dir() {
                self.read_into(files, &path)?;
            } else {
                let text = if entry.file_type()?.is_file() { fs::read(entry.path())? } else { Vec::new() };
                files.insert(path, String::from_utf8(text).unwrap_or_default());
            }
        }
        Ok(())
    }

    /// Makes what differs as it is expected.
    pub fn write(&self, expected: &Files, differences: &[FileDifference]) -> anyhow::Result<()> {
        for FileDifference { path, change } in differences {
            let file = self.0.join(path);
            let done = match change {
                Change::Extra => self.remove(&file),
                Change::Missing | Change::Stale { .. } => put(&file, &expected[path]),
            };
            done.with_context(|| format!("could not write {}", file.display()))?;
        }
        Ok(())
    }

    /// A file, and the folders that are empty without it.
    fn remove(&self, file: &Path) -> io::Result<()> {
        fs::remove_file(file)?;
        let within = file.ancestors().skip(1).take_while(|folder| *folder != self.0);
        for folder in within {
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
        Ok(())
    }
}

fn put(file: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    // What stands there as a link would be written through.
    if file.symlink_metadata().is_ok_and(|found| found.is_symlink()) {
        fs::remove_file(file)?;
    }
    fs::write(file, text)
}

fn found_above(is_it: impl Fn(&Path) -> bool) -> anyhow::Result<PathBuf> {
    let here = env::current_dir().context("could not tell the current folder")?;
    let found = here.ancestors().find(|folder| is_it(folder)).map(Path::to_owned);
    found.ok_or_else(|| {
        Usage(format!("there is no folder `{NAME}` in {} or above it: --dir should name one", here.display())).into()
    })
}
