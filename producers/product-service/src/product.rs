//! A product's row, and how it is changed.
//!
//! Whoever changes a product locks its row first, so changes of one product follow each other and each sees the version that
//! the one before left.

pub mod changing;
pub mod creation;
pub mod current_state;
pub mod discontinuation;
pub mod list;

use schemas::{Price, ProductDescription, ProductName, ProductStatus, ProductV1, Sequence, ServiceName, Sku};
use serde::Serialize;
use service::http::EntityTag;
use sqlx::PgConnection;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Failure, api::PriceBody, change::Change};

/// A product of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Product {
    pub product_id: Uuid,
    /// The number that the shop keeps the product under.
    #[schema(value_type = String, max_length = 64, example = "TEA-0042")]
    pub sku: Sku,
    #[schema(value_type = String, max_length = 200, example = "Darjeeling First Flush")]
    pub name: ProductName,
    /// Plain text, in lines.
    #[schema(value_type = Option<String>, max_length = 4000, example = "Hand-picked, 100 g")]
    pub description: Option<ProductDescription>,
    #[schema(value_type = PriceBody)]
    pub price: Price,
    /// `available`, `unavailable` or, for ever, `discontinued`.
    #[schema(value_type = String, example = "available")]
    pub status: ProductStatus,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: OffsetDateTime,
    /// Of the product's newest event.
    #[serde(skip)]
    pub(crate) sequence: Sequence,
}

/// As the database holds it.
pub(crate) struct Row {
    pub(crate) id: Uuid,
    pub(crate) sku: String,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) price_minor: i64,
    pub(crate) currency: String,
    pub(crate) status: String,
    pub(crate) sequence: i64,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) updated_at: OffsetDateTime,
}

impl Product {
    /// Which version this is, for a client that reads it now and changes it later.
    pub fn tag(&self) -> EntityTag {
        EntityTag::of_version(self.sequence.get())
    }

    /// What its events carry, of the moment at which it became this.
    pub(crate) fn state_at(&self, timestamp: OffsetDateTime) -> ProductV1 {
        ProductV1 {
            product_id: self.product_id,
            timestamp,
            source: ServiceName::PRODUCT_SERVICE,
            sku: self.sku.clone(),
            name: self.name.clone(),
            description: self.description.clone(),
            price: self.price.clone(),
            status: self.status,
        }
    }

    /// Locks the row until the transaction ends.
    async fn lock(connection: &mut PgConnection, id: Uuid) -> Result<Option<Self>, Failure> {
        let row = sqlx::query_as!(
            Row,
            "SELECT id, sku, name, description, price_minor, currency, status, sequence, created_at, updated_at
               FROM products WHERE id = $1 FOR NO KEY UPDATE",
            id
        );
        row.fetch_optional(connection).await?.map(Self::try_from).transpose()
    }

    /// Writes what was changed of the row that is locked.
    async fn store(&mut self, change: &mut Change<'_>) -> Result<(), Failure> {
        self.updated_at = change.now();
        sqlx::query!(
            "UPDATE products
                SET name = $2, description = $3, price_minor = $4, currency = $5, status = $6, sequence = $7, updated_at = $8
              WHERE id = $1",
            self.product_id,
            self.name.as_str(),
            self.description.as_ref().map(ProductDescription::as_str),
            self.price.amount_minor.get(),
            self.price.currency.as_str(),
            self.status.as_str(),
            self.sequence.get(),
            self.updated_at,
        )
        .execute(change.connection())
        .await?;
        Ok(())
    }
}

impl TryFrom<Row> for Product {
    type Error = Failure;

    fn try_from(row: Row) -> Result<Self, Failure> {
        let unreadable = Failure::StoredProduct;
        Ok(Self {
            product_id: row.id,
            sku: row.sku.parse().map_err(|_| unreadable("sku"))?,
            name: row.name.parse().map_err(|_| unreadable("name"))?,
            description: row.description.map(|text| text.parse()).transpose().map_err(|_| unreadable("description"))?,
            price: Price {
                amount_minor: row.price_minor.try_into().map_err(|_| unreadable("price_minor"))?,
                currency: row.currency.parse().map_err(|_| unreadable("currency"))?,
            },
            status: [ProductStatus::Available, ProductStatus::Unavailable, ProductStatus::Discontinued]
                .into_iter()
                .find(|status| status.as_str() == row.status)
                .ok_or_else(|| unreadable("status"))?,
            created_at: row.created_at,
            updated_at: row.updated_at,
            sequence: Sequence::from_stored(row.sequence),
        })
    }
}
