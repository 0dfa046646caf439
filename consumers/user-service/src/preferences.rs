//! How a user wants to be spoken to. Whoever has said nothing has the defaults, which are version 0.

use schemas::Locale;
use serde::Serialize;
use service::http::{EntityTag, IfMatch};
use sqlx::PgExecutor;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    Refusal, Store,
    profile::Caller,
    values::{CurrencyInUse, TimeZone},
};

/// What a user prefers.
#[derive(Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Preferences {
    /// By BCP 47.
    #[schema(example = "de-AT")]
    pub locale: String,
    #[schema(value_type = CurrencyInUse)]
    pub currency: String,
    /// Of the IANA's.
    #[schema(example = "Europe/Vienna")]
    pub time_zone: String,
    /// Whether news may be mailed.
    pub marketing_emails: bool,
    /// Whether it may be mailed that something on the wishlist costs less.
    pub price_drop_emails: bool,
    #[serde(skip)]
    pub(crate) version: i64,
}

/// All of them.
#[derive(Clone)]
pub struct NewPreferences {
    pub locale: Locale,
    pub currency: CurrencyInUse,
    pub time_zone: TimeZone,
    pub marketing_emails: bool,
    pub price_drop_emails: bool,
}

/// As the table's own.
impl Default for Preferences {
    fn default() -> Self {
        Self {
            locale: "en".to_owned(),
            currency: "EUR".to_owned(),
            time_zone: "UTC".to_owned(),
            marketing_emails: false,
            price_drop_emails: false,
            version: 0,
        }
    }
}

impl Preferences {
    /// Which version this is. The defaults are one, too: whoever saw them may say so.
    pub fn tag(&self) -> EntityTag {
        EntityTag::of_version(self.version)
    }

    async fn of(executor: impl PgExecutor<'_>, user: Uuid) -> Result<Self, Refusal> {
        let row = sqlx::query_as!(
            Self,
            "SELECT locale, currency, time_zone, marketing_emails, price_drop_emails, version
               FROM user_preferences WHERE user_id = $1",
            user
        );
        Ok(row.fetch_optional(executor).await?.unwrap_or_default())
    }
}

/// As they are now, since whoever changes them has to have seen that.
pub(crate) async fn find(store: &Store, user: Uuid) -> Result<Preferences, Refusal> {
    Preferences::of(&store.pool, user).await
}

pub(crate) async fn replace(
    store: &Store,
    caller: Caller,
    seen: &IfMatch,
    new: NewPreferences,
) -> Result<Preferences, Refusal> {
    // Before the row is locked: the first time, it takes a while.
    let is_known = store.knows_time_zone(new.time_zone.as_str()).await?;
    let mut connection = store.pool.acquire().await?;
    let mut writing = store.begin(&mut connection, caller).await?;
    if !is_known {
        return Err(Refusal::UnknownTimeZone);
    }
    let (user, now) = (writing.user(), writing.now());
    let before = Preferences::of(writing.connection(), user).await?;
    if !seen.holds_for(before.tag()) {
        return Err(Refusal::Outdated);
    }
    let mut preferences = Preferences {
        locale: new.locale.as_str().to_owned(),
        currency: new.currency.as_str().to_owned(),
        time_zone: new.time_zone.as_str().to_owned(),
        marketing_emails: new.marketing_emails,
        price_drop_emails: new.price_drop_emails,
        version: before.version,
    };
    if preferences == before {
        return Ok(preferences);
    }
    preferences.version += 1;
    sqlx::query!(
        "INSERT INTO user_preferences
                (user_id, locale, currency, time_zone, marketing_emails, price_drop_emails, version, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)
         ON CONFLICT (user_id) DO UPDATE
            SET locale = excluded.locale, currency = excluded.currency, time_zone = excluded.time_zone,
                marketing_emails = excluded.marketing_emails, price_drop_emails = excluded.price_drop_emails,
                version = excluded.version, updated_at = excluded.updated_at",
        user,
        preferences.locale,
        preferences.currency,
        preferences.time_zone,
        preferences.marketing_emails,
        preferences.price_drop_emails,
        preferences.version,
        now,
    )
    .execute(writing.connection())
    .await?;
    writing.commit().await?;
    Ok(preferences)
}
