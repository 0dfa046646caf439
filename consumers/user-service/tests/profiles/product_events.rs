//! Events of product-service about a few products, each with the version that it is asked to have.

use schemas::{
    Envelope, Price, ProductCreatedV1, ProductDiscontinuedV1, ProductPriceChangedV1, ProductStatus, ProductUpdatedV1,
    ProductV1, ServiceName,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::events::{envelope_from, registered_at};

/// Everything that product-service says of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProductKind {
    Created,
    Updated,
    PriceChanged,
    Discontinued,
}

impl ProductKind {
    pub const ALL: [Self; 4] = [Self::Created, Self::Updated, Self::PriceChanged, Self::Discontinued];

    fn status(self, version: i64) -> ProductStatus {
        match self {
            Self::Discontinued => ProductStatus::Discontinued,
            _ if version % 2 == 0 => ProductStatus::Unavailable,
            _ => ProductStatus::Available,
        }
    }
}

pub fn product(number: u128) -> Uuid {
    Uuid::from_u128(0x9d_0000_0000 + number)
}

fn sku(number: u128, version: i64) -> String {
    format!("SKU-{number}.{version}")
}

fn name(number: u128, version: i64) -> String {
    format!("Product {number} of {version}")
}

fn currency(version: i64) -> &'static str {
    if version % 2 == 0 { "EUR" } else { "JPY" }
}

/// An event whose payload tells of its product and its version, in every field that is read.
pub fn product_event(kind: ProductKind, number: u128, version: i64) -> Envelope {
    let state = ProductV1 {
        product_id: product(number),
        timestamp: registered_at(version),
        source: ServiceName::PRODUCT_SERVICE,
        sku: sku(number, version).parse().unwrap(),
        name: name(number, version).parse().unwrap(),
        description: Some(format!("Description {version}").parse().unwrap()),
        price: Price { amount_minor: version.try_into().unwrap(), currency: currency(version).parse().unwrap() },
        status: kind.status(version),
    };
    let source = "product-service";
    match kind {
        ProductKind::Created => envelope_from(source, version, &ProductCreatedV1(state)),
        ProductKind::Updated => envelope_from(source, version, &ProductUpdatedV1(state)),
        ProductKind::PriceChanged => envelope_from(source, version, &ProductPriceChangedV1(state)),
        ProductKind::Discontinued => envelope_from(source, version, &ProductDiscontinuedV1(state)),
    }
}

/// The row once that event is the newest of its product.
pub fn product_row(kind: ProductKind, number: u128, version: i64) -> Value {
    json!({
        "product_id": product(number), "sku": sku(number, version), "name": name(number, version),
        "price_minor": version, "currency": currency(version), "status": kind.status(version).as_str(),
        "sequence": version,
    })
}
