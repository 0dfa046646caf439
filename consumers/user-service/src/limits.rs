//! How often anybody may ask, and how much they may keep.
//!
//! Everything here needs an access token and is counted by its user. Services may count in one Redis with one key, so the name
//! is this service's own: whoever shops does not use up what they may ask auth-service.

use std::time::Duration;

use service::rate_limit::Rule;

/// Everything that needs an access token.
pub(crate) const USER: Rule = Rule::new("profiles-user", 120, 600, Duration::from_mins(1)).taken_ahead();

pub(crate) const ALL: &[&Rule] = &[&USER];

pub(crate) const ADDRESSES: u16 = 50;
pub(crate) const PAYMENT_METHODS: u16 = 20;
pub(crate) const WISHES: u16 = 500;
