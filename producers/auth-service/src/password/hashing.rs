//! Hashing passwords without letting it take the machine.
//!
//! Argon2id with OWASP's parameters takes some 30 ms of one core and 19 MiB, which makes it the ceiling of this
//! service. So there is a thread for each core and a short queue for them; beyond that the answer is "busy" at once,
//! because a client that waits longer gives up and tries again.

use std::{
    io,
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::available_parallelism,
    time::Duration,
};

use argon2::password_hash;
use metrics::{counter, histogram};
use secrecy::SecretString;
use service::settings::{Env, SettingErrors, all};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::{
    NewPassword, Password, UnfitPassword,
    argon2id::{self, Memory, Stored, UnreadableHash},
    threads::{HashThreads, NotDone},
};
use crate::secret_token::{self, NoRandomBytes};

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
    BrokeOff,
    #[error("a password can't be salted")]
    NoSalt(#[source] NoRandomBytes),
    #[error("can't start a thread that hashes")]
    NoThread(#[source] io::Error),
}

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
    threads: HashThreads,
    /// What is compared with where there is nothing to compare with: a hash of today's parameters, of a password that nobody knows.
    nobodys: Arc<SecretString>,
    computed: Computed,
    /// One for each that is computed or waits.
    places: Arc<Semaphore>,
    wait: Duration,
}

/// Hashes that were computed.
#[derive(Clone, Default)]
struct Computed(Arc<AtomicU64>);

/// A place among those who have a password hashed. It is taken before the first statement that leads there: whoever finds
/// none has cost the database nothing, and no account an attempt.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
}

impl PasswordHasher {
    /// Computes a hash, so that it takes as long as one does.
    pub fn new(limits: HashLimits) -> Result<Self, HashError> {
        let password = secret_token::random_bytes::<32>().map_err(HashError::NoSalt)?;
        let nobodys = argon2id::hash(&password, &salt()?, &mut Memory::default()).map_err(HashError::Failed)?;
        Ok(Self {
            threads: HashThreads::start(limits.concurrency).map_err(HashError::NoThread)?,
            nobodys: Arc::new(nobodys),
            computed: Computed::default(),
            places: Arc::new(Semaphore::new(limits.concurrency + limits.queue)),
            wait: limits.wait,
        })
    }

    /// Hashes that were computed so far, for whatever.
    pub fn computed(&self) -> u64 {
        self.computed.0.load(Ordering::Relaxed)
    }

    /// Busy where all places are taken.
    pub(crate) fn place(&self) -> Result<Place, HashError> {
        let permit = Arc::clone(&self.places).try_acquire_owned();
        Ok(Place { _permit: permit.map_err(|_| refused())? })
    }

    /// The password, unless it is easy to guess.
    pub(crate) async fn judge(
        &self,
        _: &Place,
        new: NewPassword,
    ) -> Result<Result<Password, UnfitPassword>, HashError> {
        self.turn(move |_| new.judged()).await
    }

    /// The hash as a PHC string with a salt of its own.
    pub(crate) async fn hash(&self, _: &Place, password: Password) -> Result<SecretString, HashError> {
        let (salt, computed) = (salt()?, self.computed.clone());
        let hash = self.turn(move |memory| computed.one(|| argon2id::hash(password.as_bytes(), &salt, memory))).await?;
        hash.map_err(HashError::Failed)
    }

    /// As [`judge`](Self::judge) and [`hash`](Self::hash), in one turn.
    pub(crate) async fn judge_and_hash(
        &self,
        _: &Place,
        new: NewPassword,
    ) -> Result<Result<SecretString, UnfitPassword>, HashError> {
        let (salt, computed) = (salt()?, self.computed.clone());
        let hash = self.turn(move |memory| {
            let password = new.judged()?;
            Ok(computed.one(|| argon2id::hash(password.as_bytes(), &salt, memory)))
        });
        match hash.await? {
            Ok(hash) => Ok(Ok(hash.map_err(HashError::Failed)?)),
            Err(unfit) => Ok(Err(unfit)),
        }
    }

    /// Whether this is the password of a stored hash. Where there is none, the same work is done and the answer is no.
    pub(crate) async fn verify(
        &self,
        _: &Place,
        password: Password,
        stored: Option<SecretString>,
    ) -> Result<Tried, VerifyError> {
        let is_somebodys = stored.is_some();
        let stored = Stored::read(stored.as_ref().unwrap_or(&self.nobodys))?;
        let is_todays = stored.is_todays();
        let computed = self.computed.clone();
        let matches = self.turn(move |memory| computed.one(|| stored.is_of(password.as_bytes(), memory))).await?;
        Ok(match matches.map_err(HashError::Failed)? {
            true if is_somebodys && is_todays => Tried::Right,
            true if is_somebodys => Tried::RightToRehash,
            _ => Tried::Wrong,
        })
    }

    async fn turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, HashError> {
        self.threads.run(self.wait, work).await.map_err(|not_done| match not_done {
            NotDone::WaitIsOver => refused(),
            NotDone::BrokeOff => HashError::BrokeOff,
        })
    }
}

impl Computed {
    /// One hash more.
    fn one<T>(&self, hash: impl FnOnce() -> T) -> T {
        self.0.fetch_add(1, Ordering::Relaxed);
        let began = Instant::now();
        let hash = hash();
        histogram!("password_hash_seconds").record(began.elapsed());
        hash
    }
}

fn refused() -> HashError {
    counter!("password_hashes_refused_total").increment(1);
    HashError::Busy
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum VerifyError {
    #[error(transparent)]
    Hash(#[from] HashError),
    #[error(transparent)]
    Unreadable(#[from] UnreadableHash),
}

fn salt() -> Result<[u8; 16], HashError> {
    secret_token::random_bytes().map_err(HashError::NoSalt)
}

#[cfg(test)]
mod tests {
    use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, Version};
    use secrecy::ExposeSecret;

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
        let place = hasher.place().unwrap();
        let first = hasher.hash(&place, password()).await.unwrap();
        let second = hasher.hash(&place, password()).await.unwrap();
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
        let place = hasher.place().unwrap();
        let stored = hasher.hash(&place, password()).await.unwrap();
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
            assert_eq!(hasher.verify(&place, password, stored).await.unwrap(), want);
            assert_eq!(hasher.computed(), before + 1);
        }
    }

    #[tokio::test]
    async fn a_stored_hash_that_would_take_the_machine_is_not_computed() {
        let hasher = hasher(0);
        let place = hasher.place().unwrap();
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
            let tried = hasher.verify(&place, password(), Some(SecretString::from(text.as_str()))).await;
            assert!(matches!(tried, Err(VerifyError::Unreadable(_))), "{text}: {tried:?}");
        }
        assert_eq!(hasher.computed(), 0);
    }

    #[tokio::test]
    async fn whoever_finds_every_place_taken_is_told_at_once() {
        let hasher = hasher(1);
        let (first, _second) = (hasher.place().unwrap(), hasher.place().unwrap());
        assert!(matches!(hasher.place(), Err(HashError::Busy)));
        drop(first);
        assert!(hasher.place().is_ok());
    }
}
