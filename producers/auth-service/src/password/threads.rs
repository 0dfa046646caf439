//! The threads that hash.
//!
//! They are their own, and not those for blocking work, for two reasons: each keeps its memory ([`Memory`]), and they step
//! back behind all other threads, so that with every core hashing a request that needs none of it is answered as if none did.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};

use tokio::{sync::oneshot, time::timeout};

use super::argon2id::Memory;

type Job = Box<dyn FnOnce(&mut Memory) + Send>;

/// End with their last handle, once what they were given is done.
#[derive(Clone)]
pub(super) struct HashThreads {
    jobs: Sender<Job>,
    /// Here too, so that jobs wait in vain where there is no thread.
    _taken: Arc<Mutex<Receiver<Job>>>,
    given: Arc<AtomicUsize>,
    count: usize,
}

/// Why there is no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotDone {
    /// It was not begun, and is not any more.
    WaitIsOver,
    /// It panicked.
    BrokeOff,
}

/// A job that no thread is through with.
struct Given(Arc<AtomicUsize>);

impl HashThreads {
    pub fn start(count: usize) -> io::Result<Self> {
        let (jobs, taken) = channel();
        let taken = Arc::new(Mutex::new(taken));
        for number in 0..count {
            let taken = Arc::clone(&taken);
            thread::Builder::new().name(format!("argon2id-{number}")).spawn(move || work(&taken))?;
        }
        Ok(Self { jobs, _taken: taken, given: Arc::default(), count })
    }

    /// Waits for its turn, at most for so long, and then for the outcome, however long that takes. What is dropped before its turn has
    /// come is not done.
    ///
    /// It waits where the threads take their jobs from, so that one that is through goes on with the next at once.
    pub async fn run<T: Send + 'static>(
        &self,
        wait: Duration,
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, NotDone> {
        let (begin, mut has_begun) = oneshot::channel();
        let (done, outcome) = oneshot::channel();
        let has_turn = self.given.fetch_add(1, Ordering::Relaxed) < self.count;
        let given = Given(Arc::clone(&self.given));
        let job = move |memory: &mut Memory| {
            // Whoever gave up has closed this.
            if begin.send(()).is_err() {
                return;
            }
            let outcome = work(memory);
            // First, so that whoever comes next finds the thread free.
            drop(given);
            let _ = done.send(outcome);
        };
        self.jobs.send(Box::new(job)).map_err(|_| NotDone::BrokeOff)?;
        let mut outcome = pin!(outcome);
        let in_time = match has_turn {
            true => Some(outcome.as_mut().await),
            false => timeout(wait, outcome.as_mut()).await.ok(),
        };
        let outcome = if let Some(outcome) = in_time {
            outcome
        } else {
            // From here on it does not begin. It may have, and then it is not given up any more.
            has_begun.close();
            has_begun.try_recv().map_err(|_| NotDone::WaitIsOver)?;
            outcome.await
        };
        outcome.map_err(|_| NotDone::BrokeOff)
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    step_back();
    let mut memory = Memory::default();
    loop {
        // One thread waits with the lock held, the others for the lock.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // Who waits for a job that panics hears nothing and is told so; the thread is there for the next one.
        if catch_unwind(AssertUnwindSafe(|| job(&mut memory))).is_err() {
            memory = Memory::default();
        }
    }
}

/// On Linux each thread has a priority of its own, which anybody may lower.
#[cfg(target_os = "linux")]
fn step_back() {
    use rustix::{process::setpriority_process, thread::gettid};

    const NICE: i32 = 10;
    if let Err(error) = setpriority_process(Some(gettid()), NICE) {
        tracing::debug!(%error, "a thread that hashes keeps the priority of all others");
    }
}

#[cfg(not(target_os = "linux"))]
fn step_back() {}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::{
        sync::oneshot::error::TryRecvError,
        task::yield_now,
        time::{Instant, advance},
    };

    use super::*;

    const LONG: Duration = Duration::from_secs(1);

    /// What keeps a thread busy until what is answered is dropped, and what says that it does.
    fn busy() -> (mpsc::Sender<()>, oneshot::Receiver<()>, impl FnOnce(&mut Memory) + Send + 'static) {
        let (go_on, waiting) = mpsc::channel();
        let (begin, is_on) = oneshot::channel();
        let job = move |_: &mut Memory| {
            begin.send(()).unwrap();
            assert!(waiting.recv().is_err());
        };
        (go_on, is_on, job)
    }

    /// Never idle, so that a clock that is paused stands still.
    async fn until(mut is_on: oneshot::Receiver<()>) {
        while is_on.try_recv() == Err(TryRecvError::Empty) {
            yield_now().await;
        }
    }

    fn spawn<F: FnOnce(&mut Memory) + Send + 'static>(
        threads: &HashThreads,
        job: F,
    ) -> tokio::task::JoinHandle<Result<(), NotDone>> {
        let threads = threads.clone();
        tokio::spawn(async move { threads.run(LONG, job).await })
    }

    #[tokio::test]
    async fn a_job_that_panics_ends_no_thread() {
        let threads = HashThreads::start(1).unwrap();
        assert_eq!(threads.run(LONG, |_| panic!("on purpose")).await, Err::<(), _>(NotDone::BrokeOff));
        let name = threads.run(LONG, |_| thread::current().name().map(str::to_owned)).await.unwrap();
        assert_eq!(name.as_deref(), Some("argon2id-0"));
        assert_eq!(threads.given.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_allowed_and_what_nobody_waits_for_is_not_done() {
        let threads = HashThreads::start(1).unwrap();
        let (go_on, is_on, job) = busy();
        let first = spawn(&threads, job);
        is_on.await.unwrap();
        for _ in 0..3 {
            let began = Instant::now();
            assert_eq!(threads.run(LONG, |_| panic!("it is done")).await, Err::<(), _>(NotDone::WaitIsOver));
            assert_eq!(began.elapsed(), LONG);
        }
        let hung_up = timeout(LONG / 2, threads.run(LONG, |_| panic!("it is done"))).await;
        assert!(hung_up.is_err());
        drop(go_on);
        first.await.unwrap().unwrap();
        // After all of them, and by a thread that none of them has ended.
        let (go_on, is_on, job) = busy();
        let last = spawn(&threads, job);
        until(is_on).await;
        assert_eq!(threads.given.load(Ordering::Relaxed), 1);
        drop(go_on);
        last.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_begun_is_not_given_up_however_long_it_takes() {
        let threads = HashThreads::start(1).unwrap();
        let ((go_on, is_on, job), (second_go_on, second_is_on, second_job)) = (busy(), busy());
        let first = spawn(&threads, job);
        is_on.await.unwrap();
        let second = spawn(&threads, second_job);
        drop(go_on);
        until(second_is_on).await;
        advance(LONG * 2).await;
        first.await.unwrap().unwrap();
        assert!(!second.is_finished());
        drop(second_go_on);
        second.await.unwrap().unwrap();
    }

    /// Which may be slow to begin, as the lowest of all.
    #[tokio::test]
    async fn who_finds_a_thread_waits_for_no_turn() {
        let threads = HashThreads::start(1).unwrap();
        for number in 0..100 {
            assert_eq!(threads.run(Duration::ZERO, move |_| number).await, Ok(number));
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn who_hashes_steps_back_and_nobody_else_does() {
        use rustix::process::getpriority_process;

        let threads = HashThreads::start(1).unwrap();
        let own = || getpriority_process(Some(rustix::thread::gettid())).unwrap();
        let before = own();
        assert_eq!(threads.run(LONG, move |_| own()).await, Ok(10.max(before)));
        assert_eq!(own(), before);
    }
}
