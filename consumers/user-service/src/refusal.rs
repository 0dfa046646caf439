/// Why something was not done: what whoever asked can do about it, or what went wrong in here.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("the access token is of a version that has ended")]
    Revoked,
    #[error("the account is deactivated")]
    Deactivated,
    #[error("the account was erased")]
    Erased,
    #[error("there is no such {}", .0.as_str())]
    NoSuch(Thing),
    #[error("it is not what the client saw")]
    Outdated,
    #[error("as many are kept as may be: {0}")]
    TooMany(u16),
    #[error("the provider's token is kept already")]
    TokenKept,
    #[error("the card has expired")]
    Expired,
    #[error("the time zone is not one of the database's")]
    UnknownTimeZone,
    #[error("the key stands for another request")]
    KeyReused,
    #[error("the database could not be read or written")]
    Database(#[from] sqlx::Error),
    #[error("a stored row can't be read: its {0} is not what it should be")]
    Stored(&'static str),
    #[error("an answer could not be written")]
    Answer(#[from] serde_json::Error),
}

/// What users keep, and what administrators look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    Address,
    PaymentMethod,
    User,
}

impl Thing {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::PaymentMethod => "payment method",
            Self::User => "user",
        }
    }
}
