use std::{sync::Arc, time::Duration};

use metrics::{Unit, counter, describe_counter};
use ring::hmac;

use super::{
    Rule,
    ahead::{Ahead, Next},
    bucket::{Level, level},
    local::LocalBuckets,
    remembered::Refusals,
    shared::{SharedBuckets, Taken},
};
use crate::{
    redis::Redis,
    settings::{Env, SettingErrors, all},
};

/// How the rules are taken in this installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimits {
    /// How many processes share a quota while Redis is away.
    pub replicas: u32,
    /// How many times as many as the rules say are let in.
    pub factor: u32,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self { replicas: 1, factor: 1 }
    }
}

impl RateLimits {
    /// `REPLICAS` (1) and `RATE_LIMIT_FACTOR` (1).
    pub fn from_env(env: &Env) -> Result<Self, SettingErrors> {
        let Self { replicas, factor } = Self::default();
        let (replicas, factor) = all((
            env.number_or("REPLICAS", replicas, 1..=1_000),
            env.number_or("RATE_LIMIT_FACTOR", factor, 1..=10_000),
        ))?;
        Ok(Self { replicas, factor })
    }
}

/// What a request is counted by: a rule, and who or what it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    rule: Rule,
    key: String,
}

/// How a rule stands after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub rule: Rule,
    pub remaining: u32,
    /// After how long there is one more than that.
    pub more_in: Duration,
}

/// Whether a request may go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub is_allowed: bool,
    /// Of every rule that the request was counted by, in their order.
    pub standings: Vec<Standing>,
}

/// What was counted, to be taken back where that is to be.
#[derive(Debug, Clone)]
#[must_use]
pub struct Charged {
    limiter: RateLimiter,
    refundable: Vec<Charge>,
    is_shared: bool,
}

/// Decides. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct RateLimiter(Arc<Parts>);

struct Parts {
    limits: RateLimits,
    key: hmac::Key,
    shared: Option<SharedBuckets>,
    ahead: Ahead,
    local: LocalBuckets,
    refusals: Refusals,
}

impl std::fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RateLimiter").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

/// Where it was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Shared,
    /// Counted there already.
    Ahead,
    Process,
    /// A refusal that was known.
    Remembered,
}

impl Place {
    fn label(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Ahead => "ahead",
            Self::Process => "process",
            Self::Remembered => "remembered",
        }
    }
}

impl RateLimiter {
    /// `secret` is one for all instances: they make the same keys with it.
    pub fn new(limits: RateLimits, secret: &[u8], redis: Option<Redis>) -> Self {
        Self(Arc::new(Parts {
            limits,
            key: hmac::Key::new(hmac::HMAC_SHA256, secret),
            shared: redis.map(SharedBuckets::new),
            ahead: Ahead::new(),
            local: LocalBuckets::new(),
            refusals: Refusals::new(),
        }))
    }

    /// As one charge of a request: by this rule, of this one.
    pub fn charge(&self, rule: &Rule, whom: &str) -> Charge {
        let mut context = hmac::Context::with_key(&self.0.key);
        // A name holds no zero, so no rule and identifier make the text of another pair.
        for part in [rule.name.as_bytes(), &[0], whom.as_bytes()] {
            context.update(part);
        }
        let tag = context.sign();
        // Half of it is long enough for no two to meet, and half as long in memory.
        let (half, _) = tag.as_ref().split_first_chunk().expect("a tag of SHA-256 has 32 bytes");
        let key = format!("rl:{}:{:032x}", rule.name, u128::from_be_bytes(*half));
        Charge { rule: rule.times(self.0.limits.factor), key }
    }

    /// Counts a request by all of these, or by none where one has too many.
    pub async fn decide(&self, charges: &[Charge]) -> (Decision, Charged) {
        let counted = |is_shared, is_allowed| Charged {
            limiter: self.clone(),
            refundable: charges.iter().filter(|charge| is_allowed && charge.rule.is_refundable).cloned().collect(),
            is_shared,
        };
        if charges.is_empty() {
            return (Decision { is_allowed: true, standings: Vec::new() }, counted(false, false));
        }
        let (taken, place) = match self.taken_from_shared(charges).await {
            Some(taken) => taken,
            None => (self.taken_from_local(charges), Place::Process),
        };
        let is_shared = place != Place::Process;
        let decision = self.decided(charges, &taken, is_shared);
        decision.count(place);
        let is_allowed = decision.is_allowed;
        (decision, counted(is_shared, is_allowed))
    }

    /// `None` where there is no Redis, or it is away.
    async fn taken_from_shared(&self, charges: &[Charge]) -> Option<(Taken, Place)> {
        let shared = self.0.shared.as_ref()?;
        if let [Charge { rule, key }] = charges
            && rule.is_taken_ahead
        {
            return self.taken_ahead(shared, rule, key).await;
        }
        let buckets: Vec<_> = charges.iter().map(|charge| (charge.rule, charge.key.as_str())).collect();
        Some((shared.take(&buckets).await.ok()?, Place::Shared))
    }

    async fn taken_ahead(&self, shared: &SharedBuckets, rule: &Rule, key: &str) -> Option<(Taken, Place)> {
        let ahead = &self.0.ahead;
        let one = |is_allowed, level| Taken { is_allowed, levels: vec![level] };
        let mut next = ahead.next(rule, key);
        // Waited for once: among many there may be others again who come first.
        if let Next::Coming(block) = &next {
            block.cancelled().await;
            next = ahead.next(rule, key);
        }
        let (wanted, _fetching) = match next {
            Next::Spent(level) => return Some((one(true, level), Place::Ahead)),
            Next::Take(wanted, fetching) => (wanted, fetching),
            Next::Coming(_) => (1, None),
        };
        let block = shared.take_block(*rule, key, wanted).await.ok()?;
        let level = match block.taken {
            0 => level(rule, block.full_at, block.now),
            _ => ahead.keep(rule, key, wanted, block),
        };
        Some((one(block.taken > 0, level), Place::Shared))
    }

    fn taken_from_local(&self, charges: &[Charge]) -> Taken {
        let part = |rule: Rule| rule.divided_by(self.0.limits.replicas);
        let buckets: Vec<_> = charges.iter().map(|charge| (part(charge.rule), charge.key.as_str())).collect();
        self.0.local.take(&buckets)
    }

    /// A refusal that needs nobody to be asked. It says nothing of rules that do not refuse.
    pub(super) fn known_refusal(&self, charges: &[Charge]) -> Option<Decision> {
        let standings: Vec<Standing> = charges
            .iter()
            .filter_map(|charge| {
                let more_in = self.0.refusals.left(&charge.key)?;
                Some(Standing { rule: charge.rule, remaining: 0, more_in })
            })
            .collect();
        let decision = Decision { is_allowed: false, standings };
        (!decision.standings.is_empty()).then(|| decision.count(Place::Remembered)).map(|()| decision)
    }

    fn decided(&self, charges: &[Charge], taken: &Taken, is_shared: bool) -> Decision {
        // What a process refuses while Redis is away, Redis may let in once it is back.
        let lasts = is_shared || self.0.shared.is_none();
        let standings = charges.iter().zip(&taken.levels).map(|(charge, level)| {
            let Level { remaining, more_in } = *level;
            let is_told_and_stays = charge.rule.is_told && !charge.rule.is_refundable;
            if !taken.is_allowed && remaining == 0 && is_told_and_stays && lasts {
                self.0.refusals.remember(&charge.key, more_in);
            }
            let rule = if is_shared { charge.rule } else { charge.rule.divided_by(self.0.limits.replicas) };
            Standing { rule, remaining, more_in }
        });
        Decision { is_allowed: taken.is_allowed, standings: standings.collect() }
    }
}

impl Charged {
    /// Takes back what was counted by rules that count failures: this was none. Nobody waits for it; what this process counts from
    /// now on is counted after it. To be called within a runtime.
    pub fn refund(self) {
        for charge in &self.refundable {
            if self.is_shared {
                // Where Redis is away by now, what it counted is forgotten with time.
                if let Some(shared) = &self.limiter.0.shared {
                    shared.give_back(&charge.rule, &charge.key);
                }
            } else {
                let part = charge.rule.divided_by(self.limiter.0.limits.replicas);
                self.limiter.0.local.give_back(&part, &charge.key);
            }
        }
    }
}

impl Decision {
    /// Those that refuse.
    pub fn violated(&self) -> impl Iterator<Item = &Standing> {
        self.standings.iter().filter(|standing| !self.is_allowed && standing.remaining == 0)
    }

    /// When it is of use to ask again.
    pub fn retry_after(&self) -> Option<Duration> {
        self.violated().map(|standing| standing.more_in).max()
    }

    fn count(&self, place: Place) {
        let place = place.label();
        if self.is_allowed {
            counter!("rate_limit_decisions_total", "outcome" => "allowed", "place" => place, "rule" => "").increment(1);
        }
        for Standing { rule, .. } in self.violated() {
            counter!("rate_limit_decisions_total", "outcome" => "refused", "place" => place, "rule" => rule.name)
                .increment(1);
        }
    }
}

/// Tells metrics what those of this module are.
pub fn describe_metrics() {
    describe_counter!(
        "rate_limit_decisions_total",
        Unit::Count,
        "Requests that were counted, and let in or refused, by which rule; counted in Redis, there ahead, in this process, or known before"
    );
}
