//! Every service that sends, in one table.
//!
//! Its outbox is in its database, and a relay publishes from there: in the service's own process, or in one by itself.
//! What runs, who may publish what, topology, catalog and the tools for outboxes go by these rows.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use migrations::Database;
use schemas::EventType;
use service::{
    postgres::PostgresSettings,
    settings::{Env, SettingErrors},
};
use worker::Consumer;

#[derive(Debug)]
pub struct Producer {
    /// The service's, and so the `source` of its events.
    pub name: &'static str,
    /// What the catalog says of the service.
    pub about: &'static str,
    pub sends: &'static [EventType],
    /// Where its outbox is.
    pub database: Database,
    /// As `waypost run` knows the process that its relay is in, unless that runs by itself.
    pub process: &'static str,
}

/// It is meant where nobody says which.
pub static AUTH_SERVICE: Producer = Producer {
    name: auth_service::NAME,
    about: auth_service::ABOUT,
    sends: auth_service::SENDS,
    database: Database::Auth,
    process: auth_service::NAME,
};

pub static PRODUCT_SERVICE: Producer = Producer {
    name: product_service::NAME,
    about: product_service::ABOUT,
    sends: product_service::SENDS,
    database: Database::Product,
    process: product_service::NAME,
};

/// It sends what its worker writes.
static USER_SERVICE: Producer = Producer {
    name: user_service::NAME,
    about: user_service::ABOUT,
    sends: user_service::SENDS,
    database: Database::User,
    process: "user-worker",
};

pub static PRODUCERS: [&Producer; 3] = [&AUTH_SERVICE, &PRODUCT_SERVICE, &USER_SERVICE];

impl Producer {
    pub fn of_process(process: &str) -> Option<&'static Self> {
        PRODUCERS.into_iter().find(|row| row.process == process)
    }

    pub fn database(&self, env: &Env) -> Result<PostgresSettings, SettingErrors> {
        PostgresSettings::from_env(env, &self.prefix())
    }

    /// Whether it sends anything that this consumer reads.
    pub fn sends_to(&self, consumer: &Consumer) -> bool {
        let reads = consumer.events();
        self.sends.iter().any(|event| reads.contains(event))
    }

    /// Names its database, whatever `DATABASE_URL` does.
    pub fn database_variable(&self) -> String {
        format!("{}_DATABASE_URL", self.prefix())
    }

    fn prefix(&self) -> String {
        self.database.name().to_uppercase()
    }
}

/// The process that publishes what a service sends.
pub fn sending_process(service: &str) -> &str {
    PRODUCERS.into_iter().find(|row| row.name == service).map_or(service, |row| row.process)
}

/// A service by its name.
pub fn by_name() -> impl TypedValueParser<Value = &'static Producer> {
    by(|row| row.name)
}

/// A service by its database, as a relay is told whose outbox is its own.
pub fn by_database() -> impl TypedValueParser<Value = &'static Producer> {
    by(|row| row.database.name())
}

fn by(called: fn(&Producer) -> &'static str) -> impl TypedValueParser<Value = &'static Producer> {
    let find = move |text: String| {
        PRODUCERS.into_iter().find(|row| called(row) == text).ok_or("there is no such service with an outbox")
    };
    PossibleValuesParser::new(PRODUCERS.into_iter().map(called)).try_map(find)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_producer_has_an_outbox_and_nobody_else_has() {
        let with_outbox: Vec<_> = Database::ALL.into_iter().filter(|database| database.has_outbox()).collect();
        assert_eq!(PRODUCERS.iter().map(|row| row.database).collect::<Vec<_>>(), with_outbox);
    }
}
