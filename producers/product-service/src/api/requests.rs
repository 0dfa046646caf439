//! What requests hold.

use schemas::{Currency, MinorUnits, Price, ProductDescription, ProductName, ProductStatus, Sku};
use serde::{Deserialize, Deserializer};
use service::{Problem, problem::FieldError};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{Edit, NewProduct, ProductFilter};

/// What a product costs.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = Price)]
pub(crate) struct PriceBody {
    /// In the currency's smallest unit.
    #[schema(value_type = i64, minimum = 0, maximum = 9_007_199_254_740_991_u64, example = 1999)]
    amount_minor: MinorUnits,
    /// A code of ISO 4217.
    #[schema(value_type = String, pattern = "^[A-Z]{3}$", example = "EUR")]
    currency: Currency,
}

/// A product can be had, or it can't for a while.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(example = "unavailable")]
pub(super) enum OnSale {
    #[default]
    Available,
    Unavailable,
}

/// A product to be added.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateRequest {
    /// The number that the shop keeps the product under, for ever.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9][A-Za-z0-9._/-]*$", max_length = 64, example = "TEA-0042")]
    sku: Sku,
    /// No control characters.
    #[schema(
        value_type = String,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$",
        max_length = 200,
        example = "Darjeeling First Flush"
    )]
    name: ProductName,
    /// Plain text, in lines.
    #[schema(
        value_type = Option<String>,
        pattern = r"^[^\u0000-\u0009\u000b-\u001f\u007f-\u009f]+$",
        max_length = 4000,
        example = "Hand-picked, 100 g"
    )]
    description: Option<ProductDescription>,
    price: PriceBody,
    /// `available`, where it is not said.
    #[serde(default)]
    status: OnSale,
}

/// What is to be another of a product; what is not there stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeRequest {
    /// No control characters.
    #[serde(default, deserialize_with = "said")]
    #[schema(
        value_type = String,
        required = false,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$",
        max_length = 200,
        example = "Darjeeling Second Flush"
    )]
    name: Option<ProductName>,
    /// Plain text, in lines; null takes it away.
    #[serde(default, deserialize_with = "said")]
    #[schema(
        value_type = Option<String>,
        pattern = r"^[^\u0000-\u0009\u000b-\u001f\u007f-\u009f]+$",
        max_length = 4000,
        example = "Hand-picked, 250 g"
    )]
    #[expect(clippy::option_option, reason = "it is not said, or to be taken away, or to be another")]
    description: Option<Option<ProductDescription>>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = PriceBody, required = false)]
    price: Option<PriceBody>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = OnSale, required = false)]
    status: Option<OnSale>,
}

/// Which products.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct ProductsQuery {
    /// Words that SKU, name or description hold: all of them, unless there is `or` between; `-word` is one that they don't.
    #[param(min_length = 1, max_length = 200, example = "darjeeling")]
    q: Option<String>,
    /// The whole SKU.
    #[param(value_type = Option<String>, example = "TEA-0042")]
    sku: Option<Sku>,
    /// `available`, `unavailable` or `discontinued`; all but the last, where it is not said.
    #[param(value_type = Option<String>, example = "available")]
    status: Option<ProductStatus>,
    /// A code of ISO 4217: those that are sold for it.
    #[param(value_type = Option<String>, example = "EUR")]
    currency: Option<Currency>,
    /// In the smallest unit of `currency`, which has to be said then.
    #[param(value_type = Option<i64>, minimum = 0, example = 500)]
    min_price: Option<MinorUnits>,
    /// Likewise.
    #[param(value_type = Option<i64>, minimum = 0, example = 5000)]
    max_price: Option<MinorUnits>,
    /// The `next` of the page before.
    cursor: Option<Uuid>,
    /// From 1 to 200; 50 where it is not said.
    #[param(minimum = 1, maximum = 200, example = 50)]
    pub limit: Option<u16>,
}

const LONGEST_SEARCH: usize = 200;

impl ProductsQuery {
    pub fn filter(self) -> Result<ProductFilter, Problem> {
        let wrong = |field: &str, message: &str| Problem::invalid_fields(vec![FieldError::new(field, message)]);
        let Self { q, sku, status, currency, min_price, max_price, cursor, limit: _ } = self;
        let is_search = |q: &String| (1..=LONGEST_SEARCH).contains(&q.chars().count()) && !q.contains(char::is_control);
        if !q.as_ref().is_none_or(is_search) {
            return Err(wrong("q", "should be 1 to 200 characters, none of them a control character"));
        }
        if currency.is_none() && (min_price.is_some() || max_price.is_some()) {
            return Err(wrong("currency", "is missing: amounts of different currencies are not compared"));
        }
        Ok(ProductFilter { search: q, sku, status, currency, min_price, max_price, before: cursor })
    }
}

impl CreateRequest {
    pub fn product(self) -> NewProduct {
        let Self { sku, name, description, price, status } = self;
        NewProduct { sku, name, description, price: price.into(), status: status.into() }
    }
}

impl ChangeRequest {
    pub fn edit(self) -> Edit {
        let Self { name, description, price, status } = self;
        Edit { name, description, price: price.map(Price::from), status: status.map(ProductStatus::from) }
    }
}

impl From<PriceBody> for Price {
    fn from(body: PriceBody) -> Self {
        Self { amount_minor: body.amount_minor, currency: body.currency }
    }
}

impl From<OnSale> for ProductStatus {
    fn from(status: OnSale) -> Self {
        match status {
            OnSale::Available => Self::Available,
            OnSale::Unavailable => Self::Unavailable,
        }
    }
}

/// A field that is there, so that null is not taken for one that is not.
fn said<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
