use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::Version;

/// What this process had from Redis a moment ago. It is as good as Redis's own: whoever reads says which version is right.
pub struct Near(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    by_key: HashMap<String, Entry>,
    looked_over: Option<Instant>,
}

struct Entry {
    version: Version,
    value: Arc<[u8]>,
    since: Instant,
}

/// Short, because it may tell of people: what is forgotten in Redis is forgotten here soon.
const LIFE: Duration = Duration::from_secs(10);
const MOST: usize = 1_000;

impl Near {
    pub fn new() -> Self {
        Self(Mutex::default())
    }

    pub fn get(&self, key: &str) -> Option<(Version, Arc<[u8]>)> {
        let entries = self.lock();
        let entry = entries.by_key.get(key).filter(|entry| entry.since.elapsed() <= LIFE)?;
        Some((entry.version, Arc::clone(&entry.value)))
    }

    /// Whoever finds no place is read from Redis again.
    pub fn put(&self, key: &str, version: Version, value: &Arc<[u8]>) {
        let (mut entries, since) = (self.lock(), Instant::now());
        if entries.looked_over.is_none_or(|at| since - at > LIFE) {
            entries.by_key.retain(|_, entry| entry.since.elapsed() <= LIFE);
            entries.looked_over = Some(since);
        }
        if entries.by_key.len() < MOST || entries.by_key.contains_key(key) {
            entries.by_key.insert(key.to_owned(), Entry { version, value: Arc::clone(value), since });
        }
    }

    pub fn forget(&self, key: &str) {
        self.lock().by_key.remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
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

    fn value() -> Arc<[u8]> {
        Arc::from(*b"ada")
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_is_forgotten_soon_read_or_not() {
        let near = Near::new();
        near.put("k", Version(3), &value());
        assert_eq!(near.get("k"), Some((Version(3), value())));
        advance(LIFE + Duration::from_millis(1)).await;
        assert_eq!(near.get("k"), None);
        near.put("another", Version(1), &value());
        assert_eq!(near.lock().by_key.len(), 1, "gone from memory too");
        near.forget("another");
        assert_eq!(near.get("another"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_does_not_take_the_memory() {
        let near = Near::new();
        for n in 0..2 * MOST {
            near.put(&n.to_string(), Version(1), &value());
        }
        assert_eq!(near.lock().by_key.len(), MOST);
        near.put("0", Version(2), &value());
        assert_eq!(near.get("0"), Some((Version(2), value())));
    }
}
