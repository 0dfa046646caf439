use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{AppendHeaders, IntoResponse},
};
use service::{
    Problem,
    http::{IfMatch, PathId, TraceContext},
    problem::{Json, kind},
};

use super::{
    caller::Administrator,
    problems::{DISCONTINUED, NO_SUCH_PRODUCT, SKU_TAKEN},
    requests::{ChangeRequest, CreateRequest},
};
use crate::{
    Product, Store,
    product::{
        changing::{self, Changed},
        creation::{self, Created},
        discontinuation::{self, Discontinued},
    },
};

/// Add a product.
///
/// A SKU is added once: whoever asks again is told so, and nothing more happens.
#[utoipa::path(
    post,
    path = "/v1/products",
    tag = "admin",
    security(("accessToken" = [])),
    request_body = CreateRequest,
    responses((status = CREATED, description = "The product", body = Product, headers(
        ("location" = String, description = "Where it is"),
        ("etag" = String, description = "Its version"),
        ("cache-control" = String, description = "`no-store`"),
    ))),
    extensions(("x-problems" = json!(["body", "unauthenticated", "forbidden", "sku-taken"])), ("x-limits" = json!(["products-user"])))
)]
pub(super) async fn create(
    State(store): State<Store>,
    _: Administrator,
    trace: TraceContext,
    Json(body): Json<CreateRequest>,
) -> Result<impl IntoResponse, Problem> {
    match creation::create(&store, body.product(), &trace).await? {
        Created::Done(product) => {
            let place = format!("/v1/products/{}", product.product_id);
            let headers = AppendHeaders([(header::LOCATION, place), product.tag().header()]);
            Ok((StatusCode::CREATED, headers, Json(product)))
        }
        Created::SkuTaken => Err(Problem::new(&SKU_TAKEN)),
    }
}

/// Change a product.
///
/// What the body does not name stays. Only the version that the client saw is changed: of two who saw the same one, the
/// second is told that it was changed since. A change that changes nothing is none, and the version stays.
#[utoipa::path(
    patch,
    path = "/v1/products/{id}",
    tag = "admin",
    security(("accessToken" = [])),
    params(
        ("id" = Uuid, Path, description = "The product"),
        ("if-match" = String, Header, description = "The `etag` of what the client saw", example = "\"1767323045678901\""),
    ),
    request_body = ChangeRequest,
    responses((status = OK, description = "The product as it is now", body = Product, headers(
        ("etag" = String, description = "Its version"),
        ("cache-control" = String, description = "`no-store`"),
    ))),
    extensions(("x-problems" = json!([
        "body", "unauthenticated", "forbidden", "no-such-product", "product-discontinued", "outdated", "if-match-required"
    ])), ("x-limits" = json!(["products-user"])))
)]
pub(super) async fn change(
    State(store): State<Store>,
    _: Administrator,
    id: PathId,
    seen: IfMatch,
    trace: TraceContext,
    Json(body): Json<ChangeRequest>,
) -> Result<impl IntoResponse, Problem> {
    let (id, seen) = (id.or(&NO_SUCH_PRODUCT)?, seen.required()?);
    let kind = match changing::change(&store, id, &seen, body.edit(), &trace).await? {
        Changed::Done(product) | Changed::AlreadySo(product) => {
            return Ok((AppendHeaders([product.tag().header()]), Json(product)));
        }
        Changed::NoSuchProduct => &NO_SUCH_PRODUCT,
        Changed::Outdated => &kind::OUTDATED,
        Changed::Discontinued => &DISCONTINUED,
    };
    Err(Problem::new(kind))
}

/// Discontinue a product.
///
/// Idempotent, and final. The product stays readable, for those who have it on a list. With `if-match`, only the version
/// that the client saw is discontinued.
#[utoipa::path(
    delete,
    path = "/v1/products/{id}",
    tag = "admin",
    security(("accessToken" = [])),
    params(
        ("id" = Uuid, Path, description = "The product"),
        ("if-match" = Option<String>, Header, description = "The `etag` of what the client saw", example = "\"1767323045678901\""),
    ),
    responses((status = NO_CONTENT, description = "It is discontinued",
        headers(("cache-control" = String, description = "`no-store`")))),
    extensions(("x-problems" = json!(["unauthenticated", "forbidden", "no-such-product", "outdated"])), ("x-limits" = json!(["products-user"])))
)]
pub(super) async fn discontinue(
    State(store): State<Store>,
    _: Administrator,
    id: PathId,
    seen: IfMatch,
    trace: TraceContext,
) -> Result<StatusCode, Problem> {
    let id = id.or(&NO_SUCH_PRODUCT)?;
    let kind = match discontinuation::discontinue(&store, id, &seen, &trace).await? {
        Discontinued::Done | Discontinued::AlreadySo => return Ok(StatusCode::NO_CONTENT),
        Discontinued::NoSuchProduct => &NO_SUCH_PRODUCT,
        Discontinued::Outdated => &kind::OUTDATED,
    };
    Err(Problem::new(kind))
}
