//! A user's profile, and whether its user may come in.

use schemas::DisplayName;
use service::http::{EntityTag, IfMatch};
use service::postgres::Pool;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Refusal, Store};

/// Whose access token was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    pub user_id: Uuid,
    /// Of the token.
    pub token_version: i64,
}

/// A row of `user_profiles`.
#[derive(Clone)]
pub struct Profile {
    pub user_id: Uuid,
    pub status: String,
    pub deactivation_reason: Option<String>,
    pub status_sequence: i64,
    pub email: Option<String>,
    pub email_verified: Option<bool>,
    pub email_sequence: i64,
    pub roles: Option<Vec<String>>,
    pub roles_sequence: i64,
    pub min_token_version: i64,
    pub registered_at: Option<OffsetDateTime>,
    pub display_name: Option<String>,
    pub display_name_edited: bool,
    pub edit_version: i64,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

/// A registration's time counts back from here: an earlier one that comes later makes a higher number.
const FAR_AHEAD: i128 = 1 << 53;

impl Caller {
    /// By the profile as it is now. Who is gone hears that first, since a deactivation and an erasure end all tokens as well.
    pub(crate) fn admit(&self, profile: &Profile) -> Result<(), Refusal> {
        match profile.status.as_str() {
            "deleted" => Err(Refusal::Erased),
            "deactivated" => Err(Refusal::Deactivated),
            _ if self.token_version < profile.min_token_version => Err(Refusal::Revoked),
            _ => Ok(()),
        }
    }
}

impl Profile {
    /// Of a user of whom nothing was heard yet.
    pub(crate) fn pending(user_id: Uuid, now: OffsetDateTime) -> Self {
        Self {
            user_id,
            status: "active".to_owned(),
            deactivation_reason: None,
            status_sequence: 0,
            email: None,
            email_verified: None,
            email_sequence: 0,
            roles: None,
            roles_sequence: 0,
            min_token_version: 1,
            registered_at: None,
            display_name: None,
            display_name_edited: false,
            edit_version: 0,
            created_at: now,
            updated_at: now,
        }
    }

    /// Always from the primary: it says who may come in.
    pub(crate) async fn find(pool: &Pool, user_id: Uuid) -> Result<Option<Self>, Refusal> {
        let row = sqlx::query_as!(
            Self,
            "SELECT user_id, status, deactivation_reason, status_sequence, email, email_verified, email_sequence, roles,
                    roles_sequence, min_token_version, registered_at, display_name, display_name_edited, edit_version,
                    created_at, updated_at
               FROM user_profiles WHERE user_id = $1",
            user_id
        );
        Ok(row.fetch_optional(pool).await?)
    }

    /// Locks the row until the transaction ends.
    pub(crate) async fn lock(connection: &mut PgConnection, user_id: Uuid) -> Result<Option<Self>, Refusal> {
        let row = sqlx::query_as!(
            Self,
            "SELECT user_id, status, deactivation_reason, status_sequence, email, email_verified, email_sequence, roles,
                    roles_sequence, min_token_version, registered_at, display_name, display_name_edited, edit_version,
                    created_at, updated_at
               FROM user_profiles WHERE user_id = $1 FOR NO KEY UPDATE",
            user_id
        );
        Ok(row.fetch_optional(connection).await?)
    }

    /// Whether `user.created` has been here, which alone says when the user registered.
    pub fn is_ready(&self) -> bool {
        self.registered_at.is_some()
    }

    /// Which version this is, for a client that reads it now and changes it later.
    ///
    /// What a profile shows is a function of four registers, none of which ever sinks, whoever sets it: the version of the
    /// address, that of the roles, the registration, and the user's own edits. So their sum is another one with every change.
    pub fn tag(&self) -> EntityTag {
        let registered = self.registered_at.map_or(0, |at| FAR_AHEAD - at.unix_timestamp_nanos() / 1_000);
        let edits = self.email_sequence.wrapping_add(self.roles_sequence).wrapping_add(self.edit_version);
        EntityTag::of_version(edits.wrapping_add(registered as i64))
    }
}

/// Calls the user as they wish; `None` takes their name away. What `user.created` says of it counts no more, also where it
/// comes later.
#[expect(clippy::option_option, reason = "it is not said, or to be taken away, or to be another")]
pub(crate) async fn rename(
    store: &Store,
    caller: Caller,
    seen: &IfMatch,
    name: Option<Option<DisplayName>>,
) -> Result<Profile, Refusal> {
    let mut connection = store.pool.acquire().await?;
    let mut writing = store.begin(&mut connection, caller).await?;
    if !seen.holds_for(writing.profile.tag()) {
        return Err(Refusal::Outdated);
    }
    let name = name.map(|name| name.map(|name| name.as_str().to_owned()));
    let is_so = |name: &Option<String>| writing.profile.display_name_edited && *name == writing.profile.display_name;
    let Some(name) = name.filter(|name| !is_so(name)) else { return Ok(writing.profile) };
    let mut profile = writing.profile.clone();
    profile.display_name = name;
    profile.display_name_edited = true;
    profile.edit_version += 1;
    profile.updated_at = writing.now();
    sqlx::query!(
        "UPDATE user_profiles
            SET display_name = $2, display_name_edited = true, edit_version = $3, updated_at = $4
          WHERE user_id = $1",
        profile.user_id,
        profile.display_name,
        profile.edit_version,
        profile.updated_at,
    )
    .execute(writing.connection())
    .await?;
    writing.commit().await?;
    Ok(profile)
}
