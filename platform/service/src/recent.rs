use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

/// What is remembered for a while, of at most so many.
///
/// Whoever finds no place is not remembered, which must cost no more than that. What is over is taken away once in a second, and
/// not whenever there is no room: a crowd must not have the whole map looked through for each of its requests.
pub(crate) struct Recent<V> {
    entries: HashMap<String, Entry<V>>,
    most: usize,
    swept: Option<Instant>,
}

struct Entry<V> {
    value: V,
    until: Instant,
}

const SWEEP_EVERY: Duration = Duration::from_secs(1);

impl<V> Recent<V> {
    pub fn with_room_for(most: usize) -> Self {
        Self { entries: HashMap::new(), most, swept: None }
    }

    pub fn get(&mut self, key: &str) -> Option<&mut V> {
        let entry = self.entries.get_mut(key)?;
        (Instant::now() < entry.until).then_some(&mut entry.value)
    }

    pub fn put(&mut self, key: &str, value: V, until: Instant) {
        let now = Instant::now();
        if self.swept.is_none_or(|at| now - at >= SWEEP_EVERY) {
            self.entries.retain(|_, entry| now < entry.until);
            self.swept = Some(now);
        }
        if let Some(entry) = self.entries.get_mut(key) {
            *entry = Entry { value, until };
        } else if self.entries.len() < self.most {
            self.entries.insert(key.to_owned(), Entry { value, until });
        }
    }

    pub fn forget(&mut self, key: &str) {
        self.entries.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const LIFE: Duration = Duration::from_secs(3);

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_is_forgotten_when_its_time_is_over_and_leaves_the_memory_too() {
        let mut recent = Recent::with_room_for(10);
        recent.put("ada", 1, Instant::now() + LIFE);
        assert_eq!(recent.get("ada"), Some(&mut 1));
        recent.put("ada", 2, Instant::now() + LIFE);
        assert_eq!(recent.get("ada"), Some(&mut 2));
        advance(LIFE).await;
        assert_eq!(recent.get("ada"), None);
        recent.put("bob", 3, Instant::now() + LIFE);
        assert_eq!(recent.entries.len(), 1);
        recent.forget("bob");
        assert_eq!(recent.get("bob"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_takes_neither_the_memory_nor_anybodys_place() {
        let mut recent = Recent::with_room_for(10);
        for n in 0..1_000 {
            recent.put(&n.to_string(), n, Instant::now() + LIFE);
        }
        assert_eq!(recent.entries.len(), 10);
        recent.put("0", 7, Instant::now() + LIFE);
        assert_eq!((recent.get("0").copied(), recent.get("999")), (Some(7), None));
        advance(LIFE).await;
        recent.put("999", 999, Instant::now() + LIFE);
        assert_eq!((recent.get("999").copied(), recent.entries.len()), (Some(999), 1));
    }
}
