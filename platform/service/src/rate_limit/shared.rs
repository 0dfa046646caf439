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

/// So many of one bucket, and when it is full with them, at which time; in microseconds of Redis's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// 0 where not even one could be taken.
    pub taken: u32,
    pub full_at: u64,
    pub now: u64,
}

impl SharedBuckets {
    pub fn new(redis: Redis) -> Self {
        let (take, give_back) = (include_str!("take.lua"), include_str!("give_back.lua"));
        Self { redis, take: Script::new(take), give_back: Script::new(give_back) }
    }

    pub async fn take(&self, buckets: &[(Rule, &str)]) -> Result<Taken, Away> {
        let answer = self.ask(buckets, 1).await?;
        let (taken, now, full_at) = read(&answer, buckets.len())?;
        let levels = buckets.iter().zip(full_at).map(|((rule, _), full_at)| level(rule, *full_at, now));
        Ok(Taken { is_allowed: taken > 0, levels: levels.collect() })
    }

    /// Up to `wanted` of one bucket. It is more than one only while half of the bucket is left.
    pub async fn take_block(&self, rule: Rule, key: &str, wanted: u32) -> Result<Block, Away> {
        let answer = self.ask(&[(rule, key)], wanted).await?;
        let (taken, now, full_at) = read(&answer, 1)?;
        Ok(Block { taken, full_at: full_at[0], now })
    }

    async fn ask(&self, buckets: &[(Rule, &str)], wanted: u32) -> Result<Vec<u64>, Away> {
        let keys: Vec<_> = buckets.iter().map(|(_, key)| *key).collect();
        let numbers: Vec<_> = buckets.iter().flat_map(|(rule, _)| numbers(rule)).chain([wanted.into()]).collect();
        let command = self.take.with(&keys, numbers.as_slice());
        self.redis.run("rate-limit", &self.take, &command).await
    }

    /// Before anything that is taken from now on by this process.
    pub fn give_back(&self, rule: &Rule, key: &str) {
        let command = self.give_back.whole_with(&[key], numbers(rule).as_slice());
        self.redis.tell("rate-limit-refund", command);
    }
}

/// How many were taken, at which time, and when each of the buckets is full. Another answer than the script's own is none.
fn read(answer: &[u64], buckets: usize) -> Result<(u32, u64, &[u64]), Away> {
    match answer {
        [taken, now, full_at @ ..] if full_at.len() == buckets => Ok((*taken as u32, *now, full_at)),
        _ => Err(Away),
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
            [Rule::new("a", 3, 1, Duration::from_millis(20)), Rule::new("b", 20, 2, Duration::from_millis(50))];
        let server = RedisServer::start().await;
        let settings = RedisSettings::from_url("REDIS_URL", &server.url(), AppEnv::Development).unwrap();
        let redis = Redis::connect(settings.waiting(fixtures::DEADLINE)).await;
        let shared = SharedBuckets::new(redis.clone());
        let mut model: HashMap<String, u64> = HashMap::new();
        let (mut allowed, mut several, mut refused) = (0, 0, 0);
        for step in 0..2_000 {
            let mut random = rand::rng();
            let both = random.random_bool(0.5);
            let one = random.random_range(0..2);
            let rules = if both { vec![RULES[0], RULES[1]] } else { vec![RULES[one]] };
            let keys: Vec<_> = rules.iter().map(|rule| format!("{}{}", rule.name, random.random_range(0..2))).collect();
            let named: Vec<_> = keys.iter().map(String::as_str).collect();
            let wanted = random.random_range(1..=4);
            let told: Vec<_> = rules.iter().flat_map(numbers).chain([wanted.into()]).collect();
            let command = shared.take.with(&named, told.as_slice());
            let answer: Vec<u64> = redis.run("test", &shared.take, &command).await.unwrap();
            let [taken, now, full_at @ ..] = answer.as_slice() else { panic!("{answer:?}") };
            let before: Vec<_> = keys.iter().map(|key| model.get(key).copied().unwrap_or(0).max(*now)).collect();
            // As many as can be taken from each of them.
            let together = || rules.iter().zip(&before);
            let each = together().map(|(rule, before)| Some(take(rule, *before, *now, wanted)?.0));
            let want = each.collect::<Option<Vec<_>>>().and_then(|each| each.into_iter().min());
            assert_eq!(*taken, u64::from(want.unwrap_or(0)), "step {step}");
            let after = together().map(|(rule, before)| before + taken * rule.interval_micros()).collect::<Vec<_>>();
            assert_eq!(full_at, after, "step {step}");
            match want {
                None => refused += 1,
                Some(1) => allowed += 1,
                Some(_) => several += 1,
            }
            if want.is_some() {
                model.extend(keys.iter().cloned().zip(after));
            }
            if step % 4 == 2 {
                // Full again, so that there are several to take.
                redis.ask::<u64>("test", redis::cmd("DEL").arg(&keys[0])).await.unwrap();
                model.remove(&keys[0]);
            }
            if step % 16 == 4 {
                let (rule, key) = (rules[0], &keys[0]);
                shared.give_back(&rule, key);
                // At a moment that is not told: what comes next tells where it led.
                let never = Rule::new("never", 1, 1, rule.window());
                let look = shared.take.with(&[key], &[never.window_micros() * 2, never.window_micros(), 1]);
                let answer: Vec<u64> = redis.run("test", &shared.take, &look).await.unwrap();
                let given = give_back(&rule, model.get(key).copied().unwrap_or(0), answer[1]);
                assert!(answer[2] <= given.max(answer[1]), "step {step}: {answer:?} {given}");
                model.insert(key.clone(), answer[2]);
            }
        }
        assert!(allowed > 100 && several > 100 && refused > 100, "{allowed} {several} {refused}");
    }
}
