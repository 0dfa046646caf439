//! The keys that access tokens are signed with, and when each of them does what.
//!
//! Which key signs follows from when each was made, and from nothing else: all instances see the same files, so all agree
//! without talking. A new key is published first, for as long as whoever checks tokens may have kept the set from before
//! it; then it signs; and once the next one does, it stays published until the last token that it signed has ended.
//!
//! Rotation is the making of a file. A running service does it by schedule where it may write the folder, `waypost keys
//! auth rotate` does it at any time, and every instance reads the folder again every minute.

mod schedule;
mod source;

use std::{convert::Infallible, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use schemas::Clock;
use service::{ErrorChain, access_token::SigningKey};
use time::OffsetDateTime;
use tokio::{task::spawn_blocking, time::interval};
use tokio_util::sync::CancellationToken;

pub use schedule::{ACCESS_TOKEN_LIFE, KeyState, PUBLISHED_AHEAD, Published, SET_MAX_AGE, dated_states};
pub use source::{DatedKey, EXTENSION as KEY_EXTENSION, KeysError, SigningKeySource};

use schedule::Ring;

/// The keys there are. Clones share them.
#[derive(Debug, Clone)]
pub struct SigningKeys {
    ring: Arc<ArcSwap<Ring>>,
    source: SigningKeySource,
}

const READ_AGAIN_EVERY: Duration = Duration::from_secs(60);

/// How old the newest key gets before another is made.
pub const ROTATE_AFTER: time::Duration = time::Duration::days(30);

impl SigningKeys {
    /// Reads them; where there are none and the source allows it, makes the first.
    pub fn open(source: SigningKeySource, now: OffsetDateTime) -> Result<Self, KeysError> {
        let ring = Ring::of(source.read_or_make(now)?)?;
        Ok(Self { ring: Arc::new(ArcSwap::from_pointee(ring)), source })
    }

    /// The key to sign with.
    pub fn active(&self, now: OffsetDateTime) -> SigningKey {
        self.ring.load().active(now).clone()
    }

    /// What is published, and what tokens are checked with.
    pub fn published(&self, now: OffsetDateTime) -> Arc<Published> {
        self.ring.load().published(now)
    }

    /// Reads the source again, after making a key where the newest has grown old.
    pub fn refresh(&self, now: OffsetDateTime) -> Result<(), KeysError> {
        let newest = self.ring.load().newest();
        if self.source.may_make_keys() && newest + ROTATE_AFTER <= now {
            match self.source.make(now) {
                Ok(made) => tracing::info!(kid = made.key.id(), "a signing key was made; it signs once it is known"),
                // Another instance was faster, and its key does.
                Err(error) if error.is_already_made() => {}
                Err(error) => return Err(error),
            }
        }
        let ring = Ring::of(self.source.read()?)?;
        self.ring.store(Arc::new(ring));
        Ok(())
    }

    /// Reads the source every minute, until `soft`. One that can't be read leaves the keys as they were.
    pub async fn keep_fresh(self, clock: Clock, soft: CancellationToken) -> Result<(), Infallible> {
        let mut ticks = interval(READ_AGAIN_EVERY);
        while soft.run_until_cancelled(ticks.tick()).await.is_some() {
            let (keys, now) = (self.clone(), clock.now());
            match spawn_blocking(move || keys.refresh(now)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(error = %ErrorChain(&error), "the signing keys can't be read again; those from before stay");
                }
                Err(error) => tracing::error!(%error, "reading the signing keys broke off"),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use service::key_files::KeyFolder;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_key_that_is_added_is_known_within_a_minute_and_a_broken_one_changes_nothing() {
        let place = tempfile::tempdir().unwrap();
        let folder = KeyFolder::new(place.path(), KEY_EXTENSION);
        let source = SigningKeySource::Folder { folder, makes_first: true, rotates: false };
        let now = Clock::system().now();
        let keys = SigningKeys::open(source.clone(), now).unwrap();
        let soft = CancellationToken::new();
        let keeping = tokio::spawn(keys.clone().keep_fresh(Clock::system(), soft.clone()));
        let known = || keys.published(now).set.len();

        source.make(now + time::Duration::seconds(1)).unwrap();
        let within = tokio::time::Instant::now() + READ_AGAIN_EVERY * 2;
        while known() < 2 && tokio::time::Instant::now() < within {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(known(), 2);
        std::fs::write(place.path().join("20260101T000000Z.pem"), "hunter2").unwrap();
        tokio::time::sleep(READ_AGAIN_EVERY * 2).await;
        assert_eq!(known(), 2);
        soft.cancel();
        keeping.await.unwrap().unwrap();
    }
}
