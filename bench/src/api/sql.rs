//! The statements of auth-service and user-service that bare handlers run.

pub const STANDING: &str = include_str!("../../sql/standing.sql");
pub const PROFILES: &str = include_str!("../../sql/profiles.sql");
pub const SESSIONS: &str = include_str!("../../sql/sessions.sql");
pub const KNOWN_REFRESH_TOKEN: &str = include_str!("../../sql/known_refresh_token.sql");
pub const LOCK_ACCOUNT: &str = include_str!("../../sql/lock_account.sql");
pub const SHOWN_SESSION: &str = include_str!("../../sql/shown_session.sql");
pub const SHOWN_TOKEN: &str = include_str!("../../sql/shown_token.sql");
pub const ADD_REFRESH_TOKEN: &str = include_str!("../../sql/add_refresh_token.sql");
pub const USE_REFRESH_TOKEN: &str = include_str!("../../sql/use_refresh_token.sql");
pub const TOUCH_SESSION: &str = include_str!("../../sql/touch_session.sql");
pub const ROLES: &str = include_str!("../../sql/roles.sql");
pub const SESSION_OF_REFRESH_TOKEN: &str = include_str!("../../sql/session_of_refresh_token.sql");
pub const END_SESSIONS: &str = include_str!("../../sql/end_sessions.sql");
pub const AUDIT: &str = include_str!("../../sql/audit.sql");
pub const OWNER_OF_VERIFICATION: &str = include_str!("../../sql/owner_of_verification.sql");
pub const USE_VERIFICATION: &str = include_str!("../../sql/use_verification.sql");
pub const MARK_VERIFIED: &str = include_str!("../../sql/mark_verified.sql");
pub const RAISE_SEQUENCE: &str = include_str!("../../sql/raise_sequence.sql");
pub const APPEND_EVENT: &str = include_str!("../../sql/append_event.sql");
pub const ASK: &str = include_str!("../../sql/ask.sql");
pub const COUNT_ATTEMPT: &str = include_str!("../../sql/count_attempt.sql");
pub const OPEN_SESSION: &str = include_str!("../../sql/open_session.sql");
pub const ADD_VERIFICATION: &str = include_str!("../../sql/add_verification.sql");
pub const APPEND_EVENTS: &str = include_str!("../../sql/append_events.sql");
pub const AUDIT_TRAIL: &str = include_str!("../../sql/audit_trail.sql");
pub const PROFILE: &str = include_str!("../../sql/profile.sql");
pub const WISHLIST: &str = include_str!("../../sql/wishlist.sql");

/// For the test that compares them with what was compiled.
#[cfg(test)]
pub const ALL: &[&str] = &[
    STANDING,
    PROFILES,
    SESSIONS,
    KNOWN_REFRESH_TOKEN,
    LOCK_ACCOUNT,
    SHOWN_SESSION,
    SHOWN_TOKEN,
    ADD_REFRESH_TOKEN,
    USE_REFRESH_TOKEN,
    TOUCH_SESSION,
    ROLES,
    SESSION_OF_REFRESH_TOKEN,
    END_SESSIONS,
    AUDIT,
    OWNER_OF_VERIFICATION,
    USE_VERIFICATION,
    MARK_VERIFIED,
    RAISE_SEQUENCE,
    APPEND_EVENT,
    ASK,
    COUNT_ATTEMPT,
    OPEN_SESSION,
    ADD_VERIFICATION,
    APPEND_EVENTS,
    AUDIT_TRAIL,
    PROFILE,
    WISHLIST,
];
