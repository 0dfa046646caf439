//! The example, as somebody runs it: a process, on a database and queues that are there.

use std::{path::PathBuf, process::Stdio};

use fixtures::{eventually, until_empty};
use messaging::OutgoingMessage;
use schemas::Clock;
use serde_json::json;
use tokio::process::Command;

const SOURCE: &str = include_str!("../../examples/count_words.rs");

fn binary() -> PathBuf {
    // Beside `deps`, where the tests are.
    let folder = std::env::current_exe().unwrap();
    folder.ancestors().nth(2).unwrap().join("examples/count_words")
}

#[test]
fn a_worker_of_ones_own_has_fewer_than_40_lines() {
    assert!(SOURCE.lines().count() < 40);
}

/// Its queues are called as everybody's are, so this is the one test that runs it.
#[tokio::test]
async fn the_example_applies_events_once_and_stops_with_0() {
    assert!(
        binary().exists(),
        "`cargo test` builds it, and so does `cargo build -p waypost-worker --example count_words`"
    );
    let database = fixtures::user_database().await;
    sqlx::query("CREATE TABLE words (word text PRIMARY KEY, times int NOT NULL)")
        .execute(&database.pool)
        .await
        .unwrap();
    let mut child = Command::new(binary())
        .env("DATABASE_URL", &database.url)
        .env("LOCALSTACK_ENDPOINT", fixtures::required_variable("LOCALSTACK_ENDPOINT"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let bus = fixtures::bus_without_prefix().await;
    let queue = eventually("its queue", async || bus.bus.queue("words").await.ok()).await;
    let message = |word: &str| {
        let now = Clock::system().now();
        let body = json!({ "specversion": "1.0", "id": schemas::event_id(now), "source": "tests", "type": "word.spoken",
                           "schemaversion": 1, "subject": word, "data": { "word": word } });
        OutgoingMessage { body: body.to_string(), ..OutgoingMessage::default() }
    };
    let (tea, cake) = (message("tea"), message("cake"));
    for sent in queue.send(&[tea.clone(), cake, tea, message("tea")]).await {
        sent.unwrap();
    }
    let counted = async || -> Vec<(String, i32)> {
        sqlx::query_as("SELECT word, times FROM words ORDER BY word").fetch_all(&database.pool).await.unwrap()
    };
    eventually("both words are counted", async || (counted().await.len() == 2).then_some(())).await;
    until_empty(&*queue).await;
    assert_eq!(counted().await, [("cake".to_owned(), 1), ("tea".to_owned(), 2)]);
    let id = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().await.unwrap().success());
    let ended = tokio::time::timeout(fixtures::DEADLINE, child.wait()).await.unwrap().unwrap();
    assert_eq!(ended.code(), Some(0));
}
