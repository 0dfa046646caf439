//! Profiles, read from Redis where they are there and from the database where not.
//!
//! The database says first which version the account's row has: whoever is signed in was looked up with it, and by address
//! it is asked for. So what was kept is served only as long as it is what the row says. The status is never kept: it decides
//! who may do what, and comes from the row each time.

use serde::{Deserialize, Serialize};
use service::{
    cache::{Cache, Fetched, Version},
    postgres::Pool,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::profile::{self, Profile, ProfileFilter};
use crate::{EmailAddress, Failure};

/// Reads them. Cheap to clone.
#[derive(Clone)]
pub struct Profiles {
    pool: Pool,
    cache: Cache,
}

/// What metrics call the cache.
pub const CACHE: &str = "user";

/// A profile without its status, as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    user_id: Uuid,
    email: String,
    email_verified: bool,
    display_name: Option<String>,
    roles: Vec<String>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
}

/// What is kept of an account, before its row was seen.
#[derive(Debug, Clone)]
pub struct FetchedProfile {
    id: Uuid,
    entry: Fetched,
}

/// What the row says now, beside which a kept profile is held.
struct Now {
    id: Uuid,
    version: Version,
    status: String,
}

impl Profiles {
    pub fn new(pool: Pool, cache: Cache) -> Self {
        Self { pool, cache }
    }

    /// What is kept of an account, to be made use of by [`of_active`](Self::of_active) once its row was seen.
    pub async fn fetch(&self, id: Uuid) -> FetchedProfile {
        FetchedProfile { id, entry: self.cache.fetch(&id_key(id)).await }
    }

    /// Of an account that is active, and whose row had this version a moment ago, after `fetched`.
    pub async fn of_active(&self, fetched: FetchedProfile, version: Version) -> Result<Option<Profile>, Failure> {
        let FetchedProfile { id, entry } = fetched;
        let now = Now { id, version, status: "active".to_owned() };
        match self.kept(entry, &now) {
            Some(profile) => Ok(Some(profile)),
            None => self.read(id).await,
        }
    }

    /// Of the account that has this address, in whatever status.
    pub async fn of_address(&self, email: &EmailAddress) -> Result<Option<Profile>, Failure> {
        let row = sqlx::query!("SELECT id, sequence, status FROM users WHERE email = $1", email.as_str());
        let Some(row) = row.fetch_optional(&self.pool).await? else { return Ok(None) };
        let now = Now { id: row.id, version: Version(row.sequence), status: row.status };
        match self.kept(self.cache.fetch(&email_key(email)).await, &now) {
            Some(profile) => Ok(Some(profile)),
            None => self.read(now.id).await,
        }
    }

    fn kept(&self, entry: Fetched, now: &Now) -> Option<Profile> {
        let bytes = self.cache.of_version(entry, now.version)?;
        // Of another program version, it may be something else.
        let kept: Kept = serde_json::from_slice(&bytes).ok()?;
        // An address may have become another account's.
        (kept.user_id == now.id).then(|| kept.with_status(now))
    }

    async fn read(&self, id: Uuid) -> Result<Option<Profile>, Failure> {
        let filter = ProfileFilter { id: Some(id), ..ProfileFilter::default() };
        let Some(profile) = profile::list(&self.pool, &filter, 1).await?.pop() else { return Ok(None) };
        if let (Ok(bytes), Ok(email)) = (serde_json::to_vec(&Kept::of(&profile)), EmailAddress::parse(&profile.email)) {
            let keys = [id_key(id), email_key(&email)];
            self.cache.set(&keys.each_ref().map(String::as_str), Version(profile.sequence), &bytes).await;
        }
        Ok(Some(profile))
    }
}

impl Kept {
    fn of(profile: &Profile) -> Self {
        Self {
            user_id: profile.user_id,
            email: profile.email.clone(),
            email_verified: profile.email_verified,
            display_name: profile.display_name.clone(),
            roles: profile.roles.clone(),
            created_at: profile.created_at,
            updated_at: profile.updated_at,
        }
    }

    fn with_status(self, now: &Now) -> Profile {
        let Self { user_id, email, email_verified, display_name, roles, created_at, updated_at } = self;
        let (status, sequence) = (now.status.clone(), now.version.0);
        Profile { user_id, email, email_verified, display_name, status, roles, created_at, updated_at, sequence }
    }
}

pub(crate) fn id_key(id: Uuid) -> String {
    format!("user:id:{id}")
}

pub(crate) fn email_key(email: &EmailAddress) -> String {
    format!("user:email:{}", email.as_str())
}
