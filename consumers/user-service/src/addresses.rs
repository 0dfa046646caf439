//! Where a user has things sent, and bills. At most one address is the default of each kind: who makes another one the default
//! takes it from the one before, in the same transaction.

mod changing;
mod list;

use serde::Serialize;
use service::http::EntityTag;
use sqlx::PgConnection;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    Refusal,
    refusal::Thing,
    values::{Country, Line, Phone},
    writing::Writing,
};

pub use changing::{add, change, remove};
pub use list::{find, list};

/// An address of a user.
#[derive(Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Address {
    #[serde(rename = "addressId")]
    pub id: Uuid,
    #[schema(example = "Ada Lovelace")]
    pub recipient: String,
    #[schema(example = "Unter den Linden 77")]
    pub line1: String,
    #[schema(example = "Hinterhaus")]
    pub line2: Option<String>,
    #[schema(example = "Berlin")]
    pub city: String,
    /// Not every country has regions.
    #[schema(example = "Berlin")]
    pub region: Option<String>,
    /// Not every country has postal codes.
    #[schema(example = "10117")]
    pub postal_code: Option<String>,
    #[schema(value_type = Country)]
    pub country: String,
    /// By E.164.
    #[schema(example = "+4930123456")]
    pub phone: Option<String>,
    pub is_default_shipping: bool,
    pub is_default_billing: bool,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: OffsetDateTime,
    #[serde(skip)]
    pub(crate) version: i64,
}

/// What an address begins as.
#[derive(Clone)]
pub struct NewAddress {
    pub recipient: Line<200>,
    pub line1: Line<200>,
    pub line2: Option<Line<200>>,
    pub city: Line<100>,
    pub region: Option<Line<100>>,
    pub postal_code: Option<Line<20>>,
    pub country: Country,
    pub phone: Option<Phone>,
    pub is_default_shipping: bool,
    pub is_default_billing: bool,
}

/// What is to be another. What is not said stays; `Some(None)` takes away.
#[derive(Clone, Default)]
#[expect(clippy::option_option, reason = "it is not said, or to be taken away, or to be another")]
pub struct AddressEdit {
    pub recipient: Option<Line<200>>,
    pub line1: Option<Line<200>>,
    pub line2: Option<Option<Line<200>>>,
    pub city: Option<Line<100>>,
    pub region: Option<Option<Line<100>>>,
    pub postal_code: Option<Option<Line<20>>>,
    pub country: Option<Country>,
    pub phone: Option<Option<Phone>>,
    pub is_default_shipping: Option<bool>,
    pub is_default_billing: Option<bool>,
}

impl Address {
    /// Which version this is, for a client that reads it now and changes it later.
    pub fn tag(&self) -> EntityTag {
        EntityTag::of_version(self.version)
    }

    /// Of the user whose profile is locked, so nobody changes it meanwhile.
    async fn own(writing: &mut Writing<'_>, id: Uuid) -> Result<Self, Refusal> {
        let user = writing.user();
        let row = sqlx::query_as!(
            Self,
            "SELECT id, recipient, line1, line2, city, region, postal_code, country, phone, is_default_shipping,
                    is_default_billing, created_at, updated_at, version
               FROM addresses WHERE id = $1 AND user_id = $2",
            id,
            user
        );
        row.fetch_optional(writing.connection()).await?.ok_or(Refusal::NoSuch(Thing::Address))
    }

    fn edit(&mut self, edit: AddressEdit) {
        let AddressEdit { recipient, line1, line2, city, region, postal_code, country, phone, .. } = edit;
        let text = |line: Line<200>| line.as_str().to_owned();
        set(&mut self.recipient, recipient.map(text));
        set(&mut self.line1, line1.map(text));
        set(&mut self.line2, line2.map(|line| line.map(text)));
        let text = |line: Line<100>| line.as_str().to_owned();
        set(&mut self.city, city.map(text));
        set(&mut self.region, region.map(|line| line.map(text)));
        set(&mut self.postal_code, postal_code.map(|code| code.map(|code| code.as_str().to_owned())));
        set(&mut self.country, country.map(|country| country.as_str().to_owned()));
        set(&mut self.phone, phone.map(|phone| phone.map(|phone| phone.as_str().to_owned())));
        set(&mut self.is_default_shipping, edit.is_default_shipping);
        set(&mut self.is_default_billing, edit.is_default_billing);
    }

    async fn store(&self, user: Uuid, connection: &mut PgConnection) -> Result<(), Refusal> {
        sqlx::query!(
            "INSERT INTO addresses
                    (id, user_id, recipient, line1, line2, city, region, postal_code, country, phone, is_default_shipping,
                     is_default_billing, created_at, updated_at, version)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
             ON CONFLICT (id) DO UPDATE
                SET recipient = excluded.recipient, line1 = excluded.line1, line2 = excluded.line2, city = excluded.city,
                    region = excluded.region, postal_code = excluded.postal_code, country = excluded.country,
                    phone = excluded.phone, is_default_shipping = excluded.is_default_shipping,
                    is_default_billing = excluded.is_default_billing, updated_at = excluded.updated_at,
                    version = excluded.version",
            self.id,
            user,
            self.recipient,
            self.line1,
            self.line2,
            self.city,
            self.region,
            self.postal_code,
            self.country,
            self.phone,
            self.is_default_shipping,
            self.is_default_billing,
            self.created_at,
            self.updated_at,
            self.version,
        )
        .execute(connection)
        .await?;
        Ok(())
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}
