//! The kinds of problems that this API has beside what every API has.

use std::time::Duration;

use axum::http::StatusCode;
use service::{ErrorChain, Problem, postgres, problem::Kind};

use crate::{Failure, HashError, account::administration::Administered};

pub const INVALID_CREDENTIALS: Kind = Kind::named(
    StatusCode::UNAUTHORIZED,
    "invalid-credentials",
    "That does not sign anybody in",
    "the address or the password is wrong, or the account can't be signed into: it may not be verified yet, or locked for \
     a while after too many attempts",
);
pub const INVALID_REFRESH_TOKEN: Kind = Kind::named(
    StatusCode::UNAUTHORIZED,
    "invalid-refresh-token",
    "The session can't go on",
    "the refresh token is unknown, too old or was used before, or its session has ended: sign in again",
);
pub const INVALID_TOKEN: Kind = Kind::named(
    StatusCode::BAD_REQUEST,
    "invalid-token",
    "The link is not good any more",
    "the token is unknown, too old, was used, or was replaced by a newer one: ask for another mail",
);
pub const WRONG_PASSWORD: Kind = Kind::named(
    StatusCode::FORBIDDEN,
    "wrong-password",
    "The current password is wrong",
    "it is wrong, or was tried too often",
);
pub const REAUTHENTICATION_REQUIRED: Kind = Kind::named(
    StatusCode::FORBIDDEN,
    "reauthentication-required",
    "The password was proved too long ago",
    "sign in again, and repeat this within five minutes",
);
pub const NO_SUCH_ACCOUNT: Kind = Kind::named(
    StatusCode::NOT_FOUND,
    "no-such-account",
    "There is no such account",
    "there is none, or it was erased",
);
pub const NO_SUCH_SESSION: Kind =
    Kind::named(StatusCode::NOT_FOUND, "no-such-session", "There is no such session", "there is none, or it has ended");
pub const NO_SUCH_ROLE: Kind =
    Kind::named(StatusCode::NOT_FOUND, "no-such-role", "There is no such role", "roles are `user` and `admin`");
pub const OWN_ROLES: Kind =
    Kind::named(StatusCode::CONFLICT, "own-roles", "Nobody gives roles to themselves", "another administrator can");
pub const LAST_ADMINISTRATOR: Kind = Kind::named(
    StatusCode::CONFLICT,
    "last-administrator",
    "There would be no administrator left",
    "make somebody else one first",
);

pub const ALL: &[&Kind] = &[
    &INVALID_CREDENTIALS,
    &INVALID_REFRESH_TOKEN,
    &INVALID_TOKEN,
    &WRONG_PASSWORD,
    &REAUTHENTICATION_REQUIRED,
    &NO_SUCH_ACCOUNT,
    &NO_SUCH_SESSION,
    &NO_SUCH_ROLE,
    &OWN_ROLES,
    &LAST_ADMINISTRATOR,
];

const AGAIN_SOON: Duration = Duration::from_secs(1);

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match &failure {
            Failure::Hash(HashError::Busy) => Self::overloaded(AGAIN_SOON),
            Failure::Database(source) | Failure::Append(outbox::AppendError::Database(source))
                if postgres::is_unavailable(source) =>
            {
                tracing::warn!(error = %ErrorChain(&failure), "the database is not there");
                Self::unavailable(AGAIN_SOON)
            }
            _ => Self::internal(&failure),
        }
    }
}

/// What was asked for is so, now or already; or why it can't be.
pub fn administered(outcome: Administered) -> Result<StatusCode, Problem> {
    let kind = match outcome {
        Administered::Done | Administered::AlreadyThere => return Ok(StatusCode::NO_CONTENT),
        Administered::NoSuchAccount => &NO_SUCH_ACCOUNT,
        Administered::NoSuchRole => &NO_SUCH_ROLE,
        Administered::NotAllowed => &service::problem::kind::FORBIDDEN,
        Administered::OwnRoles => &OWN_ROLES,
        Administered::LastAdministrator => &LAST_ADMINISTRATOR,
    };
    Err(Problem::new(kind))
}
