//! What Waypost is measured against: what somebody would write on the AWS SDK in an afternoon, and the one crate for Rust
//! that reads SQS. Each ends with a line of JSON.

mod events;
mod one_by_one;

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use anyhow::{Context, ensure};
use aws_sdk_sns::types::{MessageAttributeValue, PublishBatchRequestEntry};
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, MessageSystemAttributeName};
use clap::{Args, Parser};
use tokio::task::JoinSet;

#[derive(Parser)]
enum Peer {
    /// Receive ten, delete ten, do nothing with them
    Drain(Drain),
    /// Publish ten at a time, and keep no books
    Publish(Publish),
    /// Receive ten; for each, one transaction and one delete
    OneByOne(one_by_one::OneByOne),
    /// The same with omniqueue
    Omniqueue(one_by_one::OneByOne),
}

#[derive(Args)]
struct Drain {
    #[arg(long)]
    queue: String,
    #[arg(long)]
    messages: i64,
    #[arg(long)]
    connections: usize,
}

#[derive(Args)]
struct Publish {
    #[arg(long)]
    topic: String,
    #[arg(long)]
    messages: i64,
    #[arg(long)]
    in_flight: usize,
    /// A file with what is published
    #[arg(long)]
    body: std::path::PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Peer::parse() {
        Peer::Drain(drain) => drain.run().await,
        Peer::Publish(publish) => publish.run().await,
        Peer::OneByOne(one_by_one) => one_by_one.run_plain().await,
        Peer::Omniqueue(one_by_one) => one_by_one.run_omniqueue().await,
    }
}

impl Drain {
    async fn run(self) -> anyhow::Result<()> {
        let client = aws_sdk_sqs::Client::new(&aws_config::load_from_env().await);
        let left = Arc::new(AtomicI64::new(self.messages));
        let mut loops = JoinSet::new();
        for _ in 0..self.connections {
            loops.spawn(drain(client.clone(), self.queue.clone(), left.clone()));
        }
        while let Some(ended) = loops.join_next().await {
            ended??;
        }
        println!("{{\"messages\":{}}}", self.messages);
        Ok(())
    }
}

async fn drain(client: aws_sdk_sqs::Client, queue: String, left: Arc<AtomicI64>) -> anyhow::Result<()> {
    while left.load(Ordering::SeqCst) > 0 {
        // The whole message, as who works on it would want it.
        let received = client.receive_message().queue_url(&queue).max_number_of_messages(10).wait_time_seconds(1);
        let received = received.message_attribute_names("All");
        let received = received.message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount);
        let received = received.message_system_attribute_names(MessageSystemAttributeName::SentTimestamp);
        let messages = received.send().await?.messages.unwrap_or_default();
        if messages.is_empty() {
            continue;
        }
        let entries = messages.into_iter().enumerate().map(|(position, message)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(position.to_string());
            entry.receipt_handle(message.receipt_handle.unwrap_or_default()).build()
        });
        let entries = entries.collect::<Result<Vec<_>, _>>()?;
        let count = entries.len() as i64;
        let deleted = client.delete_message_batch().queue_url(&queue).set_entries(Some(entries)).send().await?;
        ensure!(deleted.failed.is_empty(), "{} messages could not be deleted", deleted.failed.len());
        left.fetch_sub(count, Ordering::SeqCst);
    }
    Ok(())
}

impl Publish {
    async fn run(self) -> anyhow::Result<()> {
        let client = aws_sdk_sns::Client::new(&aws_config::load_from_env().await);
        let body = std::fs::read_to_string(&self.body).context("could not read what to publish")?;
        let left = Arc::new(AtomicI64::new(self.messages));
        let mut loops = JoinSet::new();
        for _ in 0..self.in_flight {
            loops.spawn(publish(client.clone(), self.topic.clone(), body.clone(), left.clone()));
        }
        while let Some(ended) = loops.join_next().await {
            ended??;
        }
        println!("{{\"messages\":{}}}", self.messages);
        Ok(())
    }
}

async fn publish(client: aws_sdk_sns::Client, topic: String, body: String, left: Arc<AtomicI64>) -> anyhow::Result<()> {
    let attribute = |value: &str| MessageAttributeValue::builder().data_type("String").string_value(value).build();
    loop {
        let before = left.fetch_sub(10, Ordering::SeqCst);
        if before <= 0 {
            return Ok(());
        }
        let entries = (0..before.min(10)).map(|position| {
            PublishBatchRequestEntry::builder()
                .id(position.to_string())
                .message(&body)
                .message_attributes("type", attribute("user.created")?)
                .message_attributes("schemaversion", attribute("2")?)
                .message_attributes("source", attribute("auth-service")?)
                .build()
        });
        let entries = entries.collect::<Result<Vec<_>, _>>()?;
        let request = client.publish_batch().topic_arn(&topic).set_publish_batch_request_entries(Some(entries));
        let failed = request.send().await?.failed.unwrap_or_default();
        ensure!(failed.is_empty(), "{} messages could not be published", failed.len());
    }
}
