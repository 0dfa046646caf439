//! How often anybody may ask for what.
//!
//! Whatever needs no access token is counted by the network that it comes from, and beside that by whom it is about, known
//! here or not: an address without an account is counted like any other. Whatever needs one is counted by its user.
//!
//! Beside these stand the counters of `lockout`, which are in the database always.

use std::time::Duration;

use service::rate_limit::Rule;

pub(crate) const LOGIN_IP: Rule = Rule::new("login-ip", 10, 10, Duration::from_mins(1));
/// Of an address whose password was wrong. Whoever asks is not told how often it was.
pub(crate) const LOGIN_ACCOUNT: Rule =
    Rule::new("login-account", 5, 10, Duration::from_mins(15)).untold().of_failures();
/// Of an account whose owner, signed in, gave a wrong current password.
pub(crate) const PASSWORD_ACCOUNT: Rule = Rule::new("password-account", 5, 10, Duration::from_mins(15)).of_failures();
pub(crate) const REGISTER_IP: Rule = Rule::new("register-ip", 5, 10, Duration::from_hours(1));
/// Asking for a mail, of any kind.
pub(crate) const MAIL_IP: Rule = Rule::new("mail-ip", 5, 10, Duration::from_hours(1));
/// An address that a mail is asked for. Its owner's business, so it is not told.
pub(crate) const MAIL_ADDRESS: Rule = Rule::new("mail-address", 3, 1, Duration::from_hours(1)).untold();
/// Showing a token of a mail.
pub(crate) const TOKEN_IP: Rule = Rule::new("token-ip", 10, 30, Duration::from_mins(5));
/// Showing a refresh token.
pub(crate) const REFRESH_IP: Rule = Rule::new("refresh-ip", 30, 150, Duration::from_mins(5));
pub(crate) const REFRESH_SESSION: Rule = Rule::new("refresh-session", 10, 30, Duration::from_mins(5));
/// Everything that needs an access token.
pub(crate) const USER: Rule = Rule::new("user", 120, 600, Duration::from_mins(1)).taken_ahead();

pub(crate) const ALL: &[&Rule] = &[
    &LOGIN_IP,
    &LOGIN_ACCOUNT,
    &PASSWORD_ACCOUNT,
    &REGISTER_IP,
    &MAIL_IP,
    &MAIL_ADDRESS,
    &TOKEN_IP,
    &REFRESH_IP,
    &REFRESH_SESSION,
    &USER,
];
