//! Hashing passwords without letting it take the machine.
//!
//! Argon2id with OWASP's parameters takes some 30 ms of one core and 19 MiB, which makes it the ceiling of this
//! service. So there is a permit for each core and a short queue for them; beyond that the answer is "busy" at once,
//! because a client that waits longer gives up and tries again.

use std::{
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::available_parallelism,
    time::Duration,
};

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version,
    password_hash::{self, phc::PasswordHash},
};
use metrics::{counter, histogram};
use secrecy::{ExposeSecret, SecretString};
use service::settings::{Env, SettingErrors, all};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
    time::{Instant, timeout},
};

use super::Password;
use crate::secret_token;

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
    #[error("the password could not be hashed")]
    Failed(#[source] password_hash::Error),
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

/// What is stored for an account is no hash that may be computed. The account can't be signed into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("should be an Argon2id hash in PHC form, of at most 1 GiB, 10 passes and 16 lanes")]
pub struct UnreadableHash;

/// Beyond these, one stored hash could take the machine for itself.
const MOST_MEMORY_KIB: u32 = 1_024 * 1_024;
const MOST_PASSES: u32 = 10;
const MOST_LANES: u32 = 16;

/// What became of a password that was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tried {
    Wrong,
    Right,
    /// Right, and stored with other parameters than those of today.
    RightToRehash,
}

/// Hashes passwords, a few at a time. Cheap to clone; the clones share the limits.
#[derive(Clone)]
pub struct PasswordHasher {
    argon2: Argon2<'static>,
    /// What is compared with where there is nothing to compare with: a hash of today's parameters, of a password that nobody knows.
    nobodys: Arc<str>,
    computed: Arc<AtomicU64>,
    turns: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    wait: Duration,
}

impl PasswordHasher {
    /// Computes a hash, so that it takes as long as one does.
    pub fn new(limits: HashLimits) -> Result<Self, HashError> {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, PARAMS);
        let unknown =
            secret_token::random_bytes::<32>().map_err(|_| HashError::Failed(password_hash::Error::Internal))?;
        let nobodys = argon2.hash_password(&unknown).map_err(HashError::Failed)?.to_string().into();
        Ok(Self {
            argon2,
            nobodys,
            computed: Arc::default(),
            turns: Arc::new(Semaphore::new(limits.concurrency)),
            queue: Arc::new(Semaphore::new(limits.queue)),
            wait: limits.wait,
        })
    }

    /// Hashes that were computed so far, for whatever.
    pub fn computed(&self) -> u64 {
        self.computed.load(Ordering::Relaxed)
    }

    /// The hash as a PHC string with a salt of its own.
    pub(crate) async fn hash(&self, password: Password) -> Result<SecretString, HashError> {
        let argon2 = self.argon2.clone();
        let hash = self.compute(move || argon2.hash_password(password.as_bytes())).await?;
        hash.map(|hash| SecretString::from(hash.to_string())).map_err(HashError::Failed)
    }

    /// Whether this is the password of a stored hash. Where there is none, the same work is done and the answer is no.
    pub(crate) async fn verify(&self, password: Password, stored: Option<SecretString>) -> Result<Tried, VerifyError> {
        let nobodys = || SecretString::from(&*self.nobodys);
        let (is_somebodys, text) = (stored.is_some(), stored.unwrap_or_else(nobodys));
        let (hash, params) = readable(&text)?;
        let argon2 = self.argon2.clone();
        let matches = self.compute(move || argon2.verify_password(password.as_bytes(), &hash)).await?;
        match matches {
            Ok(()) if !is_somebodys => Ok(Tried::Wrong),
            Ok(()) if is_todays(&params) => Ok(Tried::Right),
            Ok(()) => Ok(Tried::RightToRehash),
            Err(password_hash::Error::PasswordInvalid) => Ok(Tried::Wrong),
            Err(error) => Err(HashError::Failed(error).into()),
        }
    }

    async fn compute<T: Send + 'static>(&self, hash: impl FnOnce() -> T + Send + 'static) -> Result<T, HashError> {
        let turn = self.turn().await.inspect_err(|_| counter!("password_hashes_refused_total").increment(1))?;
        self.computed.fetch_add(1, Ordering::Relaxed);
        let computed = spawn_blocking(move || {
            // The permit goes along: a client that hangs up frees no core while its hash is still computed.
            let _turn = turn;
            let began = Instant::now();
            let hash = hash();
            histogram!("password_hash_seconds").record(began.elapsed());
            hash
        });
        computed.await.map_err(HashError::BrokeOff)
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

#[derive(Debug, thiserror::Error)]
pub(crate) enum VerifyError {
    #[error(transparent)]
    Hash(#[from] HashError),
    #[error(transparent)]
    Unreadable(#[from] UnreadableHash),
}

/// Not compared whole: those of a stored hash say how long it is.
fn is_todays(params: &Params) -> bool {
    (params.m_cost(), params.t_cost(), params.p_cost()) == (MEMORY_KIB, PASSES, LANES)
}

/// The stored hash, where computing it costs no more than anything may.
fn readable(text: &SecretString) -> Result<(PasswordHash, Params), UnreadableHash> {
    let hash = PasswordHash::new(text.expose_secret()).map_err(|_| UnreadableHash)?;
    let params = Params::try_from(&hash).map_err(|_| UnreadableHash)?;
    let bounded = params.m_cost() <= MOST_MEMORY_KIB && params.t_cost() <= MOST_PASSES && params.p_cost() <= MOST_LANES;
    if bounded && hash.algorithm.as_str() == "argon2id" { Ok((hash, params)) } else { Err(UnreadableHash) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password() -> Password {
        Password::attempt(&SecretString::from("correct horse battery")).unwrap()
    }

    fn hasher(queue: usize) -> PasswordHasher {
        PasswordHasher::new(HashLimits { concurrency: 1, queue, wait: Duration::from_secs(1) }).unwrap()
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

    #[tokio::test]
    async fn a_password_is_right_wrong_or_to_be_hashed_anew_and_each_costs_one_hash() {
        let hasher = hasher(0);
        let other = || Password::attempt(&SecretString::from("another passphrase")).unwrap();
        let stored = hasher.hash(password()).await.unwrap();
        let (weak, nobodys) =
            (Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64, 1, 1, None).unwrap()), None);
        let older = SecretString::from(weak.hash_password(password().as_bytes()).unwrap().to_string());
        for (password, stored, want) in [
            (password(), Some(stored.clone()), Tried::Right),
            (other(), Some(stored), Tried::Wrong),
            (password(), Some(older.clone()), Tried::RightToRehash),
            (other(), Some(older), Tried::Wrong),
            (password(), nobodys, Tried::Wrong),
        ] {
            let before = hasher.computed();
            assert_eq!(hasher.verify(password, stored).await.unwrap(), want);
            assert_eq!(hasher.computed(), before + 1);
        }
    }

    #[tokio::test]
    async fn a_stored_hash_that_would_take_the_machine_is_not_computed() {
        let hasher = hasher(0);
        let tail = "c29tZXNhbHRzb21lc2FsdA$MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE";
        for text in [
            String::new(),
            "hunter2".to_owned(),
            format!("$argon2id$v=19$m=1048577,t=2,p=1${tail}"),
            format!("$argon2id$v=19$m=19456,t=11,p=1${tail}"),
            format!("$argon2id$v=19$m=19456,t=2,p=17${tail}"),
            format!("$argon2i$v=19$m=19456,t=2,p=1${tail}"),
            format!("$scrypt$ln=16,r=8,p=1${tail}"),
        ] {
            let tried = hasher.verify(password(), Some(SecretString::from(text.as_str()))).await;
            assert!(matches!(tried, Err(VerifyError::Unreadable(_))), "{text}: {tried:?}");
        }
        assert_eq!(hasher.computed(), 0);
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
