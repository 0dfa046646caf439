use sealing::SealError;

use crate::{
    HashError,
    password::{argon2id::UnreadableHash, hashing::VerifyError},
    secret_token::NoRandomBytes,
};

/// Why a use case could not be carried out, through no fault of who asked. What they did wrong is an outcome instead, so
/// that what was changed on the way to it (an attempt counted, a family revoked) is committed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("a password could not be hashed")]
    Hash(#[from] HashError),
    #[error("a stored password hash can't be read")]
    StoredHash(#[from] UnreadableHash),
    #[error("the database could not be read or written")]
    Database(#[from] sqlx::Error),
    #[error("a stored account can't be read: its {0} is not what it should be")]
    StoredAccount(&'static str),
    #[error("a stored request can't be read: its {0} is not what it should be")]
    StoredRequest(&'static str),
    #[error("an event could not be built")]
    Event(#[from] serde_json::Error),
    #[error("an event could not be appended to the outbox")]
    Append(#[from] outbox::AppendError),
    #[error("a token could not be sealed for the mailer")]
    Seal(#[from] SealError),
    #[error("an access token could not be signed")]
    Sign(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("no token could be made")]
    Random(#[from] NoRandomBytes),
}

impl From<VerifyError> for Failure {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Hash(error) => Self::Hash(error),
            VerifyError::Unreadable(error) => Self::StoredHash(error),
        }
    }
}
