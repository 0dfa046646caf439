//! What is so of every account now, as events: for a consumer that is new or was emptied.
//!
//! Whoever applies them, in any order and among any others, has of each account what the events that were sent of it say
//! together. Each tells of one moment, and has the version that the account had then; what happened since has a later one.

use schemas::{
    AccountStatus, BackfillRun, DeactivationReason, DisplayName, Envelope, Event, EventType, Sequence, ServiceName,
    TokenVersion, UserCreatedV2, UserDeactivatedV1, UserDeletedV1, UserSessionsRevokedV1,
};
use sqlx::PgExecutor;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    EmailAddress, Failure, NAME,
    account::{roles_from, status, token_version},
};

/// The events that it takes.
pub const TELLS: &[EventType] =
    &[UserCreatedV2::TYPE, UserDeactivatedV1::TYPE, UserDeletedV1::TYPE, UserSessionsRevokedV1::TYPE];

/// An account's row, with what hangs on it.
struct Row {
    id: Uuid,
    email: Option<String>,
    email_verified: bool,
    display_name: Option<String>,
    status: String,
    deactivation_reason: Option<String>,
    min_token_version: i64,
    sequence: i64,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
    roles: Vec<String>,
    erasure_id: Option<Uuid>,
}

/// The accounts after `after`, in the order of their ids, at most `limit`, each with the events that tell of it.
pub async fn page(
    executor: impl PgExecutor<'_>,
    run: BackfillRun,
    after: Option<Uuid>,
    limit: u16,
) -> Result<Vec<(Uuid, Vec<Envelope>)>, Failure> {
    // One statement: what it reads of an account is of one moment, the version too.
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT u.id, u.email, u.email_verified_at IS NOT NULL AS "email_verified!", u.display_name, u.status,
                  CASE u.status WHEN 'deactivated' THEN
                       coalesce(u.deactivation_reason,
                                (SELECT a.reason FROM security_audit_logs a
                                  WHERE a.subject_id = u.id AND a.action = 'deactivate' AND a.outcome = 'success'
                                  ORDER BY a.id DESC LIMIT 1))
                  END AS deactivation_reason,
                  u.min_token_version, u.sequence, u.created_at, u.updated_at,
                  coalesce((SELECT array_agg(r.role ORDER BY r.role) FROM user_roles r WHERE r.user_id = u.id),
                           '{}') AS "roles!",
                  (SELECT e.id FROM erasures e WHERE e.user_id = u.id) AS erasure_id
             FROM users u
            WHERE u.id > $1
            ORDER BY u.id
            LIMIT $2"#,
        after.unwrap_or_default(),
        i64::from(limit),
    )
    .fetch_all(executor)
    .await?;
    rows.into_iter().map(|row| Ok((row.id, row.events(run)?))).collect()
}

/// How many accounts there are after `after`.
pub async fn count_after(executor: impl PgExecutor<'_>, after: Option<Uuid>) -> Result<i64, Failure> {
    let count =
        sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM users WHERE id > $1"#, after.unwrap_or_default());
    Ok(count.fetch_one(executor).await?)
}

impl Row {
    fn events(self, run: BackfillRun) -> Result<Vec<Envelope>, Failure> {
        let sequence = Sequence::from_stored(self.sequence);
        if self.status == "deleted" {
            return Ok(vec![run.envelope(NAME, sequence, &self.deleted()?)?]);
        }
        let created = self.created()?;
        let min_token_version = token_version(self.min_token_version)?;
        match created.status {
            AccountStatus::Deactivated => {
                // Both events say the account's status, and only the second one why. Of two with one version the first to be
                // applied would stay; so the first is one behind, as if the account had been made like this, and then
                // deactivated.
                let before = Sequence::from_stored(self.sequence - 1);
                let deactivated = self.deactivated(&created, min_token_version)?;
                Ok(vec![run.envelope(NAME, before, &created)?, run.envelope(NAME, sequence, &deactivated)?])
            }
            // The lowest one says nothing: nobody holds a token of a lower one.
            AccountStatus::Active if min_token_version.get() > 1 => {
                let revoked = UserSessionsRevokedV1 {
                    user_id: self.id,
                    email: created.email.clone(),
                    timestamp: self.updated_at,
                    source: ServiceName::AUTH_SERVICE,
                    min_token_version,
                };
                Ok(vec![run.envelope(NAME, sequence, &created)?, run.envelope(NAME, sequence, &revoked)?])
            }
            AccountStatus::Active => Ok(vec![run.envelope(NAME, sequence, &created)?]),
        }
    }

    fn created(&self) -> Result<UserCreatedV2, Failure> {
        let unreadable = Failure::StoredAccount;
        let email = self.email.as_deref().ok_or(unreadable("email"))?;
        let display_name = self.display_name.as_deref().map(str::parse::<DisplayName>).transpose();
        Ok(UserCreatedV2 {
            user_id: self.id,
            email: EmailAddress::parse(email).map_err(|_| unreadable("email"))?.into_email(),
            // The earliest one is when the user registered.
            timestamp: self.created_at,
            source: ServiceName::AUTH_SERVICE,
            display_name: display_name.map_err(|_| unreadable("display_name"))?,
            email_verified: self.email_verified,
            roles: roles_from(self.roles.clone())?,
            status: status(&self.status)?,
        })
    }

    fn deactivated(
        &self,
        created: &UserCreatedV2,
        min_token_version: TokenVersion,
    ) -> Result<UserDeactivatedV1, Failure> {
        // Known by neither the row nor the trail, where both are older than what they would say it in.
        let reason = self.deactivation_reason.as_deref().unwrap_or("unknown");
        Ok(UserDeactivatedV1 {
            user_id: self.id,
            email: created.email.clone(),
            timestamp: self.updated_at,
            source: ServiceName::AUTH_SERVICE,
            status: created.status,
            reason: reason.parse::<DeactivationReason>().map_err(|_| Failure::StoredAccount("deactivation_reason"))?,
            min_token_version,
        })
    }

    /// Whoever applies it answers, and an answer that is there already changes nothing in the ledger.
    fn deleted(&self) -> Result<UserDeletedV1, Failure> {
        Ok(UserDeletedV1 {
            user_id: self.id,
            timestamp: self.updated_at,
            source: ServiceName::AUTH_SERVICE,
            erasure_id: self.erasure_id.ok_or(Failure::StoredAccount("erasure"))?,
        })
    }
}
