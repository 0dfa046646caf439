//! The mailer's keys: a folder of private ones, read at the start and again when a token needs one that wasn't there.

use std::{path::PathBuf, time::Duration};

use schemas::SealedToken;
use sealing::{Context, InvalidKey, KeyId, OpenError, OpeningKey, OpeningKeys, SealingKey};
use secrecy::SecretString;
use service::key_files::{KeyFile, KeyFolder, KeyFolderError};
use time::OffsetDateTime;
use tokio::{
    sync::Mutex,
    task::{JoinError, spawn_blocking},
    time::Instant,
};

/// The extensions of the files in the two folders.
pub const PRIVATE_KEY: &str = "key";
pub const PUBLIC_KEY: &str = "pub";

/// How long a private key is kept after another has taken its place. A link works for a day, and one that has expired is
/// dropped unopened: so it doesn't matter for how long queues, dead-letter queues and archives keep its event. The rest
/// of the time is for producers that still seal with the older key, and for tokens that are made to live longer.
pub const KEEP_SUPERSEDED: time::Duration = time::Duration::days(30);

/// Why keys could not be read. It names a path and never what is there.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error("the keys could not be read")]
    Folder(#[source] KeyFolderError),
    #[error("{} holds no key of the mailer", path.display())]
    Invalid { path: PathBuf, source: InvalidKey },
    #[error("there is no key in {}: `waypost keys mailer rotate` makes one", path.display())]
    None { path: PathBuf },
    #[error("reading the keys broke off")]
    BrokeOff(#[source] JoinError),
}

/// Makes a new pair, which seals from now on, and answers its id. The private key is there first, so that nothing is
/// sealed for a key that no mailer can have.
pub fn make_pair(private: &KeyFolder, public: &KeyFolder, made_at: OffsetDateTime) -> Result<KeyId, KeyFolderError> {
    let key = OpeningKey::generate();
    let sealing_key: SealingKey = key.sealing_key();
    let contents = key.text();
    let path = private.write_new(made_at, &contents)?;
    public.write_new(made_at, &sealing_key.text().into()).inspect_err(|_| {
        // Nothing will be sealed for it, and it must not be taken for the one that seals. If it stays, no harm is done.
        let _ = private.remove(&KeyFile { made_at, path, contents });
    })?;
    Ok(key.id())
}

/// The keys of a folder with when each was made, oldest first.
pub fn private_keys(folder: &KeyFolder) -> Result<Vec<(OffsetDateTime, OpeningKey)>, KeysError> {
    let files = folder.read().map_err(KeysError::Folder)?;
    let parse = |file: KeyFile| match OpeningKey::parse(&file.contents) {
        Ok(key) => Ok((file.made_at, key)),
        Err(source) => Err(KeysError::Invalid { path: file.path, source }),
    };
    files.into_iter().map(parse).collect()
}

pub(crate) struct Keys {
    folder: KeyFolder,
    held: Mutex<Held>,
}

struct Held {
    keys: OpeningKeys,
    read_at: Instant,
}

/// A key that is nowhere must not have the folder read for each token that needs it.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(3);

#[derive(Debug, thiserror::Error)]
pub(crate) enum NotOpened {
    #[error("the token could not be opened")]
    Token(#[from] OpenError),
    #[error("the token needs a key that wasn't there at the last look")]
    Keys(#[from] KeysError),
}

impl Keys {
    pub async fn read(folder: KeyFolder) -> Result<Self, KeysError> {
        let read_at = Instant::now();
        let keys = read(folder.clone()).await?;
        Ok(Self { folder, held: Mutex::new(Held { keys, read_at }) })
    }

    pub async fn open(&self, token: &SealedToken, context: &Context<'_>) -> Result<SecretString, NotOpened> {
        let mut held = self.held.lock().await;
        match held.keys.open(token, context) {
            Err(OpenError::UnknownKey(_)) if held.read_at.elapsed() >= READ_AGAIN_AFTER => {}
            opened => return Ok(opened?),
        }
        held.read_at = Instant::now();
        held.keys = read(self.folder.clone()).await?;
        Ok(held.keys.open(token, context)?)
    }
}

async fn read(folder: KeyFolder) -> Result<OpeningKeys, KeysError> {
    let path = folder.path().to_owned();
    let keys = spawn_blocking(move || private_keys(&folder)).await.map_err(KeysError::BrokeOff)??;
    if keys.is_empty() {
        return Err(KeysError::None { path });
    }
    Ok(keys.into_iter().map(|(_, key)| key).collect())
}
