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

use axum::{Router, middleware::from_fn_with_state};
use service::{
    access_token::AccessTokenScheme,
    docs::Docs,
    health::{self, Health},
    http::{self, HttpSettings},
    postgres,
    problem::{self, Problem},
    rate_limit::{self, RateLimiter, Rule},
    redis::{self, Redis},
    telemetry::Metrics,
};
use tokio_util::sync::CancellationToken;
use utoipa::{
    OpenApi, openapi,
    openapi::{RefOr, Schema},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use caller::{Authentication, Counts, LetsIn};

use crate::{
    Login, MailerKey, PasswordChange, PasswordHasher, PasswordPolicy, PasswordReset, Pseudonyms, Refreshing,
    Registration, RequestWorker, Store, TokenIssuer, Verification, VerificationRule,
    account_requests::AccountRequests,
    limits::{self, LOGIN_IP, MAIL_IP, REFRESH_IP, REGISTER_IP, TOKEN_IP},
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
    modifiers(&AccessTokenScheme),
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
    limiter: RateLimiter,
    requests: AccountRequests,
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
    pub limiter: RateLimiter,
}

impl UseCases {
    pub fn of(parts: Parts) -> Self {
        let Parts { store, hasher, policy, verification, pseudonyms, issuer, mailer, limiter } = parts;
        let (s, h, p, m) = (|| store.clone(), || hasher.clone(), || pseudonyms.clone(), || mailer.clone());
        let requests = AccountRequests::new(s());
        Self {
            registration: Registration::new(s(), h(), p(), m()),
            verification: Verification::new(s(), p(), m(), requests.clone()),
            login: Login::new(s(), h(), p(), issuer.clone(), verification),
            refreshing: Refreshing::new(s(), issuer.clone()),
            password_reset: PasswordReset::new(s(), h(), policy, p(), m(), requests.clone()),
            password_change: PasswordChange::new(s(), h(), policy, p()),
            policy,
            pseudonyms: p(),
            issuer,
            limiter,
            store: s(),
            requests,
        }
    }

    /// Does what these only take down: at least one has to run for each database.
    pub fn request_worker(&self) -> RequestWorker {
        RequestWorker::new(self.requests.clone(), self.password_reset.clone(), self.verification.clone())
    }
}

/// What the service needs in order to be ready, and Redis, without which it is ready too.
pub fn health(store: &Store, redis: Option<Redis>, soft: CancellationToken) -> Health {
    let pool = store.pool.clone();
    let health = Health::new(soft).check("postgres", move || {
        let pool = pool.clone();
        async move { postgres::check(&pool).await }
    });
    health.check("redis", move || {
        let redis = redis.clone();
        async move { redis::check(redis.as_ref()).await }
    })
}

/// Everything that auth-service answers to strangers.
pub fn router(use_cases: UseCases, settings: &HttpSettings) -> Router {
    let authentication = Authentication::new(&use_cases.store, &use_cases.issuer, &use_cases.limiter);
    let by_network = |rule: &'static Rule| {
        let state = (use_cases.limiter.clone(), rule);
        from_fn_with_state(state, rate_limit::by_network)
    };
    let UseCases { store, registration, verification, login, refreshing, .. } = use_cases.clone();
    let UseCases { password_reset, password_change, policy, pseudonyms, issuer, .. } = use_cases;
    // A route's state is cloned several times for each request.
    let published = Arc::new((issuer.keys, store.clone()));
    let (store, verification, password_reset) = (Arc::new(store), Arc::new(verification), Arc::new(password_reset));
    let docs = Docs::default();

    let open = OpenApiRouter::with_openapi(Description::openapi())
        .merge(
            OpenApiRouter::new()
                .routes(routes!(accounts::register))
                .with_state((Arc::new(registration), policy))
                .layer(by_network(&REGISTER_IP)),
        )
        .merge(
            OpenApiRouter::new()
                .routes(routes!(mails::verify_email))
                .with_state(verification.clone())
                .merge(
                    OpenApiRouter::new().routes(routes!(passwords::reset_password)).with_state(password_reset.clone()),
                )
                .layer(by_network(&TOKEN_IP)),
        )
        .merge(
            OpenApiRouter::new()
                .routes(routes!(mails::resend_verification))
                .with_state(verification.clone())
                .merge(OpenApiRouter::new().routes(routes!(passwords::forgot_password)).with_state(password_reset))
                .layer(by_network(&MAIL_IP)),
        )
        .merge(
            OpenApiRouter::new()
                .routes(routes!(sessions::log_in))
                .with_state(Arc::new(login))
                .layer(by_network(&LOGIN_IP)),
        )
        .merge(
            OpenApiRouter::new()
                .routes(routes!(sessions::refresh))
                .with_state(Arc::new(refreshing))
                .merge(OpenApiRouter::new().routes(routes!(sessions::log_out)).with_state(store.clone()))
                .layer(by_network(&REFRESH_IP)),
        )
        .merge(OpenApiRouter::new().routes(routes!(well_known::keys)).with_state(published))
        .merge(docs.described());

    let guarded_by = |gate| from_fn_with_state(Arc::new(gate), caller::authenticate);
    let gate = |lets_in, counts| guarded_by(authentication.gate(lets_in, counts));
    let showing_profile = authentication.gate(LetsIn::Everybody, Counts::AtOnce).fetching_profile();
    let profile =
        OpenApiRouter::new().routes(routes!(me::show)).with_state(store.clone()).layer(guarded_by(showing_profile));
    let own = OpenApiRouter::new()
        .merge(OpenApiRouter::new().routes(routes!(sessions::log_out_everywhere)).with_state(store.clone()))
        .merge(
            OpenApiRouter::new()
                .routes(routes!(me::deactivate))
                .routes(routes!(me::sessions))
                .routes(routes!(me::revoke_session))
                .with_state(store.clone()),
        )
        .merge(OpenApiRouter::new().routes(routes!(me::erase)).with_state((store.clone(), pseudonyms)))
        .layer(gate(LetsIn::Everybody, Counts::AtOnce));
    let own_counted_by_more = OpenApiRouter::new()
        .merge(OpenApiRouter::new().routes(routes!(passwords::change_password)).with_state(Arc::new(password_change)))
        .merge(OpenApiRouter::new().routes(routes!(me::request_email_change)).with_state(verification))
        .layer(gate(LetsIn::Everybody, Counts::InHandler));

    let admin = OpenApiRouter::new()
        .routes(routes!(admin::users))
        .routes(routes!(admin::deactivate))
        .routes(routes!(admin::reactivate))
        .routes(routes!(admin::log_out))
        .routes(routes!(admin::grant_role, admin::revoke_role))
        .routes(routes!(admin::audit))
        .routes(routes!(admin::erasures))
        .with_state(store)
        .layer(gate(LetsIn::Administrators, Counts::AtOnce));

    let (router, mut description) =
        open.merge(profile).merge(own).merge(own_counted_by_more).merge(admin).split_for_parts();
    problem::openapi::describe(&mut description, problems::ALL);
    rate_limit::describe(&mut description, limits::ALL);
    tell_policy(&mut description, policy);
    let page = docs.page(&description);
    http::app(router.merge(page), settings)
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
    http::app(health::routes(health, metrics).into(), &settings.for_the_inside())
}
