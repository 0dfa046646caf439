//! Every service with an API, in one table. `waypost run`, settings and health checks go by it.

use auth_service::AuthSettings;
use migrations::Database;
use product_service::ProductSettings;
use service::{
    http::ListenSetting,
    settings::{Env, SettingErrors},
};
use user_service::UserSettings;

use crate::run::{ApiProcess, AuthService, ProductService, UserService};

#[derive(Debug)]
pub struct Api {
    /// The service's, and its process's.
    pub name: &'static str,
    /// What `waypost run --help` says of it.
    pub help: &'static str,
    database: Database,
    /// Where it answers health checks.
    pub admin: ListenSetting,
    pub from_env: fn(&Env) -> Result<ApiProcess, SettingErrors>,
}

/// An installation without it is none.
pub static AUTH_SERVICE: Api = Api {
    name: auth_service::NAME,
    help: "Accounts over HTTP, with its relay unless that runs standalone",
    database: Database::Auth,
    admin: AuthSettings::ADMIN_LISTEN,
    from_env: |env| AuthService::from_env(env).map(|service| ApiProcess::Auth(service.into())),
};

static PRODUCT_SERVICE: Api = Api {
    name: product_service::NAME,
    help: "The catalogue of products over HTTP, with its relay unless that runs standalone",
    database: Database::Product,
    admin: ProductSettings::ADMIN_LISTEN,
    from_env: |env| ProductService::from_env(env).map(|service| ApiProcess::Product(service.into())),
};

/// Its worker is another process.
static USER_SERVICE: Api = Api {
    name: user_service::NAME,
    help: "Profiles, addresses, payment methods, preferences and wishlists over HTTP",
    database: Database::User,
    admin: UserSettings::ADMIN_LISTEN,
    from_env: |env| UserService::from_env(env).map(|service| ApiProcess::User(service.into())),
};

pub static APIS: [&Api; 3] = [&AUTH_SERVICE, &PRODUCT_SERVICE, &USER_SERVICE];

impl Api {
    pub fn named(name: &str) -> Option<&'static Self> {
        APIS.into_iter().find(|row| row.name == name)
    }

    /// Whether it is in use: where its database is named, also by what is no URL. `DATABASE_URL` doesn't say whose it is.
    pub fn is_used(&self, env: &Env) -> bool {
        let variable = format!("{}_DATABASE_URL", self.database.name().to_uppercase());
        self.name == AUTH_SERVICE.name || !matches!(env.optional(&variable), Ok(None))
    }
}
