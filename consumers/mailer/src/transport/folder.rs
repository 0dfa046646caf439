//! A folder in the place of a mail server, for development: what would have been sent, a file for each mail.
//!
//! A file is called after its event, `019ab6a1-3c00-7000-8000-00000000a11c.eml`, so names sort by time. An event that is
//! mailed twice has two files, as its reader would have two mails: `….2.eml` is the second.

use std::{
    fs::{self, DirBuilder},
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;
use tokio::task::{JoinError, spawn_blocking};
use uuid::Uuid;

#[derive(Debug, Clone)]
pub struct MailFolder {
    path: PathBuf,
}

/// One mail that was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WrittenMail {
    /// The inbox key of its event.
    pub key: Uuid,
    /// 1, or more where the event was mailed before.
    pub copy: u32,
    pub path: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("a mail could not be written to {}", path.display())]
    Unwritable { path: PathBuf, source: io::Error },
    #[error("writing a mail broke off")]
    BrokeOff(#[source] JoinError),
}

const EXTENSION: &str = "eml";

impl MailFolder {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) async fn add(&self, key: Uuid, mail: Vec<u8>) -> Result<(), FolderError> {
        self.write(move |folder| folder.add_now(key, &mail)).await
    }

    /// Whether something could be written; nothing stays.
    pub(crate) async fn probe(&self) -> Result<(), FolderError> {
        self.write(|folder| folder.temporary().map(drop)).await
    }

    async fn write(&self, write: impl FnOnce(&Self) -> io::Result<()> + Send + 'static) -> Result<(), FolderError> {
        let folder = self.clone();
        let written = spawn_blocking(move || write(&folder)).await.map_err(FolderError::BrokeOff)?;
        written.map_err(|source| FolderError::Unwritable { path: self.path.clone(), source })
    }

    /// It appears whole, under a name that nothing else had: so nothing is overwritten, whoever writes beside it.
    fn add_now(&self, key: Uuid, mail: &[u8]) -> io::Result<()> {
        let mut file = self.temporary()?;
        file.write_all(mail)?;
        for copy in 1.. {
            match file.persist_noclobber(self.path_of(key, copy)) {
                Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => file = error.file,
                persisted => return persisted.map(drop).map_err(|error| error.error),
            }
        }
        unreachable!("a mail is written before numbers run out")
    }

    /// Only this user may read it: it holds a link that lets its reader in.
    fn temporary(&self) -> io::Result<NamedTempFile> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.path)?;
        NamedTempFile::new_in(&self.path)
    }

    fn path_of(&self, key: Uuid, copy: u32) -> PathBuf {
        match copy {
            1 => self.path.join(format!("{key}.{EXTENSION}")),
            copy => self.path.join(format!("{key}.{copy}.{EXTENSION}")),
        }
    }

    /// What was written so far, oldest first. A folder that isn't there holds nothing; what else lies there is passed over.
    pub fn read(&self) -> io::Result<Vec<WrittenMail>> {
        let entries = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut mails = Vec::new();
        for entry in entries {
            mails.extend(written(entry?.path()));
        }
        mails.sort();
        Ok(mails)
    }
}

fn written(path: PathBuf) -> Option<WrittenMail> {
    let name = path.file_name()?.to_str()?.strip_suffix(EXTENSION)?.strip_suffix('.')?;
    let (key, copy) = match name.split_once('.') {
        None => (name, 1),
        Some((key, copy)) => (key, copy.parse().ok()?),
    };
    Some(WrittenMail { key: key.parse().ok()?, copy, path })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn key(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    #[tokio::test]
    async fn a_mail_that_is_written_twice_is_there_twice() {
        let place = tempfile::tempdir().unwrap();
        let folder = MailFolder::new(place.path().join("mails"));
        assert!(folder.read().unwrap().is_empty(), "a folder that isn't there");
        for (number, text) in [(2, "later"), (1, "first"), (1, "again"), (1, "and again")] {
            folder.add(key(number), text.as_bytes().to_vec()).await.unwrap();
        }
        for other in ["notes.txt", "note.eml", ".eml", "00000000-0000-0000-0000-000000000001.x.eml"] {
            fs::write(folder.path().join(other), "x").unwrap();
        }
        let mails = folder.read().unwrap();
        let copies: Vec<_> = mails.iter().map(|mail| (mail.key, mail.copy)).collect();
        assert_eq!(copies, [(key(1), 1), (key(1), 2), (key(1), 3), (key(2), 1)]);
        let texts: Vec<_> = mails.iter().map(|mail| fs::read_to_string(&mail.path).unwrap()).collect();
        assert_eq!(texts, ["first", "again", "and again", "later"]);
    }

    #[tokio::test]
    async fn only_its_owner_may_read_a_mail_and_a_probe_leaves_nothing() {
        let place = tempfile::tempdir().unwrap();
        let folder = MailFolder::new(place.path().join("mails"));
        folder.probe().await.unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        folder.add(key(1), b"text".to_vec()).await.unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(folder.path()), mode(&folder.read().unwrap()[0].path)), (0o700, 0o600));
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_written_to_is_named() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("file");
        fs::write(&file, "").unwrap();
        let folder = MailFolder::new(&file);
        let error = folder.probe().await.unwrap_err();
        assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
        assert!(folder.add(key(1), Vec::new()).await.is_err());
    }
}
