//! Hashing passwords without letting it take the machine.
//!
//! Argon2id with OWASP's parameters takes some 30 ms of one core and 19 MiB, which makes it the ceiling of this
//! service. So there is a thread for each core and a short queue for them; beyond that the answer is "busy" at once,
//! because a client that waits longer gives up and tries again.

use std::{
    io,
    num::NonZero,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread::available_parallelism,
    time::Duration,
};

use argon2::password_hash;
use metrics::{counter, histogram};
use secrecy::SecretString;
use service::settings::{Env, SettingErrors, all};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::{Instant, timeout},
};

use super::{
    Password,
    argon2id::{self, Memory, Stored, UnreadableHash},
    threads::HashThreads,
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
    given: Given,
    computed: Arc<AtomicU64>,
    /// One for each that is computed or waits.
    places: Arc<Semaphore>,
    wait: Duration,
}

/// How many jobs the threads were given and are not through with.
#[derive(Clone)]
struct Given {
    jobs: Arc<AtomicUsize>,
    threads: usize,
}

struct GivenJob(Arc<AtomicUsize>);

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
            given: Given::to(limits.concurrency),
            computed: Arc::default(),
            places: Arc::new(Semaphore::new(limits.concurrency + limits.queue)),
            wait: limits.wait,
        })
    }

    /// Hashes that were computed so far, for whatever.
    pub fn computed(&self) -> u64 {
        self.computed.load(Ordering::Relaxed)
    }

    /// Busy where all places are taken.
    pub(crate) fn place(&self) -> Result<Place, HashError> {
        let permit = Arc::clone(&self.places).try_acquire_owned();
        Ok(Place { _permit: permit.map_err(|_| refused())? })
    }

    /// The hash as a PHC string with a salt of its own.
    pub(crate) async fn hash(&self, _: &Place, password: Password) -> Result<SecretString, HashError> {
        let salt = salt()?;
        let hash = self.compute(move |memory| argon2id::hash(password.as_bytes(), &salt, memory)).await?;
        hash.map_err(HashError::Failed)
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
        let matches = self.compute(move |memory| stored.is_of(password.as_bytes(), memory)).await?;
        Ok(match matches.map_err(HashError::Failed)? {
            true if is_somebodys && is_todays => Tried::Right,
            true if is_somebodys => Tried::RightToRehash,
            _ => Tried::Wrong,
        })
    }

    /// Whoever waits for a turn does so where the threads take their jobs from, so that a thread that is through goes on with the
    /// next at once.
    async fn compute<T: Send + 'static>(
        &self,
        hash: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, HashError> {
        let (begin, mut begun) = oneshot::channel();
        let (done, computed) = oneshot::channel();
        let (given, has_turn) = self.given.one_more();
        let count = Arc::clone(&self.computed);
        let job = move |memory: &mut Memory| {
            // Whoever gave up has closed this.
            if begin.send(()).is_err() {
                return;
            }
            count.fetch_add(1, Ordering::Relaxed);
            let began = Instant::now();
            let hash = hash(memory);
            histogram!("password_hash_seconds").record(began.elapsed());
            // First, so that whoever comes next finds the thread free.
            drop(given);
            let _ = done.send(hash);
        };
        self.threads.give(job).map_err(|_| HashError::BrokeOff)?;
        let mut computed = pin!(computed);
        let in_time = match has_turn {
            true => Some(computed.as_mut().await),
            false => timeout(self.wait, computed.as_mut()).await.ok(),
        };
        let computed = match in_time {
            Some(computed) => computed,
            None => {
                // From here on it does not begin. It may have, and then it is not refused any more.
                begun.close();
                begun.try_recv().map_err(|_| refused())?;
                computed.await
            }
        };
        computed.map_err(|_| HashError::BrokeOff)
    }
}

impl Given {
    fn to(threads: usize) -> Self {
        Self { jobs: Arc::default(), threads }
    }

    /// What ends with the job, and whether there is a thread for it.
    fn one_more(&self) -> (GivenJob, bool) {
        let before = self.jobs.fetch_add(1, Ordering::Relaxed);
        (GivenJob(Arc::clone(&self.jobs)), before < self.threads)
    }
}

impl Drop for GivenJob {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
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
    use std::sync::mpsc;

    use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, Version};
    use secrecy::ExposeSecret;
    use tokio::{sync::oneshot::error::TryRecvError, task::yield_now, time::advance};

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

    /// What keeps the hasher's thread busy, until what is answered is dropped; and what says that it does.
    fn busy() -> (mpsc::Sender<()>, oneshot::Receiver<()>, impl FnOnce(&mut Memory) + Send + 'static) {
        let (go_on, waiting) = mpsc::channel();
        let (begin, begun) = oneshot::channel();
        let job = move |_: &mut Memory| {
            begin.send(()).unwrap();
            assert!(waiting.recv().is_err());
        };
        (go_on, begun, job)
    }

    fn computing<F: FnOnce(&mut Memory) + Send + 'static>(
        hasher: &PasswordHasher,
        job: F,
    ) -> impl Future<Output = ()> + use<F> {
        let hasher = hasher.clone();
        async move { hasher.compute(job).await.unwrap() }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_allowed_and_what_nobody_waits_for_is_not_computed() {
        let hasher = hasher(1);
        let (go_on, begun, job) = busy();
        let first = tokio::spawn(computing(&hasher, job));
        begun.await.unwrap();
        for _ in 0..3 {
            let (place, began) = (hasher.place().unwrap(), Instant::now());
            assert!(matches!(hasher.hash(&place, password()).await, Err(HashError::Busy)));
            assert_eq!(began.elapsed(), Duration::from_secs(1));
        }
        let place = hasher.place().unwrap();
        assert!(timeout(Duration::from_millis(1), hasher.hash(&place, password())).await.is_err(), "hung up");
        drop(go_on);
        first.await.unwrap();
        // After all of them.
        let (go_on, begun, job) = busy();
        hasher.threads.give(job).unwrap();
        begun.await.unwrap();
        drop(go_on);
        assert_eq!(hasher.computed(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn whose_turn_has_come_is_not_refused_however_long_it_takes() {
        let hasher = hasher(1);
        let ((go_on, begun, job), (second_go_on, mut second_begun, second_job)) = (busy(), busy());
        let first = tokio::spawn(computing(&hasher, job));
        begun.await.unwrap();
        let second = tokio::spawn(computing(&hasher, second_job));
        drop(go_on);
        // Never idle, so that the clock stands still.
        while second_begun.try_recv() == Err(TryRecvError::Empty) {
            yield_now().await;
        }
        advance(Duration::from_secs(2)).await;
        first.await.unwrap();
        assert!(!second.is_finished());
        drop(second_go_on);
        second.await.unwrap();
        assert_eq!(hasher.computed(), 2);
    }

    /// The thread may be slow to begin, as the lowest of all.
    #[tokio::test]
    async fn who_finds_a_thread_waits_for_nothing() {
        let hasher = PasswordHasher { wait: Duration::ZERO, ..hasher(0) };
        for _ in 0..3 {
            let place = hasher.place().unwrap();
            assert!(hasher.hash(&place, password()).await.is_ok());
        }
    }
}
