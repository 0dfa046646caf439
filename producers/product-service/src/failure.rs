/// Why a use case could not be carried out, through no fault of who asked. What they did wrong is an outcome instead.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("the database could not be read or written")]
    Database(#[from] sqlx::Error),
    #[error("a stored product can't be read: its {0} is not what it should be")]
    StoredProduct(&'static str),
    #[error("an event could not be built")]
    Event(#[from] serde_json::Error),
    #[error("an event could not be appended to the outbox")]
    Append(#[from] outbox::AppendError),
}
