//! Rows of the database, kept in Redis for a while, so that they are not read again.
//!
//! Every entry says of which version of its row it was made. Two things follow. Whoever reads says which version the row has
//! now, and an entry of another is none: what is served is never older than what the database says, whatever was lost
//! between. And an entry never takes the place of a newer one: [`Cache::del`] leaves the version behind, so whoever read
//! the row before it was changed, and is slow, can't put the old one back.
//!
//! So it does not matter either how near an entry is: what a process read from Redis it keeps for some seconds for itself, and
//! whoever asks again soon costs no way to Redis.
//!
//! While Redis is away nothing is found, and nothing fails.

mod near;

use std::{sync::Arc, time::Duration};

use metrics::{Unit, counter, describe_counter};

use near::Near;

use crate::{
    redis::{Away, Redis, Script},
    settings::{AppEnv, Env, SettingErrors},
};

/// Entries of one kind. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cache {
    /// What metrics call it.
    name: &'static str,
    redis: Option<Redis>,
    near: Arc<Near>,
    life: Duration,
    put: Script,
}

/// What there is under a key, of whatever version.
#[derive(Debug, Clone)]
pub struct Fetched {
    key: String,
    found: Found,
}

#[derive(Debug, Clone)]
enum Found {
    InProcess(Version, Arc<[u8]>),
    InRedis(Vec<u8>),
    Nothing,
    Away,
}

/// Which state of a row: it grows with every change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub i64);

impl Version {
    /// Of a row that is gone for good: nothing comes after it.
    pub const LAST: Self = Self(i64::MAX);
}

/// A version as text that sorts as its number does, and a colon.
const PREFIX: usize = 21;

/// `USER_CACHE_TTL_SECONDS`, or what the environment says: 15 minutes, 5 in staging, 10 in production.
pub fn user_cache_life(env: &Env) -> Result<Duration, SettingErrors> {
    let minutes = match AppEnv::from_env(env)? {
        AppEnv::Development => 15,
        AppEnv::Staging => 5,
        AppEnv::Production => 10,
    };
    Ok(env.seconds_or("USER_CACHE_TTL_SECONDS", Duration::from_mins(minutes), 1..=86_400)?)
}

impl Cache {
    pub fn new(name: &'static str, redis: Option<Redis>, life: Duration) -> Self {
        Self { name, redis, near: Arc::new(Near::new()), life, put: Script::new(include_str!("cache/put.lua")) }
    }

    /// For who has no Redis: what others keep grows old by its version.
    pub fn none(name: &'static str) -> Self {
        Self::new(name, None, Duration::ZERO)
    }

    /// What was made of this version of the row.
    pub async fn get(&self, key: &str, version: Version) -> Option<Arc<[u8]>> {
        self.of_version(self.fetch(key).await, version)
    }

    /// What is there, before the row's version is known: for who has something else to ask Redis meanwhile. It is of no
    /// use but to [`of_version`](Self::of_version).
    pub async fn fetch(&self, key: &str) -> Fetched {
        let found = match (&self.redis, self.near.get(key)) {
            (None, _) => Found::Away,
            (Some(_), Some((version, value))) => Found::InProcess(version, value),
            (Some(redis), None) => match redis.ask("cache-get", redis::cmd("GET").arg(key)).await {
                Ok(Some(entry)) => Found::InRedis(entry),
                Ok(None) => Found::Nothing,
                Err(Away) => Found::Away,
            },
        };
        Fetched { key: key.to_owned(), found }
    }

    /// Of what was fetched, what was made of this version of the row.
    pub fn of_version(&self, fetched: Fetched, version: Version) -> Option<Arc<[u8]>> {
        let Fetched { key, found } = fetched;
        let (outcome, value) = match found {
            Found::Away => ("away", None),
            Found::InProcess(of, value) if of == version => ("near", Some(value)),
            Found::InProcess(..) => {
                self.near.forget(&key);
                ("stale", None)
            }
            Found::InRedis(entry) if entry.len() > PREFIX => {
                let (of, value) = entry.split_at(PREFIX);
                if of == prefix(version).as_bytes() {
                    let value = Arc::from(value);
                    self.near.put(&key, version, &value);
                    ("hit", Some(value))
                } else {
                    ("stale", None)
                }
            }
            Found::InRedis(_) | Found::Nothing => ("miss", None),
        };
        counter!("cache_reads_total", "cache" => self.name, "outcome" => outcome).increment(1);
        value
    }

    /// Keeps what was made of this version under each of the keys, unless there is a newer one.
    pub async fn set(&self, keys: &[&str], version: Version, value: &[u8]) {
        self.put("cache-set", keys, version, value).await;
    }

    /// Forgets everything older than this version, and lets nothing older in any more.
    pub async fn del(&self, keys: &[&str], version: Version) {
        self.put("cache-del", keys, version, &[]).await;
    }

    /// As [`del`](Self::del), within some milliseconds, and nobody waits: what is older is not served meanwhile either. To be called
    /// within a runtime.
    pub fn del_soon(&self, keys: &[&str], version: Version) {
        if let Some(redis) = self.outdated(keys) {
            redis.tell("cache-del", self.put.whole_with(keys, self.entry(version, &[])));
        }
    }

    async fn put(&self, call: &'static str, keys: &[&str], version: Version, value: &[u8]) {
        if let Some(redis) = self.outdated(keys) {
            let command = self.put.with(keys, self.entry(version, value));
            // Where Redis is away, whoever reads sees by the version that the entry is old.
            let _ = redis.run::<u64>(call, &self.put, &command).await;
        }
    }

    /// Where to tell of entries, when they are forgotten near.
    fn outdated(&self, keys: &[&str]) -> Option<&Redis> {
        let redis = self.redis.as_ref()?;
        for key in keys {
            self.near.forget(key);
        }
        Some(redis)
    }

    /// What the script is told of one.
    fn entry<'a>(&self, version: Version, value: &'a [u8]) -> (String, &'a [u8], u64) {
        (prefix(version), value, self.life.as_millis() as u64)
    }
}

fn prefix(Version(version): Version) -> String {
    format!("{:020}:", version.max(0))
}

/// Tells metrics what those of this module are.
pub fn describe_metrics() {
    describe_counter!(
        "cache_reads_total",
        Unit::Count,
        "Reads of the cache: found in Redis or near, not there, older than the row, or Redis away"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_lives_as_long_as_the_environment_says() {
        let life = |pairs: &[(&str, &str)]| user_cache_life(&Env::of(pairs.iter().copied())).map(|life| life.as_secs());
        assert_eq!(life(&[]), Ok(900));
        assert_eq!(life(&[("APP_ENV", "staging")]), Ok(300));
        assert_eq!(life(&[("NODE_ENV", "production")]), Ok(600));
        assert_eq!(life(&[("APP_ENV", "production"), ("USER_CACHE_TTL_SECONDS", "7")]), Ok(7));
        let error = life(&[("USER_CACHE_TTL_SECONDS", "0")]).unwrap_err().to_string();
        assert_eq!(error, "USER_CACHE_TTL_SECONDS is `0`, should be a whole number from 1 to 86400");
    }
}
