use std::{
    convert::Infallible,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use sealing::{InvalidKey, SealingKey};
use secrecy::ExposeSecret;
use service::{
    ErrorChain,
    key_files::{KeyFolder, KeyFolderError},
};
use tokio::{task::spawn_blocking, time::interval};
use tokio_util::sync::CancellationToken;

/// Where the mailer's public key comes from.
#[derive(Debug, Clone)]
pub enum MailerKeySource {
    /// The newest of a folder.
    Folder(KeyFolder),
    Fixed(SealingKey),
}

/// The key that tokens are sealed with for the mailer. Clones share it.
#[derive(Debug, Clone)]
pub struct MailerKey {
    key: Arc<RwLock<SealingKey>>,
    source: MailerKeySource,
}

#[derive(Debug, thiserror::Error)]
pub enum MailerKeyError {
    #[error("the mailer has no public key in {0}: `waypost keys mailer rotate` makes one")]
    None(String),
    #[error("the folder of the mailer's public keys can't be used")]
    Folder(#[from] KeyFolderError),
    #[error("{file} holds something that is not shown")]
    Key { file: String, source: InvalidKey },
}

/// The extension of a public key's file.
pub const EXTENSION: &str = "pub";

const READ_AGAIN_EVERY: Duration = Duration::from_secs(60);

impl MailerKeySource {
    fn read(&self) -> Result<SealingKey, MailerKeyError> {
        let folder = match self {
            Self::Fixed(key) => return Ok(key.clone()),
            Self::Folder(folder) => folder,
        };
        let newest = folder.read()?.pop().ok_or_else(|| MailerKeyError::None(folder.path().display().to_string()))?;
        SealingKey::parse(newest.contents.expose_secret())
            .map_err(|source| MailerKeyError::Key { file: newest.path.display().to_string(), source })
    }
}

impl MailerKey {
    pub fn open(source: MailerKeySource) -> Result<Self, MailerKeyError> {
        Ok(Self { key: Arc::new(RwLock::new(source.read()?)), source })
    }

    pub(crate) fn current(&self) -> SealingKey {
        self.key.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the source every minute, until `soft`. One that can't be read leaves the key as it was.
    pub async fn keep_fresh(self, soft: CancellationToken) -> Result<(), Infallible> {
        let mut ticks = interval(READ_AGAIN_EVERY);
        while soft.run_until_cancelled(ticks.tick()).await.is_some() {
            let source = self.source.clone();
            match spawn_blocking(move || source.read()).await {
                Ok(Ok(key)) => *self.key.write().unwrap_or_else(PoisonError::into_inner) = key,
                Ok(Err(error)) => {
                    tracing::warn!(error = %ErrorChain(&error), "the mailer's key can't be read again; that from before stays");
                }
                Err(error) => tracing::error!(%error, "reading the mailer's key broke off"),
            }
        }
        Ok(())
    }
}
