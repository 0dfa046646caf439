use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::Version;
use crate::recent::Recent;

/// What this process had from Redis a moment ago. It is as good as Redis's own: whoever reads says which version is right.
pub struct Near(Mutex<Recent<Entry>>);

type Entry = (Version, Arc<[u8]>);

/// Short, because it may tell of people: what is forgotten in Redis is forgotten here soon.
const LIFE: Duration = Duration::from_secs(10);
/// Whoever finds no place is read from Redis again.
const MOST: usize = 1_000;

impl Near {
    pub fn new() -> Self {
        Self(Mutex::new(Recent::with_room_for(MOST)))
    }

    pub fn get(&self, key: &str) -> Option<Entry> {
        self.lock().get(key).cloned()
    }

    pub fn put(&self, key: &str, version: Version, value: &Arc<[u8]>) {
        self.lock().put(key, (version, Arc::clone(value)), Instant::now() + LIFE);
    }

    pub fn forget(&self, key: &str) {
        self.lock().forget(key);
    }

    fn lock(&self) -> MutexGuard<'_, Recent<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Near {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Near").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_near_is_read_from_redis_again_soon() {
        let (near, value) = (Near::new(), Arc::from(*b"ada"));
        near.put("k", Version(3), &value);
        advance(LIFE / 2).await;
        assert_eq!(near.get("k"), Some((Version(3), value)));
        advance(LIFE / 2).await;
        assert_eq!(near.get("k"), None);
    }
}
