//! Hashing passwords without letting it take the machine.
//!
//! Argon2id with OWASP's parameters takes some 30 ms of one core and 19 MiB, which makes it the ceiling of this
//! service. So there is a permit for each core and a short queue for them; beyond that the answer is "busy" at once,
//! because a client that waits longer gives up and tries again.

use std::{num::NonZero, sync::Arc, thread::available_parallelism, time::Duration};

use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, Version};
use metrics::{counter, histogram};
use secrecy::SecretString;
use service::settings::{Env, SettingErrors, all};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
    time::{Instant, timeout},
};

use crate::Password;

#[derive(Debug, Clone, Copy)]
pub struct HashLimits {
    /// Hashes computed at the same time.
    pub concurrency: usize,
    /// How many may wait for their turn.
    pub queue: usize,
    /// How long one may wait.
    pub wait: Duration,
}

impl Default for HashLimits {
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, NonZero::get);
        Self { concurrency: cores, queue: 64, wait: Duration::from_secs(1) }
    }
}

impl HashLimits {
    /// `AUTH_HASH_CONCURRENCY` (one for each core), `AUTH_HASH_QUEUE` (64), `AUTH_HASH_WAIT_MS` (1000).
    pub fn from_env(env: &Env) -> Result<Self, SettingErrors> {
        let default = Self::default();
        let (concurrency, queue, wait) = all((
            env.number_or("AUTH_HASH_CONCURRENCY", default.concurrency, 1..=1_024),
            env.number_or("AUTH_HASH_QUEUE", default.queue, 0..=10_000),
            env.millis_or("AUTH_HASH_WAIT_MS", default.wait, 0..=60_000),
        ))?;
        Ok(Self { concurrency, queue, wait })
    }
}

#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// Too many at once. Trying again later helps.
    #[error("too many passwords to hash at once")]
    Busy,
    #[error("a password could not be hashed")]
    Failed(#[source] argon2::password_hash::Error),
    #[error("hashing a password broke off")]
    BrokeOff(#[source] tokio::task::JoinError),
}

const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const PARAMS: Params = match Params::new(MEMORY_KIB, PASSES, LANES, None) {
    Ok(params) => params,
    Err(_) => panic!("the parameters should be valid"),
};

/// Hashes passwords, a few at a time. Cheap to clone; the clones share the limits.
#[derive(Clone)]
pub struct PasswordHasher {
    argon2: Argon2<'static>,
    turns: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    wait: Duration,
}

impl PasswordHasher {
    pub fn new(limits: HashLimits) -> Self {
        Self {
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, PARAMS),
            turns: Arc::new(Semaphore::new(limits.concurrency)),
            queue: Arc::new(Semaphore::new(limits.queue)),
            wait: limits.wait,
        }
    }

    /// The hash as a PHC string with a salt of its own.
    pub(crate) async fn hash(&self, password: Password) -> Result<SecretString, HashError> {
        let turn = self.turn().await.inspect_err(|_| counter!("password_hashes_refused_total").increment(1))?;
        let argon2 = self.argon2.clone();
        let computed = spawn_blocking(move || {
            // The permit goes along: a client that hangs up frees no core while its hash is still computed.
            let _turn = turn;
            let began = Instant::now();
            let hash = argon2.hash_password(password.as_bytes()).map(|hash| SecretString::from(hash.to_string()));
            histogram!("password_hash_seconds").record(began.elapsed());
            hash
        });
        computed.await.map_err(HashError::BrokeOff)?.map_err(HashError::Failed)
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, HashError> {
        let turns = Arc::clone(&self.turns);
        if let Ok(turn) = Arc::clone(&turns).try_acquire_owned() {
            return Ok(turn);
        }
        let _place = self.queue.try_acquire().map_err(|_| HashError::Busy)?;
        match timeout(self.wait, turns.acquire_owned()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(HashError::Busy),
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn password() -> Password {
        Password::parse(&SecretString::from("correct horse battery"), None).unwrap()
    }

    fn hasher(queue: usize) -> PasswordHasher {
        PasswordHasher::new(HashLimits { concurrency: 1, queue, wait: Duration::from_secs(1) })
    }

    #[tokio::test]
    async fn a_hash_is_argon2id_with_a_salt_of_its_own() {
        let hasher = hasher(0);
        let first = hasher.hash(password()).await.unwrap();
        let second = hasher.hash(password()).await.unwrap();
        assert!(first.expose_secret().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", first.expose_secret());
        assert_ne!(first.expose_secret(), second.expose_secret());
        let parts: Vec<_> = first.expose_secret().split('$').collect();
        // Base64 without padding, of 16 and 32 bytes.
        assert_eq!((parts[4].len(), parts[5].len()), (22, 43));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_finds_the_queue_full_is_told_at_once() {
        let hasher = hasher(1);
        let turn = hasher.turn().await.unwrap();
        let waiting = hasher.clone();
        let first = tokio::spawn(async move { waiting.turn().await });
        tokio::task::yield_now().await;
        let began = Instant::now();
        assert!(matches!(hasher.turn().await, Err(HashError::Busy)));
        assert_eq!(began.elapsed(), Duration::ZERO);
        drop(turn);
        assert!(first.await.unwrap().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_allowed_and_leaves_no_place_taken() {
        let hasher = hasher(1);
        let turn = hasher.turn().await.unwrap();
        for _ in 0..3 {
            let began = Instant::now();
            assert!(matches!(hasher.turn().await, Err(HashError::Busy)));
            assert_eq!(began.elapsed(), Duration::from_secs(1));
        }
        drop(turn);
        assert!(hasher.turn().await.is_ok());
    }
}
