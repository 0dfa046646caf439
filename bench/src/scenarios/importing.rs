//! The catalogue from a file: the command as a process, on empty tables, with every event that tells of it; and a worker that
//! applies such events.

use std::{fmt::Write, path::PathBuf, sync::Arc};

use anyhow::{Context, ensure};
use async_trait::async_trait;
use messaging::OutgoingMessage;
use schemas::{
    Clock, Envelope, Header, Price, ProductCreatedV1, ProductStatus, ProductV1, Sequence, ServiceName, event_id,
};
use tokio::time::Instant;

use super::{Scenario, in_turn, working::work_off};
use crate::{
    backlog::{BenchEvent, events},
    counted::Counted,
    ground::{Ground, topology},
    process::watched,
    report::{Goal, Measure, Run},
};

#[derive(Debug, Default)]
pub struct Importing {
    file: PathBuf,
}

const MEASURES: &[Measure] = &[
    Measure { name: "import", unit: "s", against: None, goal: Some(Goal::ValueAtMost(60.0)) },
    Measure { name: "import-memory", unit: "MiB", against: None, goal: None },
    Measure {
        name: "import-applied",
        unit: "events/s",
        against: Some("as many user.created, by the same worker on the bus in PostgreSQL"),
        goal: Some(Goal::RatioAtLeast(0.8)),
    },
];

const ABOUT: &str =
    "Hand-picked in spring, in bags of paper that are as light as they can be; keep it cool, dry and dark.";

#[async_trait(?Send)]
impl Scenario for Importing {
    fn name(&self) -> &'static str {
        "import"
    }

    fn measures(&self) -> &'static [Measure] {
        MEASURES
    }

    async fn prepare(&mut self, ground: &Ground) -> anyhow::Result<()> {
        let mut text = "sku,name,description,amountMinor,currency,status\n".to_owned();
        for number in 0..ground.sizes.imported {
            let about =
                "Hand-picked in spring, in bags of paper that are as light as they can be; keep it cool, dry and dark.";
            writeln!(text, "TEA-{number:08},Darjeeling First Flush No. {number},\"{about}\",{number},EUR,available")?;
        }
        self.file = ground.logs().join("catalogue.csv");
        Ok(tokio::fs::write(&self.file, text).await?)
    }

    async fn run(&mut self, ground: &Ground, round: usize) -> anyhow::Result<Vec<Run>> {
        ground.forget_products().await?;
        let file = self.file.to_string_lossy();
        let begun = Instant::now();
        let environment = ground.environment_with(&[]);
        let done = watched(&ground.programs.waypost, &["products", "import", &file, "--json"], &environment).await?;
        let took = begun.elapsed();
        ensure!(done.code == 0, "products import ended with {}: {}", done.code, done.said);
        let report: serde_json::Value = serde_json::from_str(&done.printed)?;
        ensure!(report["created"] == ground.sizes.imported, "this was imported: {report}");
        let told: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox").fetch_one(&ground.product).await?;
        ensure!(told == ground.sizes.imported as i64, "{told} events tell of the products");

        let products = products(ground.sizes.embedded)?;
        let accounts = events(ground.sizes.embedded)?;
        let accounts = accounts.iter().map(BenchEvent::message).collect::<anyhow::Result<Vec<_>>>()?;
        let (ours, others) = in_turn(round, applied(ground, &products), applied(ground, &accounts)).await?;
        Ok(vec![Run::alone(took.as_secs_f64()), Run::alone(done.peak_mib), Run::beside(ours, others)])
    }

    async fn clear(&mut self, ground: &Ground) -> anyhow::Result<()> {
        tokio::fs::remove_file(&self.file).await?;
        ground.forget_products().await
    }
}

/// As product-service sends them.
fn products(count: usize) -> anyhow::Result<Vec<OutgoingMessage>> {
    let now = Clock::system().now();
    let message = |number: usize| {
        let event = ProductCreatedV1(ProductV1 {
            product_id: event_id(now),
            timestamp: now,
            source: ServiceName::PRODUCT_SERVICE,
            sku: format!("TEA-{number:08}").parse()?,
            name: format!("Darjeeling First Flush No. {number}").parse()?,
            description: Some(ABOUT.parse()?),
            price: Price { amount_minor: 1_999.try_into()?, currency: "EUR".parse()? },
            status: ProductStatus::Available,
        });
        let (id, sequence) = (event_id(now), Sequence::after(None, now));
        let header = Header { id, source: "product-service", time: now, sequence, traceparent: None };
        let envelope = Envelope::new(&event, header)?;
        let body = serde_json::to_string(&envelope)?;
        Ok(outbox::message(&envelope.event_type, envelope.schemaversion as i32, &envelope.source, body))
    };
    (0..count).map(message).collect()
}

/// Events a second, from a queue that has them all.
async fn applied(ground: &Ground, messages: &[OutgoingMessage]) -> anyhow::Result<f64> {
    ground.forget_applied().await?;
    sqlx::query("TRUNCATE products").execute(&ground.user).await?;
    let road = ground.embedded(topology()).await?;
    road.send(messages).await.context("the queue could not be filled")?;
    let queue = Arc::new(Counted::new(road.queue().await?, messages.len()));
    let took = work_off(queue, road.dead_letters().await?, ground.user.clone()).await?;
    road.remove().await?;
    Ok(messages.len() as f64 / took.as_secs_f64())
}
