//! A user's own change: one transaction, which has the user's profile locked from its start.
//!
//! The row of a profile is where everybody meets who writes anything of a user: handlers of events, this, and an erasure. So of
//! a change and an erasure at the same moment, either the change is there already and goes with all the rest, or it finds the
//! tombstone and is refused; and changes of one user follow each other, which limits, defaults and idempotency keys stand on.
//!
//! A user whose `user.created` is still on its way has no row. It is made here, with nothing in it, and the event fills it.

use service::postgres::{PooledConnection, Transaction};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    Refusal, Store,
    profile::{Caller, Profile},
};

/// Dropped without [`commit`](Self::commit), nothing happened.
pub(crate) struct Writing<'a> {
    transaction: Transaction<'a>,
    now: OffsetDateTime,
    pub profile: Profile,
}

impl Store {
    /// Refused where the caller may not be here any more by now.
    pub(crate) async fn begin<'a>(
        &self,
        connection: &'a mut PooledConnection,
        caller: Caller,
    ) -> Result<Writing<'a>, Refusal> {
        let mut transaction = connection.begin().await?;
        let mut profile = Profile::lock(&mut transaction, caller.user_id).await?;
        if profile.is_none() {
            sqlx::query!(
                "INSERT INTO user_profiles (user_id) VALUES ($1) ON CONFLICT (user_id) DO NOTHING",
                caller.user_id
            )
            .execute(&mut *transaction)
            .await?;
            profile = Profile::lock(&mut transaction, caller.user_id).await?;
        }
        let profile = profile.ok_or(Refusal::Stored("profile"))?;
        caller.admit(&profile)?;
        Ok(Writing { transaction, now: self.now(), profile })
    }
}

impl Writing<'_> {
    /// The one moment that everything in this change happens at.
    pub fn now(&self) -> OffsetDateTime {
        self.now
    }

    pub fn user(&self) -> Uuid {
        self.profile.user_id
    }

    pub fn new_id(&self) -> Uuid {
        schemas::event_id(self.now)
    }

    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    pub async fn commit(self) -> Result<(), Refusal> {
        Ok(self.transaction.commit().await?)
    }
}
