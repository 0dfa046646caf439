//! Accounts with their events, as auth-service makes them, but without its HTTP and its password hashing: hashing
//! thousands of passwords takes minutes.

use schemas::{AccountStatus, Clock, Envelope, Header, Roles, Sequence, ServiceName, UserCreatedV2, event_id};
use sqlx::PgConnection;
use uuid::Uuid;

/// Makes an account in the caller's transaction; `spoil` may break its event before it goes into the outbox. Answers
/// the account's id.
pub async fn make_account(
    connection: &mut PgConnection,
    email: &str,
    spoil: impl FnOnce(&mut Envelope),
) -> anyhow::Result<Uuid> {
    const SOURCE: &str = auth_service::NAME;
    let now = Clock::system().now();
    let (user_id, sequence) = (event_id(now), Sequence::after(None, now));
    sqlx::query(
        "WITH account AS (
             INSERT INTO users (id, email, password_hash, sequence, created_at, updated_at)
             VALUES ($1, $2, 'none', $3, $4, $4)
             RETURNING id
         )
         INSERT INTO user_roles (user_id, role, granted_at) SELECT id, 'user', $4 FROM account",
    )
    .bind(user_id)
    .bind(email)
    .bind(sequence.get())
    .bind(now)
    .execute(&mut *connection)
    .await?;
    let event = UserCreatedV2 {
        user_id,
        email: email.to_owned().try_into()?,
        timestamp: now,
        source: ServiceName::AUTH_SERVICE,
        display_name: None,
        email_verified: false,
        roles: Roles::of_a_new_account(),
        status: AccountStatus::Active,
    };
    let header = Header { id: event_id(now), source: SOURCE, time: now, sequence, traceparent: None };
    let mut envelope = Envelope::new(&event, header)?;
    spoil(&mut envelope);
    outbox::append(connection, &envelope).await?;
    Ok(user_id)
}
