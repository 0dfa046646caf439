//! The threads that hash.
//!
//! They are their own, and not those for blocking work, for two reasons: each keeps its memory ([`Memory`]), and they step
//! back behind all other threads, so that with every core hashing a request that needs none of it is answered as if none did.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use super::argon2id::Memory;

type Job = Box<dyn FnOnce(&mut Memory) + Send>;

/// End with their last handle, once what they were given is done.
#[derive(Clone)]
pub(super) struct HashThreads(Sender<Job>);

/// No thread is there to do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gone;

impl HashThreads {
    pub fn start(count: usize) -> io::Result<Self> {
        let (jobs, taken) = channel();
        let taken = Arc::new(Mutex::new(taken));
        for number in 0..count {
            let taken = Arc::clone(&taken);
            thread::Builder::new().name(format!("argon2id-{number}")).spawn(move || work(&taken))?;
        }
        Ok(Self(jobs))
    }

    pub fn give(&self, job: impl FnOnce(&mut Memory) + Send + 'static) -> Result<(), Gone> {
        self.0.send(Box::new(job)).map_err(|_| Gone)
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
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_job_that_panics_ends_no_thread() {
        let threads = HashThreads::start(1).unwrap();
        let (lost, told) = oneshot::channel::<()>();
        threads
            .give(move |_| {
                let _lost = lost;
                panic!("on purpose");
            })
            .unwrap();
        assert!(told.await.is_err());
        let (done, told) = oneshot::channel();
        threads.give(move |_| done.send(thread::current().name().map(str::to_owned)).unwrap()).unwrap();
        assert_eq!(told.await.unwrap().as_deref(), Some("argon2id-0"));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn who_hashes_steps_back_and_nobody_else_does() {
        use rustix::process::getpriority_process;

        let threads = HashThreads::start(1).unwrap();
        let own = || getpriority_process(Some(rustix::thread::gettid())).unwrap();
        let before = own();
        let (done, told) = oneshot::channel();
        threads.give(move |_| done.send(own()).unwrap()).unwrap();
        assert_eq!(told.await.unwrap(), 10.max(before));
        assert_eq!(own(), before);
    }
}
