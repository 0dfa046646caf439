//! How often anybody may ask for what.
//!
//! Reading needs no access token and is counted by the network that it comes from; whatever needs one is counted by its user.

use std::time::Duration;

use service::rate_limit::Rule;

/// Reading products.
pub(crate) const PRODUCTS_IP: Rule = Rule::new("products-ip", 120, 600, Duration::from_mins(1)).taken_ahead();
/// Everything that needs an access token. Services may count in one Redis, so no two of them have a rule of one name.
pub(crate) const USER: Rule = Rule::new("products-user", 120, 600, Duration::from_mins(1)).taken_ahead();

pub(crate) const ALL: &[&Rule] = &[&PRODUCTS_IP, &USER];
