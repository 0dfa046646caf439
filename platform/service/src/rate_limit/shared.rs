use super::{Rule, bucket::Level, bucket::level};
use crate::redis::{Away, Redis, Script};

/// Buckets in Redis, which all instances share. Cheap to clone.
#[derive(Clone)]
pub struct SharedBuckets {
    redis: Redis,
    take: Script,
    give_back: Script,
}

/// How all buckets of a request stand after it, and whether it was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    pub is_allowed: bool,
    pub levels: Vec<Level>,
}

impl SharedBuckets {
    pub fn new(redis: Redis) -> Self {
        let (take, give_back) = (include_str!("take.lua"), include_str!("give_back.lua"));
        Self { redis, take: Script::new(take), give_back: Script::new(give_back) }
    }

    pub async fn take(&self, buckets: &[(Rule, &str)]) -> Result<Taken, Away> {
        let keys: Vec<_> = buckets.iter().map(|(_, key)| *key).collect();
        let numbers: Vec<_> = buckets.iter().flat_map(|(rule, _)| numbers(rule)).collect();
        let command = self.take.with(&keys, numbers.as_slice());
        let answer: Vec<u64> = self.redis.run("rate-limit", &self.take, &command).await?;
        // Another answer than the script's own is none.
        let [is_allowed, now, full_at @ ..] = answer.as_slice() else { return Err(Away) };
        if full_at.len() != buckets.len() {
            return Err(Away);
        }
        let levels = buckets.iter().zip(full_at).map(|((rule, _), full_at)| level(rule, *full_at, *now));
        Ok(Taken { is_allowed: *is_allowed == 1, levels: levels.collect() })
    }

    pub async fn give_back(&self, rule: &Rule, key: &str) -> Result<(), Away> {
        let command = self.give_back.with(&[key], numbers(rule).as_slice());
        self.redis.run::<u64>("rate-limit-refund", &self.give_back, &command).await.map(|_| ())
    }
}

/// What the scripts are told of a rule, in microseconds.
fn numbers(rule: &Rule) -> [u64; 2] {
    [rule.interval_micros(), rule.window_micros()]
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, time::Duration};

    use fixtures::RedisServer;
    use rand::Rng;

    use super::*;
    use crate::{
        rate_limit::bucket::{give_back, take},
        redis::RedisSettings,
        settings::AppEnv,
    };

    /// Two rules and four keys at random, and what the script says against what the numbers of a process say at the same
    /// moment: so both are one algorithm.
    #[tokio::test]
    async fn the_script_decides_as_a_process_does() {
        const RULES: [Rule; 2] =
            [Rule::new("a", 3, 1, Duration::from_millis(3)), Rule::new("b", 7, 2, Duration::from_millis(5))];
        let server = RedisServer::start().await;
        let settings = RedisSettings::from_url("REDIS_URL", &server.url(), AppEnv::Development).unwrap();
        let redis = Redis::connect(settings.waiting(fixtures::DEADLINE)).await;
        let shared = SharedBuckets::new(redis.clone());
        let mut model: HashMap<String, u64> = HashMap::new();
        let (mut allowed, mut refused) = (0, 0);
        for step in 0..2_000 {
            let mut random = rand::rng();
            let both = random.random_bool(0.5);
            let one = random.random_range(0..2);
            let rules = if both { vec![RULES[0], RULES[1]] } else { vec![RULES[one]] };
            let keys: Vec<_> = rules.iter().map(|rule| format!("{}{}", rule.name, random.random_range(0..2))).collect();
            let named: Vec<_> = keys.iter().map(String::as_str).collect();
            let told: Vec<_> = rules.iter().flat_map(numbers).collect();
            let command = shared.take.with(&named, told.as_slice());
            let answer: Vec<u64> = redis.run("test", &shared.take, &command).await.unwrap();
            let [is_allowed, now, full_at @ ..] = answer.as_slice() else { panic!("{answer:?}") };
            let before: Vec<_> = keys.iter().map(|key| model.get(key).copied().unwrap_or(0).max(*now)).collect();
            let want: Option<Vec<_>> =
                rules.iter().zip(&before).map(|(rule, before)| take(rule, *before, *now)).collect();
            assert_eq!(*is_allowed == 1, want.is_some(), "step {step}");
            assert_eq!(full_at, want.clone().unwrap_or(before), "step {step}");
            if let Some(after) = want {
                allowed += 1;
                model.extend(keys.iter().cloned().zip(after));
            } else {
                refused += 1;
            }
            if step % 16 == 0 {
                let (rule, key) = (rules[0], &keys[0]);
                shared.give_back(&rule, key).await.unwrap();
                // At a moment that is not told: what comes next tells where it led.
                let never = Rule::new("never", 1, 1, rule.window());
                let look = shared.take.with(&[key], &[never.window_micros() * 2, never.window_micros()]);
                let answer: Vec<u64> = redis.run("test", &shared.take, &look).await.unwrap();
                let given = give_back(&rule, model.get(key).copied().unwrap_or(0), answer[1]);
                assert!(answer[2] <= given.max(answer[1]), "step {step}: {answer:?} {given}");
                model.insert(key.clone(), answer[2]);
            }
        }
        assert!(allowed > 100 && refused > 100, "{allowed} {refused}");
    }
}
