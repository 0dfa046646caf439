use sqlx::PgConnection;

/// Rows that no longer tell of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Forgotten {
    /// Published: the payload was taken away.
    pub payloads: u64,
    /// Not published: the row was taken away.
    pub unpublished: u64,
}

/// Takes away what the outbox holds of a subject that is being erased, in the caller's transaction: to be followed by
/// [`append`](crate::append()) of the event that says so, which is the only one that still matters. What a relay is publishing at
/// this moment may still go; consumers order it by its `sequence`, as ever. Doesn't commit.
pub async fn forget_subject(connection: &mut PgConnection, subject: &str) -> Result<Forgotten, sqlx::Error> {
    let payloads = sqlx::query!(
        "UPDATE outbox SET envelope = NULL WHERE status = 'published' AND envelope IS NOT NULL AND subject = $1",
        subject
    )
    .execute(&mut *connection)
    .await?
    .rows_affected();
    let pending = sqlx::query!("DELETE FROM outbox WHERE status = 'pending' AND subject = $1", subject)
        .execute(&mut *connection)
        .await?
        .rows_affected();
    let failed = sqlx::query!("DELETE FROM outbox WHERE status = 'failed' AND subject = $1", subject)
        .execute(connection)
        .await?
        .rows_affected();
    Ok(Forgotten { payloads, unpublished: pending + failed })
}
