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

#[cfg(test)]
mod tests {
    use schemas::Clock;
    use sealing::OpeningKey;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn tokens_are_sealed_with_the_newest_key_of_the_folder_within_a_minute() {
        let place = tempfile::tempdir().unwrap();
        let folder = KeyFolder::new(place.path(), EXTENSION);
        assert!(matches!(MailerKey::open(MailerKeySource::Folder(folder.clone())), Err(MailerKeyError::None(_))));
        let now = Clock::system().now();
        let [first, second] = [0, 1].map(|seconds| {
            let key = OpeningKey::generate().sealing_key();
            (now + time::Duration::seconds(seconds), key)
        });
        folder.write_new(first.0, &first.1.text().into()).unwrap();
        let mailer = MailerKey::open(MailerKeySource::Folder(folder.clone())).unwrap();
        assert_eq!(mailer.current().id(), first.1.id());
        let soft = CancellationToken::new();
        let keeping = tokio::spawn(mailer.clone().keep_fresh(soft.clone()));

        folder.write_new(second.0, &second.1.text().into()).unwrap();
        let within = tokio::time::Instant::now() + READ_AGAIN_EVERY * 2;
        while mailer.current().id() != second.1.id() && tokio::time::Instant::now() < within {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(mailer.current().id(), second.1.id());
        soft.cancel();
        keeping.await.unwrap().unwrap();
    }
}
