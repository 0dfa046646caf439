//! What a user pays with: what stands for a card at who charges it, and what tells its owner which card it is. A card's own
//! number is never here, and what stands for it is never shown.
//!
//! A card that has expired is not taken. One that expires while it is kept stays, since its expiry can be renewed.

mod changing;
mod list;

use serde::Serialize;
use service::http::EntityTag;
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    Refusal,
    refusal::Thing,
    values::{LastDigits, ProviderToken, ShortName},
    writing::Writing,
};

pub use changing::{add, change, remove};
pub use list::{find, list};

/// What a user pays with.
#[derive(Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaymentMethod {
    #[serde(rename = "paymentMethodId")]
    pub id: Uuid,
    /// Who charges it.
    #[schema(example = "stripe")]
    pub provider: String,
    #[schema(example = "visa")]
    pub brand: String,
    /// The last digits of the card's number.
    #[schema(example = "4242")]
    pub last4: String,
    #[schema(example = 12)]
    pub exp_month: i16,
    #[schema(example = 2099)]
    pub exp_year: i16,
    pub is_default: bool,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: OffsetDateTime,
    #[serde(skip)]
    pub(crate) version: i64,
}

/// What it begins as.
#[derive(Clone)]
pub struct NewPaymentMethod {
    pub provider: ShortName,
    pub provider_token: ProviderToken,
    pub brand: ShortName,
    pub last4: LastDigits,
    pub exp_month: i16,
    pub exp_year: i16,
    pub is_default: bool,
}

/// What is to be another. What is not said stays.
#[derive(Debug, Clone, Copy, Default)]
pub struct PaymentMethodEdit {
    pub exp_month: Option<i16>,
    pub exp_year: Option<i16>,
    pub is_default: Option<bool>,
}

/// How long a month goes on somewhere after it has ended in UTC.
const BEHIND_UTC: Duration = Duration::hours(12);

impl PaymentMethod {
    /// Which version this is, for a client that reads it now and changes it later.
    pub fn tag(&self) -> EntityTag {
        EntityTag::of_version(self.version)
    }

    /// Of the user whose profile is locked, so nobody changes it meanwhile.
    async fn own(writing: &mut Writing<'_>, id: Uuid) -> Result<Self, Refusal> {
        let user = writing.user();
        let row = sqlx::query_as!(
            Self,
            "SELECT id, provider, brand, last4, exp_month, exp_year, is_default, created_at, updated_at,
                    version
               FROM payment_methods WHERE id = $1 AND user_id = $2",
            id,
            user
        );
        row.fetch_optional(writing.connection()).await?.ok_or(Refusal::NoSuch(Thing::PaymentMethod))
    }
}

/// A card is good to the end of its month, wherever its owner is.
fn has_expired(year: i16, month: i16, now: OffsetDateTime) -> bool {
    let there = now - BEHIND_UTC;
    (i32::from(year), month) < (there.year(), i16::from(u8::from(there.month())))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_card_is_good_to_the_end_of_its_month_wherever_its_owner_is() {
        for (now, expired) in [
            (datetime!(2026-10-31 23:00 UTC), false),
            (datetime!(2026-11-30 23:59 UTC), false),
            (datetime!(2026-12-01 11:59 UTC), false),
            (datetime!(2026-12-01 12:00 UTC), true),
            (datetime!(2027-01-01 00:00 UTC), true),
        ] {
            assert_eq!(has_expired(2026, 11, now), expired, "{now}");
        }
        assert!(!has_expired(2027, 1, datetime!(2026-12-15 00:00 UTC)));
    }
}
