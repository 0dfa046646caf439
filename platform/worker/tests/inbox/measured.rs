//! What is measured, and that all of it is told in docs/metrics.md.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use fixtures::eventually;
use metrics_exporter_prometheus::PrometheusBuilder;
use schemas::{Clock, Event, event, newest};
use serde::{Deserialize, Serialize};
use worker::{HandlerError, Verdict, WorkerSettings};

use crate::world::{CountNotes, note, notes, settings, world};

/// Names in the first column of a section's table.
fn documented(section: &str) -> BTreeSet<String> {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md")).unwrap();
    let section = page.split("\n## ").find(|text| text.starts_with(section)).unwrap();
    let names = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    names.map(str::to_owned).collect()
}

#[derive(Serialize, Deserialize, schemars::JsonSchema)]
struct SignMadeV1 {
    text: String,
}

#[derive(Serialize, Deserialize, schemars::JsonSchema)]
struct SignMadeV2 {
    text: String,
    large: bool,
}

event!("sign.made", 1, SignMadeV1, text);
event!("sign.made", 2, SignMadeV2, text);
newest!(SignMadeV2, SignMadeV1);

impl From<SignMadeV1> for SignMadeV2 {
    fn from(v1: SignMadeV1) -> Self {
        Self { text: v1.text, large: false }
    }
}

async fn put_up_sign(
    _: &mut sqlx::PgConnection,
    _: &worker::Received<'_, SignMadeV2>,
) -> Result<Verdict, HandlerError> {
    Ok(Verdict::Applied)
}

/// One thread, so that a recorder of the test's own sees all that the worker does.
#[tokio::test(flavor = "current_thread")]
async fn every_metric_is_measured_described_and_documented() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _recording = metrics::set_default_local_recorder(&recorder);
    worker::describe_metrics();

    let world = world().await;
    let handler = CountNotes {
        verdict: Arc::new(|text| if text == "late" { Verdict::Stale } else { Verdict::Applied }),
        ..CountNotes::failing(|text| (text == "poison").then(|| HandlerError::retry("not yet")))
    };
    let mut all = notes(6);
    // The last one as an operator replays it.
    let mut poison = note("poison");
    poison.attributes.insert(worker::REPLAY_ATTRIBUTE.to_owned(), "{}".to_owned());
    all.extend([all[0].clone(), note("late"), poison]);
    world.send(&all).await;
    let consumer =
        worker::Consumer::named("notes").apply(handler).apply_each("put_up_sign", &["/text"], put_up_sign).build();
    let running =
        world.start_consumer(consumer.clone(), WorkerSettings { max_attempts: 2, ..settings() }, Clock::system());
    let old = worker::testing::Harness::new(consumer, world.database.pool.clone()).await.unwrap();
    old.deliver(&[old.envelope(&SignMadeV1 { text: "exit".to_owned() })]).await;
    assert_eq!(SignMadeV2::VERSION, 2);
    world.until_dead(1).await;
    world.until_empty().await;

    // In whole numbers, which is enough to compare.
    let read = |name: &str, labels: &[&str]| -> Option<u64> {
        let text = metrics.render();
        let line = text.lines().find(|line| {
            line.starts_with(name)
                && line[name.len()..].starts_with(['{', ' '])
                && labels.iter().all(|label| line.contains(label))
        });
        line.and_then(|line| Some(line.rsplit(' ').next()?.parse::<f64>().ok()? as u64))
    };
    let of_notes = "handler=\"count_notes\"";
    let events = "waypost_worker_events_total";
    assert_eq!(read(events, &[of_notes, "outcome=\"applied\""]), Some(6));
    assert_eq!(read(events, &[of_notes, "outcome=\"stale\""]), Some(1));
    assert_eq!(read(events, &[of_notes, "outcome=\"duplicate\""]), Some(1));
    assert_eq!(read("waypost_worker_retries_total", &[of_notes, "class=\"retry\""]), Some(1));
    assert_eq!(read("waypost_worker_dead_lettered_total", &["reason=\"retries-exhausted\""]), Some(1));
    assert_eq!(read("waypost_worker_refailed_total", &["reason=\"retries-exhausted\""]), Some(1));
    assert_eq!(read("waypost_worker_upcasts_total", &["event_type=\"sign.made\"", "version=\"1\""]), Some(1));
    assert_eq!(read("messaging_client_consumed_messages_total", &["messaging_system=\"aws_sqs\""]), Some(10));
    assert!(read("messaging_process_duration_seconds_count", &["error_type=\"retry\""]) >= Some(2));
    assert!(read("waypost_worker_event_lag_seconds_count", &[of_notes]) >= Some(7));
    // Another worker of the process sets its own.
    let whose = "messaging_consumer_group_name=\"notes\"";
    assert!(read("waypost_worker_last_poll_timestamp_seconds", &[whose]) > Some(1_700_000_000));
    assert_eq!(read("waypost_worker_in_flight_messages", &[whose]), Some(0));
    assert!(read("waypost_worker_polls_wanted", &[whose]) >= Some(1));
    assert!(read("waypost_worker_oldest_message_age_seconds", &[whose]).is_some());
    assert_eq!(read("waypost_worker_circuit_open", &[whose, "dependency=\"database\""]), Some(0));
    eventually("the backlog was counted", async || {
        (read("waypost_worker_backlog_messages", &["state=\"visible\""]) >= Some(0)).then_some(())
    })
    .await;
    eventually("every acknowledgement was answered", async || {
        (read("waypost_worker_acknowledgement_seconds_count", &[]) >= Some(9)).then_some(())
    })
    .await;
    running.stop().await;

    let text = metrics.render();
    let families = |prefix: &str| -> BTreeSet<String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(prefix)?.split(' ').next());
        lines.filter(|name| !name.starts_with("messaging_client_operation")).map(str::to_owned).collect()
    };
    let (measured, described) = (families("# TYPE "), families("# HELP "));
    assert_eq!(measured, described, "measured and described");
    assert_eq!(measured, documented("The worker"), "measured and documented");
}
