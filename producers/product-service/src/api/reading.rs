use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{AppendHeaders, IntoResponse, Response},
};
use serde::Serialize;
use service::{
    Problem,
    http::{IfNoneMatch, PathId, page},
    problem::{Json, Query},
};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{problems::NO_SUCH_PRODUCT, requests::ProductsQuery};
use crate::{Product, Store, product::list};

/// Some of the products.
#[derive(Serialize, ToSchema)]
pub(super) struct ProductPage {
    items: Vec<Product>,
    /// For `cursor`, where there may be more.
    next: Option<Uuid>,
}

/// Whoever keeps it asks each time whether it is still so.
const ASKED_AGAIN: &str = "no-cache";

/// List products.
///
/// Newest first. All conditions hold at once. Whoever goes from page to page sees each product that was there when they
/// began and is let through all the time, once.
#[utoipa::path(
    get,
    path = "/v1/products",
    tag = "products",
    params(ProductsQuery),
    responses((status = OK, description = "Some of them", body = ProductPage,
        headers(("cache-control" = String, description = "`no-store`")))),
    extensions(("x-problems" = json!(["invalid-fields"])), ("x-limits" = json!(["products-ip"])))
)]
pub(super) async fn list(
    State(store): State<Store>,
    Query(query): Query<ProductsQuery>,
) -> Result<impl IntoResponse, Problem> {
    let limit = page::limit(query.limit)?;
    let items = list::list(&store.pool, &query.filter()?, limit).await?;
    let next = page::next(&items, limit, |product| product.product_id);
    Ok(Json(ProductPage { items, next }))
}

/// Show a product.
///
/// Discontinued or not. With `if-none-match`, only if it is another than the client has.
#[utoipa::path(
    get,
    path = "/v1/products/{id}",
    tag = "products",
    params(
        ("id" = Uuid, Path, description = "The product"),
        ("if-none-match" = Option<String>, Header, description = "The `etag` of what the client has", example = "\"1767323045678901\""),
    ),
    responses(
        (status = OK, description = "The product", body = Product, headers(
            ("etag" = String, description = "Its version"),
            ("cache-control" = String, description = "`no-cache`"),
        )),
        (status = NOT_MODIFIED, description = "It is what the client has", headers(
            ("etag" = String, description = "Its version"),
            ("cache-control" = String, description = "`no-cache`"),
        )),
    ),
    extensions(("x-problems" = json!(["no-such-product"])), ("x-limits" = json!(["products-ip"])))
)]
pub(super) async fn show(State(store): State<Store>, id: PathId, has: IfNoneMatch) -> Result<Response, Problem> {
    let product = list::find(&store.pool, id.or(&NO_SUCH_PRODUCT)?).await?;
    let product = product.ok_or_else(|| Problem::new(&NO_SUCH_PRODUCT))?;
    let headers = AppendHeaders([product.tag().header(), (header::CACHE_CONTROL, ASKED_AGAIN.to_owned())]);
    Ok(match has.names(product.tag()) {
        true => (StatusCode::NOT_MODIFIED, headers).into_response(),
        false => (headers, Json(product)).into_response(),
    })
}
