//! Accounts: who may sign in, with what, and as whom.
//!
//! Every change is one transaction: the rows, the entry in the audit trail and the events are committed together or not at
//! all (`change`). A refusal is an outcome and no error, so what led to it, such as a session that ends because its refresh
//! token was used twice, is committed as well.
//!
//! Invariant: nobody learns from this API whether an address has an account. Registering, asking for a mail and signing in
//! answer the same either way, and hash the same; asking for a mail is only written down in the request, and done afterwards
//! (`account_requests`). What differs goes by mail to the owner of the address.
//!
//! No secret leaves in clear: passwords are kept as Argon2id hashes, tokens as SHA-256 hashes, tokens for the mailer go
//! sealed. This crate owns the tables of `auth_db`. It knows nothing of the bus, but for the one event that it listens to.

mod account;
mod account_requests;
mod api;
mod audit;
mod change;
pub mod current_state;
mod erasure;
mod failure;
mod limits;
mod lockout;
mod mail_requests;
mod measure;
mod origin;
mod password;
mod pseudonym;
pub mod retention;
mod secret_token;
mod session;
mod settings;
mod signing;

use schemas::{
    Event, EventType, UserCreatedV2, UserDeactivatedV1, UserDeletedV1, UserEmailChangedV1,
    UserEmailVerificationRequestedV1, UserEmailVerifiedV1, UserPasswordChangedV1, UserPasswordResetRequestedV1,
    UserReactivatedV1, UserRegistrationRepeatedV1, UserRolesChangedV1, UserSessionsRevokedV1,
};

pub use account::{
    EmailAddress, InvalidEmailAddress,
    administration::{self, Administered, By},
    profile::{self, Profile, ProfileFilter},
    profiles::CACHE as USER_CACHE,
    registration::{Applicant, Registered, Registration},
    verification::{Verification, VerificationRule},
};
pub use account_requests::{RequestRound, RequestWorker};
pub use api::{Parts, UseCases, health, internal_router, router};
pub use audit::{AuditEntry, AuditFilter};
pub use change::Store;
pub use erasure::{Erased, Erasure, ErasureFilter, announce_open, consumer, erase};
pub use failure::Failure;
pub use mail_requests::{MailerKey, MailerKeyError, MailerKeySource};
pub use measure::describe_metrics;
pub use origin::Origin;
pub use password::{
    Changed, HashError, HashLimits, NewPassword, Password, PasswordChange, PasswordHasher, PasswordPolicy,
    PasswordReset, Reset, UnfitPassword,
};
pub use pseudonym::{Pseudonyms, UnfitPseudonymKey};
pub use retention::Retention;
#[doc(hidden)]
pub use secret_token::read_and_printed_again;
pub use session::{TokenIssuer, Tokens, list::Session, login::Login, refresh::Refreshing};
pub use settings::{AuthKeys, AuthSettings, PseudonymKey, PseudonymKeyError};
pub use signing::{
    ACCESS_TOKEN_LIFE, DatedKey, KeyState, KeysError, PUBLISHED_AHEAD, SET_MAX_AGE, SigningKeySource, SigningKeys,
    dated_states,
};

/// The service's name: the `source` of its events, and what databases and metrics call it.
pub const NAME: &str = "auth-service";

/// What the catalog says of it: Markdown.
pub const ABOUT: &str = include_str!("../about.md");

/// The events that it sends.
pub const SENDS: &[EventType] = &[
    UserCreatedV2::TYPE,
    UserDeactivatedV1::TYPE,
    UserDeletedV1::TYPE,
    UserEmailChangedV1::TYPE,
    UserEmailVerificationRequestedV1::TYPE,
    UserEmailVerifiedV1::TYPE,
    UserPasswordChangedV1::TYPE,
    UserPasswordResetRequestedV1::TYPE,
    UserReactivatedV1::TYPE,
    UserRegistrationRepeatedV1::TYPE,
    UserRolesChangedV1::TYPE,
    UserSessionsRevokedV1::TYPE,
];
