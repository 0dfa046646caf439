//! A worker of one's own: counts words. `cargo run -p waypost-worker --example count_words`, until Ctrl-C.
use messaging::{AwsBus, AwsSettings, Bus, Topology};
use schemas::{Clock, event, newest};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};
use tokio_util::sync::CancellationToken;
use worker::{Consumer, HandlerError, Received, Verdict, Worker, WorkerSettings};

#[derive(Serialize, Deserialize, schemars::JsonSchema)]
struct WordSpoken {
    word: String,
}
event!("word.spoken", 1, WordSpoken, word);
newest!(WordSpoken);

async fn count_word(tx: &mut PgConnection, spoken: &Received<'_, WordSpoken>) -> Result<Verdict, HandlerError> {
    let sql = "INSERT INTO words VALUES ($1, 1) ON CONFLICT (word) DO UPDATE SET times = words.times + 1";
    sqlx::query(sql).bind(&spoken.event.word).execute(tx).await?;
    Ok(Verdict::Applied)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words = Consumer::named("words").apply_each("count_word", &["/word"], count_word).build();
    let pool = PgPool::connect(&std::env::var("DATABASE_URL")?).await?;
    let endpoint = std::env::var("LOCALSTACK_ENDPOINT").ok();
    let bus = AwsBus::new(AwsSettings { endpoint, ..AwsSettings::default() }).await;
    bus.apply(&Topology { subscribers: vec![words.subscriber()], ..Topology::default() }).await?;
    let (queue, dead_letters) = (bus.queue("words").await?, bus.queue("words-dlq").await?);
    let worker = Worker::new(words, queue, dead_letters, pool, WorkerSettings::new("words-1", "1.0"), Clock::system());
    let stop = CancellationToken::new();
    let running = tokio::spawn(worker.run(stop.clone(), CancellationToken::new()));
    tokio::signal::ctrl_c().await?;
    stop.cancel();
    Ok(running.await??)
}
