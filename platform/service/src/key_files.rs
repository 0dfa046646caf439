//! Folders of key files, each named by when it was made: `20261126T061500Z.key`.
//!
//! The name is the order: which key is used and which are only kept follows from it, and no index has to agree with what
//! is there. Several processes share a folder and none of them locks it. A file appears whole or not at all, under a
//! name that nobody had before, and never changes: so a reader sees no half of a key, and of two processes that make the
//! key of one second one is told that it came second.
//!
//! What is in a file is its caller's business. A folder that a Secret of Kubernetes is mounted at is read like any other.

use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, File},
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret, SecretString};
use tempfile::NamedTempFile;
use time::{OffsetDateTime, PrimitiveDateTime, UtcOffset, format_description::StaticFormatDescription, macros};

/// Its keys are the files of one extension; whatever else lies there is passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFolder {
    path: PathBuf,
    extension: &'static str,
}

#[derive(Debug, Clone)]
pub struct KeyFile {
    /// To the second, in UTC: it is the file's name.
    pub made_at: OffsetDateTime,
    pub path: PathBuf,
    /// Without white space at its end, which editors and shells add.
    pub contents: SecretString,
}

#[derive(Debug, thiserror::Error)]
pub enum KeyFolderError {
    #[error("{} could not be read", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error(
        "{} is not named by when its key was made, should be such as 20261126T061500Z.{extension}",
        path.display()
    )]
    NotATime { path: PathBuf, extension: &'static str },
    /// Somebody else made a key in the same second: nothing was written.
    #[error("{} exists already", path.display())]
    AlreadyExists { path: PathBuf },
    #[error("{} could not be written", path.display())]
    Unwritable { path: PathBuf, source: io::Error },
    #[error("{} could not be removed", path.display())]
    Unremovable { path: PathBuf, source: io::Error },
}

const NAME: StaticFormatDescription = macros::format_description!("[year][month][day]T[hour][minute][second]Z");

impl KeyFolder {
    /// `extension` is without its dot.
    pub fn new(path: impl Into<PathBuf>, extension: &'static str) -> Self {
        Self { path: path.into(), extension }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its keys, oldest first. A folder that isn't there has none.
    pub fn read(&self) -> Result<Vec<KeyFile>, KeyFolderError> {
        let unreadable = |source| KeyFolderError::Unreadable { path: self.path.clone(), source };
        let entries = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(unreadable)?,
        };
        let mut keys = Vec::new();
        for entry in entries {
            let path = entry.map_err(unreadable)?.path();
            if path.extension() == Some(OsStr::new(self.extension)) {
                keys.extend(self.read_file(path)?);
            }
        }
        keys.sort_by_key(|key| key.made_at);
        Ok(keys)
    }

    fn read_file(&self, path: PathBuf) -> Result<Option<KeyFile>, KeyFolderError> {
        let Some(made_at) = path.file_stem().and_then(OsStr::to_str).and_then(time_of) else {
            return Err(KeyFolderError::NotATime { path, extension: self.extension });
        };
        match fs::read_to_string(&path) {
            Ok(mut contents) => {
                contents.truncate(contents.trim_end().len());
                Ok(Some(KeyFile { made_at, path, contents: contents.into() }))
            }
            // It was removed since the folder was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(KeyFolderError::Unreadable { path, source }),
        }
    }

    /// Adds a key that only this user may read, and makes the folder, likewise, where it isn't there. It is on the disk
    /// when this returns, since what is sealed or signed with it from now on must not outlive it.
    pub fn write_new(&self, made_at: OffsetDateTime, contents: &SecretString) -> Result<PathBuf, KeyFolderError> {
        let path = self.path_of(made_at);
        let unwritable = |source| KeyFolderError::Unwritable { path: path.clone(), source };
        let file = self.write_temporary(contents).map_err(unwritable)?;
        file.persist_noclobber(&path).map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => KeyFolderError::AlreadyExists { path: path.clone() },
            _ => unwritable(error.error),
        })?;
        File::open(&self.path).and_then(|folder| folder.sync_all()).map_err(unwritable)?;
        Ok(path)
    }

    /// Where the key of that second is, or would be.
    pub fn path_of(&self, made_at: OffsetDateTime) -> PathBuf {
        let name = made_at.to_offset(UtcOffset::UTC).format(NAME).expect("a time has all that its name needs");
        self.path.join(format!("{name}.{}", self.extension))
    }

    fn write_temporary(&self, contents: &SecretString) -> io::Result<NamedTempFile> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.path)?;
        // Made with mode 0600, under a name that no reader of keys takes for one.
        let mut file = NamedTempFile::new_in(&self.path)?;
        file.write_all(contents.expose_secret().as_bytes())?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        Ok(file)
    }

    /// One that is gone already is no error: somebody else removed it.
    pub fn remove(&self, key: &KeyFile) -> Result<(), KeyFolderError> {
        match fs::remove_file(&key.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(KeyFolderError::Unremovable { path: key.path.clone(), source: error })
            }
            _ => Ok(()),
        }
    }
}

/// One moment has one name, so what parses also has to be what would be written.
fn time_of(name: &str) -> Option<OffsetDateTime> {
    let time = PrimitiveDateTime::parse(name, NAME).ok()?.assume_utc();
    (time.format(NAME).ok()? == name).then_some(time)
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::fs::{PermissionsExt, symlink},
        sync::Barrier,
        thread,
    };

    use super::*;

    const NOON: OffsetDateTime = macros::datetime!(2026-11-26 12:00:00.9 UTC);

    fn folder() -> (tempfile::TempDir, KeyFolder) {
        let place = tempfile::tempdir().unwrap();
        let folder = KeyFolder::new(place.path().join("deep/keys"), "key");
        (place, folder)
    }

    fn texts(keys: &[KeyFile]) -> Vec<&str> {
        keys.iter().map(|key| key.contents.expose_secret()).collect()
    }

    #[test]
    fn keys_are_read_oldest_first_as_they_were_written() {
        let (_place, folder) = folder();
        assert!(folder.read().unwrap().is_empty(), "a folder that isn't there");
        let ahead = NOON.to_offset(macros::offset!(+2));
        folder.write_new(NOON, &"second".into()).unwrap();
        folder.write_new(NOON - time::Duration::DAY, &"first\n \n".into()).unwrap();
        let path = folder.write_new(ahead + time::Duration::SECOND, &"third\nof two lines".into()).unwrap();
        assert_eq!(path.file_name().unwrap(), "20261126T120001Z.key");
        let keys = folder.read().unwrap();
        assert_eq!(texts(&keys), ["first", "second", "third\nof two lines"]);
        assert_eq!(keys[1].made_at, macros::datetime!(2026-11-26 12:00 UTC));
        assert_eq!(keys[2].path, path);
    }

    #[test]
    fn files_of_other_kinds_are_passed_over_and_a_name_that_is_no_time_is_an_error() {
        let (_place, folder) = folder();
        let key = folder.write_new(NOON, &"k".into()).unwrap();
        for name in ["README", "20261126T120000Z.pub", ".key", "20261126T120000Z", "20261126T120000Z.key.bak"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        // As the files of a Secret are mounted.
        symlink(&key, folder.path().join("20261125T120000Z.key")).unwrap();
        assert_eq!(texts(&folder.read().unwrap()), ["k", "k"]);
        for name in
            ["old", "20261126", "20261126T120060Z", "20261326T120000Z", "+20261126T120000Z", "20261126T120000", "Ä"]
        {
            let wrong = folder.path().join(format!("{name}.key"));
            fs::write(&wrong, "planted").unwrap();
            let error = folder.read().unwrap_err();
            assert!(matches!(&error, KeyFolderError::NotATime { path, .. } if *path == wrong), "{name}: {error:?}");
            assert!(error.to_string().contains("should be such as 20261126T061500Z.key"), "{error}");
            fs::remove_file(wrong).unwrap();
        }
    }

    #[test]
    fn only_its_owner_may_read_a_key() {
        let (_place, folder) = folder();
        let path = folder.write_new(NOON, &"k".into()).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(folder.path())), (0o600, 0o700));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing temporary is left");
    }

    #[test]
    fn of_those_who_make_the_key_of_one_second_one_makes_it_and_the_others_are_told() {
        let (_place, folder) = folder();
        let start = Barrier::new(8);
        let made: Vec<_> = thread::scope(|scope| {
            let race = |number: usize| {
                let (folder, start) = (&folder, &start);
                scope.spawn(move || {
                    start.wait();
                    folder.write_new(NOON, &format!("key {number}").into()).map(|_| number)
                })
            };
            let racers: Vec<_> = (0..8).map(race).collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect()
        });
        let winners: Vec<_> = made.iter().filter_map(|made| made.as_ref().ok()).collect();
        assert_eq!(winners.len(), 1, "{made:?}");
        let lost = made.iter().filter_map(|made| made.as_ref().err());
        assert!(lost.into_iter().all(|error| matches!(error, KeyFolderError::AlreadyExists { .. })), "{made:?}");
        assert_eq!(texts(&folder.read().unwrap()), [format!("key {}", winners[0])]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing temporary is left");
    }

    #[test]
    fn a_key_is_removed_once_and_removing_it_again_does_no_harm() {
        let (_place, folder) = folder();
        folder.write_new(NOON, &"k".into()).unwrap();
        let keys = folder.read().unwrap();
        folder.remove(&keys[0]).unwrap();
        assert!(folder.read().unwrap().is_empty());
        folder.remove(&keys[0]).unwrap();
    }

    #[test]
    fn errors_name_the_path_and_never_what_is_in_it() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("file");
        fs::write(&file, "planted").unwrap();
        let folder = KeyFolder::new(&file, "key");
        let errors = [folder.read().unwrap_err(), folder.write_new(NOON, &"planted".into()).unwrap_err()];
        assert!(matches!(errors, [KeyFolderError::Unreadable { .. }, KeyFolderError::Unwritable { .. }]), "{errors:?}");
        let binary = KeyFolder::new(place.path(), "key");
        fs::write(binary.path_of(NOON), b"planted\xff").unwrap();
        for error in errors.into_iter().chain([binary.read().unwrap_err()]) {
            let text = format!("{error} {error:?}");
            assert!(error.to_string().contains(file.parent().unwrap().to_str().unwrap()), "{text}");
            assert!(!text.contains("planted"), "{text}");
        }
        assert!(
            !format!("{:?}", KeyFile { made_at: NOON, path: file, contents: "planted".into() }).contains("planted")
        );
    }
}
