//! Ten are received, and each is applied in a transaction of its own and deleted by a call of its own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, anyhow};
use clap::Args;
use omniqueue::backends::SqsBackend;
use sqlx::{PgPool, postgres::PgPoolOptions};
use tokio::task::JoinSet;

use crate::events::apply;

#[derive(Args)]
pub struct OneByOne {
    #[arg(long)]
    queue: String,
    #[arg(long)]
    messages: i64,
    /// Loops at a time
    #[arg(long)]
    loops: u32,
    #[arg(long)]
    database: String,
}

impl OneByOne {
    pub async fn run_plain(self) -> anyhow::Result<()> {
        let client = aws_sdk_sqs::Client::new(&aws_config::load_from_env().await);
        let (pool, left) = (self.pool().await?, Arc::new(AtomicI64::new(self.messages)));
        let mut loops = JoinSet::new();
        for _ in 0..self.loops {
            loops.spawn(plain(client.clone(), self.queue.clone(), pool.clone(), left.clone()));
        }
        end(loops).await
    }

    pub async fn run_omniqueue(self) -> anyhow::Result<()> {
        let (pool, left) = (self.pool().await?, Arc::new(AtomicI64::new(self.messages)));
        let mut loops = JoinSet::new();
        for _ in 0..self.loops {
            loops.spawn(omniqueue(self.queue.clone(), pool.clone(), left.clone()));
        }
        end(loops).await
    }

    async fn pool(&self) -> anyhow::Result<PgPool> {
        Ok(PgPoolOptions::new().max_connections(self.loops).connect(&self.database).await?)
    }
}

async fn plain(client: aws_sdk_sqs::Client, queue: String, pool: PgPool, left: Arc<AtomicI64>) -> anyhow::Result<()> {
    while left.load(Ordering::SeqCst) > 0 {
        let received = client.receive_message().queue_url(&queue).max_number_of_messages(10).wait_time_seconds(1);
        for message in received.send().await?.messages.unwrap_or_default() {
            apply(&pool, message.body.unwrap_or_default().as_bytes()).await?;
            let receipt = message.receipt_handle.unwrap_or_default();
            client.delete_message().queue_url(&queue).receipt_handle(receipt).send().await?;
            left.fetch_sub(1, Ordering::SeqCst);
        }
    }
    Ok(())
}

async fn omniqueue(queue: String, pool: PgPool, left: Arc<AtomicI64>) -> anyhow::Result<()> {
    let consumer = SqsBackend::builder(queue.as_str()).build_consumer().await.map_err(|error| anyhow!("{error}"))?;
    while left.load(Ordering::SeqCst) > 0 {
        let received = consumer.receive_all(10, Duration::from_secs(1)).await.map_err(|error| anyhow!("{error}"))?;
        for delivery in received {
            apply(&pool, delivery.borrow_payload().context("a message without a body")?).await?;
            delivery.ack().await.map_err(|(error, _)| anyhow!("{error}"))?;
            left.fetch_sub(1, Ordering::SeqCst);
        }
    }
    Ok(())
}

async fn end(mut loops: JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
    while let Some(ended) = loops.join_next().await {
        ended??;
    }
    println!("{{\"cpu_seconds\":{}}}", cpu_seconds()?);
    Ok(())
}

/// Of this process, all threads, user and system.
fn cpu_seconds() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    let (user, system) = ticks(11).zip(ticks(12)).context("/proc/self/stat has another form")?;
    Ok((user + system) / 100.0)
}
