//! `RateLimit` and `RateLimit-Policy`, as draft-ietf-httpapi-ratelimit-headers-11 has them: lists of RFC 9651 whose items
//! are names of policies.

use std::{fmt::Write, time::Duration};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::{Decision, Standing};

pub const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Sets both, where a rule is told.
pub fn set(headers: &mut HeaderMap, decision: &Decision) {
    let told = || decision.standings.iter().filter(|standing| standing.rule.is_told);
    let list = |write: fn(&mut String, &Standing)| {
        let mut list = String::new();
        for standing in told() {
            if !list.is_empty() {
                list.push_str(", ");
            }
            write(&mut list, standing);
        }
        HeaderValue::from_str(&list).ok().filter(|value| !value.is_empty())
    };
    let limits = list(|list, Standing { rule, remaining, more_in }| {
        let _ = write!(list, "\"{}\";r={remaining};t={}", rule.name, whole_seconds(*more_in));
    });
    let policies = list(|list, Standing { rule, .. }| {
        let _ = write!(list, "\"{}\";q={};w={}", rule.name, rule.burst, whole_seconds(rule.window()));
    });
    if let (Some(limits), Some(policies)) = (limits, policies) {
        headers.insert(LIMIT, limits);
        headers.insert(POLICY, policies);
    }
}

/// Rounded up, since whoever comes back a moment too early is refused again.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate_limit::Rule;

    fn fields(is_allowed: bool, standings: &[Standing]) -> (Option<String>, Option<String>) {
        let mut headers = HeaderMap::new();
        set(&mut headers, &Decision { is_allowed, standings: standings.to_vec() });
        let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap().to_owned());
        (text(LIMIT), text(POLICY))
    }

    const BY_NETWORK: Rule = Rule::new("login-ip", 10, 10, Duration::from_mins(1));
    const BY_ACCOUNT: Rule = Rule::new("login-account", 5, 10, Duration::from_mins(15)).untold();

    #[test]
    fn told_rules_are_told_and_others_are_not() {
        let standing = |rule, remaining, millis| Standing { rule, remaining, more_in: Duration::from_millis(millis) };
        let (by_network, by_account) = (standing(BY_NETWORK, 3, 5_001), standing(BY_ACCOUNT, 0, 90_000));
        let (limit, policy) = fields(true, &[by_network, by_account]);
        assert_eq!(limit.as_deref(), Some(r#""login-ip";r=3;t=6"#));
        assert_eq!(policy.as_deref(), Some(r#""login-ip";q=10;w=60"#));
        assert_eq!(fields(false, &[by_account]), (None, None));
        let (limit, policy) = fields(true, &[by_network, standing(Rule { is_told: true, ..BY_ACCOUNT }, 1, 0)]);
        assert_eq!(limit.as_deref(), Some(r#""login-ip";r=3;t=6, "login-account";r=1;t=0"#));
        assert_eq!(policy.as_deref(), Some(r#""login-ip";q=10;w=60, "login-account";q=5;w=450"#));
    }
}
