//! The HTTP side: routes, and what they look like in OpenAPI.
//!
//! A route's state is the use case behind it. Who is asking is found out by one layer around all routes that need to know,
//! before anything of the request but its headers is read.

mod accounts;
mod admin;
mod caller;
mod mails;
mod me;
mod passwords;
mod problems;
mod requests;
mod sessions;
mod well_known;

use std::sync::Arc;

use axum::{Extension, Router, middleware::from_fn_with_state};
use service::{
    docs,
    health::{self, Health},
    http::{self, HttpSettings},
    postgres,
    problem::{self, Json, Problem},
    telemetry::Metrics,
};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use utoipa::{
    Modify, OpenApi, openapi,
    openapi::{
        RefOr, Schema,
        security::{Http, HttpAuthScheme, SecurityScheme},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};

use caller::Authentication;

use crate::{
    Login, MailerKey, PasswordChange, PasswordHasher, PasswordPolicy, PasswordReset, Pseudonyms, Refreshing,
    Registration, Store, TokenIssuer, Verification, VerificationRule,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "auth-service",
        description = "Accounts, sessions and roles.\n\nEvery error is a problem document (RFC 9457), which names the \
                       field at fault and never repeats what it held. Access tokens are good for ten minutes; a refresh \
                       token is good once, and a session ends when one is used again.\n\nNobody learns from an answer \
                       whether an address has an account."
    ),
    components(schemas(Problem)),
    modifiers(&AccessToken),
    tags(
        (name = "accounts", description = "Registering, and verifying an address"),
        (name = "sessions", description = "Signing in, going on, signing out"),
        (name = "passwords", description = "Forgotten and changed ones"),
        (name = "me", description = "One's own account"),
        (name = "admin", description = "Accounts of others; for administrators"),
        (name = "description", description = "Keys and this description"),
    )
)]
struct Description;

struct AccessToken;

impl Modify for AccessToken {
    fn modify(&self, api: &mut openapi::OpenApi) {
        let mut bearer = Http::new(HttpAuthScheme::Bearer);
        bearer.bearer_format = Some("JWT".to_owned());
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("accessToken", SecurityScheme::Http(bearer));
    }
}

/// The use cases behind the routes.
#[derive(Clone)]
pub struct UseCases {
    store: Store,
    registration: Registration,
    verification: Verification,
    login: Login,
    refreshing: Refreshing,
    password_reset: PasswordReset,
    password_change: PasswordChange,
    policy: PasswordPolicy,
    pseudonyms: Pseudonyms,
    issuer: TokenIssuer,
}

/// What they are made of.
#[derive(Clone)]
pub struct Parts {
    pub store: Store,
    pub hasher: PasswordHasher,
    pub policy: PasswordPolicy,
    pub verification: VerificationRule,
    pub pseudonyms: Pseudonyms,
    pub issuer: TokenIssuer,
    pub mailer: MailerKey,
}

impl UseCases {
    pub fn of(parts: Parts) -> Self {
        let Parts { store, hasher, policy, verification, pseudonyms, issuer, mailer } = parts;
        let (s, h, p, m) = (|| store.clone(), || hasher.clone(), || pseudonyms.clone(), || mailer.clone());
        Self {
            registration: Registration::new(s(), h(), p(), m()),
            verification: Verification::new(s(), p(), m()),
            login: Login::new(s(), h(), p(), issuer.clone(), verification),
            refreshing: Refreshing::new(s(), issuer.clone()),
            password_reset: PasswordReset::new(s(), h(), policy, p(), m()),
            password_change: PasswordChange::new(s(), h(), policy, p()),
            policy,
            pseudonyms: p(),
            issuer,
            store: s(),
        }
    }
}

/// What the service needs in order to be ready.
pub fn health(pool: PgPool, soft: CancellationToken) -> Health {
    Health::new(soft).check("postgres", move || {
        let pool = pool.clone();
        async move { postgres::check(&pool).await }
    })
}

/// Everything that auth-service answers to strangers.
pub fn router(use_cases: UseCases, settings: &HttpSettings) -> Router {
    let authentication = Authentication::new(&use_cases.store, &use_cases.issuer);
    let UseCases { store, registration, verification, login, refreshing, .. } = use_cases.clone();
    let UseCases { password_reset, password_change, policy, pseudonyms, issuer, .. } = use_cases;

    let open = OpenApiRouter::with_openapi(Description::openapi())
        .merge(OpenApiRouter::new().routes(routes!(accounts::register)).with_state((registration, policy)))
        .merge(
            OpenApiRouter::new()
                .routes(routes!(mails::verify_email))
                .routes(routes!(mails::resend_verification))
                .with_state(verification.clone()),
        )
        .merge(OpenApiRouter::new().routes(routes!(sessions::log_in)).with_state(login))
        .merge(OpenApiRouter::new().routes(routes!(sessions::refresh)).with_state(refreshing))
        .merge(OpenApiRouter::new().routes(routes!(sessions::log_out)).with_state(store.clone()))
        .merge(
            OpenApiRouter::new()
                .routes(routes!(passwords::forgot_password))
                .routes(routes!(passwords::reset_password))
                .with_state(password_reset),
        )
        .merge(OpenApiRouter::new().routes(routes!(well_known::keys)).with_state((issuer, store.clone())))
        .routes(routes!(describe));

    let own = OpenApiRouter::new()
        .merge(OpenApiRouter::new().routes(routes!(sessions::log_out_everywhere)).with_state(store.clone()))
        .merge(OpenApiRouter::new().routes(routes!(passwords::change_password)).with_state(password_change))
        .merge(OpenApiRouter::new().routes(routes!(me::request_email_change)).with_state(verification))
        .merge(
            OpenApiRouter::new()
                .routes(routes!(me::show))
                .routes(routes!(me::deactivate))
                .routes(routes!(me::sessions))
                .routes(routes!(me::revoke_session))
                .with_state(store.clone()),
        )
        .merge(OpenApiRouter::new().routes(routes!(me::erase)).with_state((store.clone(), pseudonyms)))
        .layer(from_fn_with_state(authentication.clone(), caller::authenticate));

    let admin = OpenApiRouter::new()
        .routes(routes!(admin::users))
        .routes(routes!(admin::deactivate))
        .routes(routes!(admin::reactivate))
        .routes(routes!(admin::log_out))
        .routes(routes!(admin::grant_role, admin::revoke_role))
        .routes(routes!(admin::audit))
        .routes(routes!(admin::erasures))
        .with_state(store)
        .layer(from_fn_with_state(authentication, caller::authenticate_administrator));

    let (router, mut description) = open.merge(own).merge(admin).split_for_parts();
    problem::openapi::describe(&mut description, problems::ALL);
    tell_policy(&mut description, policy);
    let page = docs::page(&description);
    http::app(router.merge(page).layer(Extension(Arc::new(description))), settings)
}

/// The least length of a new password is this installation's.
fn tell_policy(description: &mut openapi::OpenApi, policy: PasswordPolicy) {
    for (schema, property) in
        [("RegisterRequest", "password"), ("ResetRequest", "password"), ("ChangeRequest", "newPassword")]
    {
        let schemas = description.components.as_mut().map(|components| &mut components.schemas);
        if let Some(RefOr::T(Schema::Object(body))) = schemas.and_then(|schemas| schemas.get_mut(schema))
            && let Some(RefOr::T(Schema::Object(password))) = body.properties.get_mut(property)
        {
            password.min_length = Some(policy.min_characters());
        }
    }
}

/// What is for the inside only: health and metrics.
pub fn internal_router(health: Health, metrics: Metrics, settings: &HttpSettings) -> Router {
    http::app(health::routes(health, metrics).into(), settings)
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "description", responses((status = OK, description = "OpenAPI 3.1", body = Object)))]
async fn describe(Extension(description): Extension<Arc<openapi::OpenApi>>) -> Json<Arc<openapi::OpenApi>> {
    Json(description)
}
