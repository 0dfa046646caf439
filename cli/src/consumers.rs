//! Every consumer that this binary has a worker for, in one table.
//!
//! `waypost run`, settings and health checks, topology and catalog, and every tool that looks into an inbox go by it: a
//! further consumer is a row here, beside its database in `migrations`. Tools that look at all of them look at those whose
//! databases are named, since not every installation runs each.

use std::fmt;

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use futures_util::{FutureExt, future::BoxFuture};
use mailer::{Mailer, MailerSettings};
use migrations::Database;
use schemas::Clock;
use service::{
    http::ListenSetting,
    postgres::PostgresSettings,
    settings::{Env, SettingError, SettingErrors},
};
use worker::Consumer;

use crate::bus::SQS_QUEUE_URL;

/// A consumer, and the process that reads its queue.
#[derive(Debug)]
pub struct ConsumerProcess {
    /// The consumer's, and so its queue's.
    pub name: &'static str,
    /// As `waypost run` knows the process.
    pub process: &'static str,
    /// What `waypost run --help` says of it.
    pub help: &'static str,
    /// What the catalog says of the consumer.
    pub about: &'static str,
    /// Where its inbox is.
    pub database: Database,
    pub admin: ListenSetting,
    /// What it handles, which takes no settings to know.
    pub registered: fn() -> Consumer,
    /// The same, ready to handle it: settings are read at once, and what they name is opened when that is waited for.
    pub from_env: fn(&Env) -> Result<Opening, SettingErrors>,
}

pub type Opening = BoxFuture<'static, anyhow::Result<Consumer>>;

/// The one that is meant where nobody says which. An installation without it is none.
pub const DEFAULT: &ConsumerProcess = &CONSUMERS[0];

pub static CONSUMERS: [ConsumerProcess; 3] = [
    ConsumerProcess {
        name: user_service::NAME,
        process: "user-worker",
        help: "The worker that builds user profiles",
        about: user_service::ABOUT,
        database: Database::User,
        admin: ListenSetting::new("WORKER_ADMIN_LISTEN", 9102),
        registered: user_service::declared,
        from_env: |_| Ok(async { Ok(user_service::consumer(Clock::system())) }.boxed()),
    },
    ConsumerProcess {
        name: mailer::NAME,
        process: "mailer",
        help: "The worker that writes mails about accounts",
        about: mailer::ABOUT,
        database: Database::Mailer,
        admin: ListenSetting::new("MAILER_ADMIN_LISTEN", 9103),
        registered: mailer::declared,
        from_env: mailer,
    },
    ConsumerProcess {
        name: auth_service::NAME,
        process: "auth-worker",
        help: "The worker that closes the ledger of erasures",
        about: auth_service::ABOUT,
        database: Database::Auth,
        admin: ListenSetting::new("AUTH_WORKER_ADMIN_LISTEN", 9104),
        registered: auth_service::consumer,
        from_env: |_| Ok(async { Ok(auth_service::consumer()) }.boxed()),
    },
];

fn mailer(env: &Env) -> Result<Opening, SettingErrors> {
    let settings = MailerSettings::from_env(env)?;
    let opening = async {
        mailer::describe_metrics();
        Ok(mailer::consumer(&Mailer::open(settings, Clock::system()).await?))
    };
    Ok(opening.boxed())
}

impl ConsumerProcess {
    pub fn named(name: &str) -> Option<&'static Self> {
        CONSUMERS.iter().find(|row| row.name == name)
    }

    pub fn of_process(process: &str) -> Option<&'static Self> {
        CONSUMERS.iter().find(|row| row.process == process)
    }

    /// Of the variables of its database.
    pub fn prefix(&self) -> String {
        self.database.name().to_uppercase()
    }

    pub fn database(&self, env: &Env) -> Result<PostgresSettings, SettingErrors> {
        PostgresSettings::from_env(env, &self.prefix())
    }

    fn database_variable(&self) -> String {
        format!("{}_DATABASE_URL", self.prefix())
    }

    /// Where it is set, also to what is no URL. `DATABASE_URL` doesn't say whose database it is.
    fn is_named(&self, env: &Env) -> bool {
        !matches!(env.optional(&self.database_variable()), Ok(None))
    }

    /// Names the queue of this consumer, whatever else the process runs.
    pub fn queue_variable(&self) -> String {
        format!("{}_{SQS_QUEUE_URL}", self.process.to_uppercase().replace('-', "_"))
    }

    /// The variable that says where its queue is, and what it says. `SQS_QUEUE_URL` can be meant for one only, so it is
    /// refused where there are `several`.
    pub fn queue_url<'a>(&self, env: &'a Env, several: bool) -> Result<Option<(String, &'a str)>, SettingError> {
        let own = self.queue_variable();
        let (named, shared) = (env.optional(&own)?, env.optional(SQS_QUEUE_URL)?);
        match (named, shared) {
            (_, Some(url)) if several => {
                let should_be = format!("unset, since there are several queues here: {own} names this consumer's");
                Err(SettingError::wrong(SQS_QUEUE_URL, url, &should_be))
            }
            (Some(url), _) => Ok(Some((own, url))),
            (None, Some(url)) => Ok(Some((SQS_QUEUE_URL.to_owned(), url))),
            (None, None) => Ok(None),
        }
    }
}

/// The consumers that are in use, and those that are left out.
#[derive(Debug, Default)]
pub struct Configured {
    /// Whose databases are named.
    pub used: Vec<&'static ConsumerProcess>,
    pub left_out: Vec<LeftOut>,
}

#[derive(Debug)]
pub struct LeftOut(&'static ConsumerProcess);

impl Configured {
    pub fn of(env: &Env) -> Self {
        let mut configured = Self::default();
        for row in &CONSUMERS {
            match row.is_named(env) {
                true => configured.used.push(row),
                false => configured.left_out.push(LeftOut(row)),
            }
        }
        // It may have `DATABASE_URL`; and where nothing is named at all, somebody has to say so.
        let is_left_out = configured.left_out.first().is_some_and(|row| row.0.name == DEFAULT.name);
        if is_left_out && (configured.used.is_empty() || !matches!(env.optional("DATABASE_URL"), Ok(None))) {
            configured.left_out.remove(0);
            configured.used.insert(0, DEFAULT);
        }
        configured
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is left out, since {} is not set", self.0.name, self.0.database_variable())
    }
}

/// The consumer that a command is about.
#[derive(Debug, Args)]
pub struct OneConsumer {
    /// Whose, of the consumers
    #[arg(long, value_name = "NAME", default_value = user_service::NAME, value_parser = known())]
    consumer: &'static ConsumerProcess,
}

/// The consumers that a command is about.
#[derive(Debug, Args)]
pub struct SomeConsumers {
    /// Only this consumer; else all whose databases are named
    #[arg(long, value_name = "NAME", value_parser = known())]
    consumer: Option<&'static ConsumerProcess>,
}

fn known() -> impl TypedValueParser<Value = &'static ConsumerProcess> {
    let named = |name: String| ConsumerProcess::named(&name).ok_or("there is no such consumer");
    PossibleValuesParser::new(CONSUMERS.iter().map(|row| row.name)).try_map(named)
}

impl OneConsumer {
    pub fn get(&self) -> &'static ConsumerProcess {
        self.consumer
    }
}

impl SomeConsumers {
    pub fn is_named(&self) -> bool {
        self.consumer.is_some()
    }

    /// Says on stderr which are left out.
    pub fn get(&self, env: &Env) -> Vec<&'static ConsumerProcess> {
        if let Some(one) = self.consumer {
            return vec![one];
        }
        let Configured { used, left_out } = Configured::of(env);
        for row in left_out {
            eprintln!("{row}");
        }
        used
    }
}
