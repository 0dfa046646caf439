use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::recent::Recent;

/// Who was refused, and until when that will be so whatever happens: a bucket that only wins back with time says how long it
/// will be empty. So whoever goes on asking is turned away without asking Redis, and before anything of the request is read.
pub struct Refusals(Mutex<Recent<Instant>>);

/// One that finds no place costs a call, and nothing else.
const MOST: usize = 10_000;

impl Refusals {
    pub fn new() -> Self {
        Self(Mutex::new(Recent::with_room_for(MOST)))
    }

    /// How long the bucket is still empty, where that is known.
    pub fn left(&self, key: &str) -> Option<Duration> {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key)?;
        let left = until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    pub fn remember(&self, key: &str, wait: Duration) {
        let until = Instant::now() + wait;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(key, until, until);
    }
}
