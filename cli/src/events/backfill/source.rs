//! The services whose state can be told, in one table.

use anyhow::Context;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use futures_util::{FutureExt, future::BoxFuture};
use schemas::{BackfillRun, Envelope, EventType};
use sqlx::PgPool;
use uuid::Uuid;

use crate::producers::{AUTH_SERVICE, PRODUCT_SERVICE, Producer};

/// Subjects in the order of their ids, each with the events that tell of it.
pub type Page = Vec<(Uuid, Vec<Envelope>)>;

type Reading<'a, T> = BoxFuture<'a, anyhow::Result<T>>;

#[derive(Debug)]
pub struct Source {
    pub producer: &'static Producer,
    /// What it tells of.
    pub subjects: &'static str,
    /// The events that it takes.
    pub tells: &'static [EventType],
    pub page: for<'a> fn(&'a PgPool, BackfillRun, Option<Uuid>, u16) -> Reading<'a, Page>,
    pub count_after: for<'a> fn(&'a PgPool, Option<Uuid>) -> Reading<'a, i64>,
}

pub(super) static SOURCES: [Source; 2] = [
    Source {
        producer: &AUTH_SERVICE,
        subjects: "accounts",
        tells: auth_service::current_state::TELLS,
        page: |pool, run, after, limit| {
            let page = auth_service::current_state::page(pool, run, after, limit);
            async { page.await.context("accounts could not be read") }.boxed()
        },
        count_after: |pool, after| {
            let count = auth_service::current_state::count_after(pool, after);
            async { count.await.context("accounts could not be counted") }.boxed()
        },
    },
    Source {
        producer: &PRODUCT_SERVICE,
        subjects: "products",
        tells: product_service::current_state::TELLS,
        page: |pool, run, after, limit| {
            let page = product_service::current_state::page(pool, run, after, limit);
            async { page.await.context("products could not be read") }.boxed()
        },
        count_after: |pool, after| {
            let count = product_service::current_state::count_after(pool, after);
            async { count.await.context("products could not be counted") }.boxed()
        },
    },
];

/// A service by its database, as a relay is told whose outbox is its own.
pub fn by_database() -> impl TypedValueParser<Value = &'static Source> {
    let named = |text: String| {
        SOURCES
            .iter()
            .find(|row| row.producer.database.name() == text)
            .ok_or("there is no such service whose state is told")
    };
    PossibleValuesParser::new(SOURCES.iter().map(|row| row.producer.database.name())).try_map(named)
}
