//! The kinds of problems that this API has beside what every API has.

use std::time::Duration;

use axum::http::StatusCode;
use service::{
    ErrorChain, Problem, postgres,
    problem::{FieldError, Kind, kind},
};

use super::caller;
use crate::{Refusal, refusal::Thing};

pub const ACCOUNT_DEACTIVATED: Kind = Kind::named(
    StatusCode::FORBIDDEN,
    "account-deactivated",
    "The account is out of use",
    "everything is kept, and there again once an administrator puts the account into use",
);
pub const ACCOUNT_ERASED: Kind = Kind::named(
    StatusCode::GONE,
    "account-erased",
    "The account was erased",
    "nothing of it is kept, and it does not come back",
);
pub const NO_SUCH_ADDRESS: Kind =
    Kind::named(StatusCode::NOT_FOUND, "no-such-address", "There is no such address", "there is none of this user's");
pub const NO_SUCH_PAYMENT_METHOD: Kind = Kind::named(
    StatusCode::NOT_FOUND,
    "no-such-payment-method",
    "There is no such payment method",
    "there is none of this user's",
);
pub const NO_SUCH_PRODUCT: Kind = Kind::named(
    StatusCode::NOT_FOUND,
    "no-such-product",
    "There can be no such product",
    "the last part of the path should be a product's id, a UUID",
);
pub const NO_SUCH_USER: Kind = Kind::named(
    StatusCode::NOT_FOUND,
    "no-such-user",
    "There is no such user",
    "nothing was heard of them, or not yet",
);
pub const LIMIT_REACHED: Kind = Kind::named(
    StatusCode::CONFLICT,
    "limit-reached",
    "As many are kept as may be",
    "take one away before another is added",
);
pub const TOKEN_KEPT: Kind = Kind::named(
    StatusCode::CONFLICT,
    "payment-method-kept",
    "This is kept already",
    "the provider's token stands for a payment method that is kept already: each is added once",
);
pub const CARD_NUMBER: Kind = Kind::named(
    StatusCode::UNPROCESSABLE_ENTITY,
    "card-number",
    "This may hold the number of a card",
    "13 to 19 digits that may be a card's number are refused wherever they stand: send what the provider gave for the card",
);
pub const KEY_REQUIRED: Kind = Kind::named(
    StatusCode::BAD_REQUEST,
    "idempotency-key-required",
    "Which attempt this is is not known",
    "the header `idempotency-key` should hold 1 to 255 visible ASCII characters that the client made up for this attempt, \
     such as a UUID, in quotes or not",
);
pub const KEY_REUSED: Kind = Kind::named(
    StatusCode::UNPROCESSABLE_ENTITY,
    "idempotency-key-reused",
    "The key stands for another request",
    "a key is made up for one request, and sent again with that one only",
);

pub const ALL: &[&Kind] = &[
    &ACCOUNT_DEACTIVATED,
    &ACCOUNT_ERASED,
    &NO_SUCH_ADDRESS,
    &NO_SUCH_PAYMENT_METHOD,
    &NO_SUCH_PRODUCT,
    &NO_SUCH_USER,
    &LIMIT_REACHED,
    &TOKEN_KEPT,
    &CARD_NUMBER,
    &KEY_REQUIRED,
    &KEY_REUSED,
];

const AGAIN_SOON: Duration = Duration::from_secs(1);

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let invalid = |field, message: &str| Self::invalid_fields(vec![FieldError::new(field, message)]);
        match &refusal {
            Refusal::Revoked => caller::revoked(),
            Refusal::Deactivated => Self::new(&ACCOUNT_DEACTIVATED),
            Refusal::Erased => Self::new(&ACCOUNT_ERASED),
            Refusal::NoSuch(thing) => Self::new(no_such(*thing)),
            Refusal::Outdated => Self::new(&kind::OUTDATED),
            Refusal::TooMany(most) => {
                Self::new(&LIMIT_REACHED).detail(format!("{most} are kept: take one away before another is added"))
            }
            Refusal::TokenKept => Self::new(&TOKEN_KEPT),
            Refusal::KeyReused => Self::new(&KEY_REUSED),
            Refusal::Expired => invalid("expYear", "should be, with `expMonth`, of a card that has not expired"),
            Refusal::UnknownTimeZone => {
                invalid("timeZone", "should be a time zone of the IANA's, such as Europe/Berlin")
            }
            Refusal::Database(source) if postgres::is_unavailable(source) => {
                tracing::warn!(error = %ErrorChain(&refusal), "the database is not there");
                Self::unavailable(AGAIN_SOON)
            }
            Refusal::Database(_) | Refusal::Stored(_) | Refusal::Answer(_) => Self::internal(&refusal),
        }
    }
}

pub fn no_such(thing: Thing) -> &'static Kind {
    match thing {
        Thing::Address => &NO_SUCH_ADDRESS,
        Thing::PaymentMethod => &NO_SUCH_PAYMENT_METHOD,
        Thing::User => &NO_SUCH_USER,
    }
}
