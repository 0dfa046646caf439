//! `waypost admin`: what has to be done to accounts before there is an administrator who could do it over HTTP.

use std::process::ExitCode;

use anyhow::{Context, bail};
use auth_service::{Administered, By, EmailAddress, Origin, ProfileFilter, Store, USER_CACHE, administration, profile};
use clap::{Args, Subcommand};
use outbox::Wake;
use schemas::{Clock, Role};
use serde::Serialize;
use service::{
    cache::Cache,
    postgres::PostgresSettings,
    settings::{Env, all},
};
use uuid::Uuid;

use crate::{Usage, bus::patience, outln};

#[derive(Debug, Subcommand)]
pub enum Admin {
    /// Give an account a role: how there comes to be a first administrator
    Grant(Grant),
}

const GRANT: &str = "\
It works on AUTH_DATABASE_URL, as auth-service does: with an entry in the audit trail, and with
the event that tells of the account's roles. Idempotent.

Examples:
  waypost admin grant --email ada@example.com --role admin
  waypost admin grant --email ada@example.com --role admin --json";

#[derive(Debug, Args)]
#[command(after_help = GRANT)]
pub struct Grant {
    /// Whose account
    #[arg(long, value_name = "ADDRESS")]
    email: String,
    /// Which role
    #[arg(long)]
    role: String,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Granted {
    user_id: Uuid,
    role: String,
    /// Whether it had the role before.
    already: bool,
}

impl Admin {
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        match self {
            Self::Grant(grant) => grant.execute(env).await,
        }
    }
}

impl Grant {
    async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        let email = EmailAddress::parse(&self.email).map_err(|error| Usage(format!("--email {error}")))?;
        let role: Role = self.role.parse().map_err(|_| Usage("--role should be a role, such as admin".to_owned()))?;
        let (database, patience) = all((PostgresSettings::from_env(env, "AUTH"), patience(env)))?;
        database.wait_until_ready(patience).await?;
        let pool = database.connect_lazy("waypost-admin");
        let clock = Clock::system();
        partitions::maintain(&pool, outbox::OUTBOX, clock.now()).await?;
        let store = Store::new(pool.clone(), Wake::none(), clock, Cache::none(USER_CACHE));

        let filter = ProfileFilter { email: Some(email), ..ProfileFilter::default() };
        let Some(account) = profile::list(&pool, &filter, 1).await?.pop() else {
            bail!("no account has this address: register it first");
        };
        if !account.email_verified {
            eprintln!("nobody has shown yet that this address is theirs");
        }
        let (by, origin) = (By::Operator, Origin::internal());
        let already = match administration::grant(&store, account.user_id, &role, by, &origin).await? {
            Administered::Done => false,
            Administered::AlreadyThere => true,
            Administered::NoSuchRole => bail!("there is no role called `{}`: there are user and admin", role.as_str()),
            other => bail!("the role could not be given: {other:?}"),
        };
        // A relay in another process would find it within a second anyway.
        outbox::announce_once(&pool).await.context("the role is given; a relay could not be told at once")?;
        let granted = Granted { user_id: account.user_id, role: role.as_str().to_owned(), already };
        if self.json {
            outln!("{}", serde_json::to_string_pretty(&granted)?);
        } else {
            let has = if already { "has had" } else { "has now" };
            outln!("{} {has} the role {}", granted.user_id, granted.role);
        }
        Ok(ExitCode::SUCCESS)
    }
}
