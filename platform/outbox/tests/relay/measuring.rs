use messaging::{EntryError, Names};
use metrics_exporter_prometheus::PrometheusBuilder;
use outbox::{BusLabels, append_due, describe_metrics};

use crate::{
    buses::Bus,
    keeping::{SERVICE, maintained},
    world::{NOW, Outbox, event, id, outbox, settings},
};

/// What the gauges say of an outbox, asked by name.
async fn gauges(outbox: &Outbox) -> impl Fn(&str) -> f64 {
    let recorder = PrometheusBuilder::new().build_recorder();
    let measured = recorder.handle();
    // Of this thread, on which everything in a test runs.
    let _recording = metrics::set_default_local_recorder(&recorder);
    maintained(outbox, "measurements", async || measured.render().contains("outbox_oldest_pending_seconds{")).await;
    let rendered = measured.render();
    move |name| {
        let line = rendered
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}{{service=\"{SERVICE}\"}} ")).map(str::to_owned));
        line.unwrap_or_else(|| panic!("{name} in {rendered}")).parse().unwrap()
    }
}

/// The age of something that an hour ago became true.
fn is_an_hour(seconds: f64) -> bool {
    (3_600.0..3_900.0).contains(&seconds)
}

#[tokio::test]
async fn an_event_waits_from_when_it_may_be_published_whatever_became_of_its_attempts() {
    let outbox = outbox().await;
    let delayed = event();
    let mut tx = outbox.pool().begin().await.unwrap();
    append_due(&mut tx, &delayed, NOW).await.unwrap();
    tx.commit().await.unwrap();

    outbox
        .execute("UPDATE outbox SET not_before = now() + interval '1 hour', due_at = now() + interval '1 hour'")
        .await;
    let gauge = gauges(&outbox).await;
    assert_eq!((gauge("outbox_pending"), gauge("outbox_delayed")), (1.0, 1.0));
    assert!(gauge("outbox_oldest_pending_seconds").abs() < f64::EPSILON, "nothing may be published yet");

    // Written three days ago, due for an hour, and backing off.
    outbox
        .execute(
            "UPDATE outbox
                SET created_at = now() - interval '3 days', not_before = now() - interval '1 hour', attempts = 9,
                    due_at = now() + interval '1 minute'",
        )
        .await;
    let gauge = gauges(&outbox).await;
    assert_eq!((gauge("outbox_pending"), gauge("outbox_delayed")), (1.0, 0.0));
    assert!(is_an_hour(gauge("outbox_oldest_pending_seconds")));

    // One without a delay waits from the start.
    outbox.execute("UPDATE outbox SET not_before = NULL, created_at = now() - interval '1 hour'").await;
    assert!(is_an_hour(gauges(&outbox).await("outbox_oldest_pending_seconds")));
    assert_eq!(outbox.row(id(&delayed)).await.status, "pending");
}

#[tokio::test]
async fn what_is_sent_is_counted_by_topic_and_what_is_sent_in_vain_by_its_reason() {
    let outbox = outbox().await;
    let ids = outbox.commit_events(5).await;
    let (refused, throttled) = (ids[0], ids[1]);
    let bus = Bus::answering(move |id| match id {
        id if id == refused => Err(EntryError::refused("InvalidParameter", "not this one")),
        id if id == throttled => Err(EntryError::unavailable("Throttled", "not now")),
        _ => Ok(()),
    });
    let recorder = PrometheusBuilder::new().build_recorder();
    let measured = recorder.handle();
    let _recording = metrics::set_default_local_recorder(&recorder);
    describe_metrics();
    let labels = BusLabels { system: "aws.sns", names: Names::with_prefix("staging-") };
    outbox.relay(&bus, settings()).labelled(labels).relay_once().await.unwrap();

    let rendered = measured.render();
    let sent = "messaging_client_sent_messages_total";
    let labels = r#"messaging_system="aws.sns",messaging_operation_name="send",messaging_destination_name="staging-user-created""#;
    for line in [
        format!("{sent}{{{labels}}} 3"),
        format!("{sent}{{{labels},error_type=\"InvalidParameter\"}} 1"),
        format!("{sent}{{{labels},error_type=\"Throttled\"}} 1"),
    ] {
        assert!(rendered.lines().any(|rendered| rendered == line), "{line} in {rendered}");
    }
    let measured: Vec<_> = rendered.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    for name in measured.iter().map(|line| line.split(' ').next().unwrap()) {
        assert!(rendered.contains(&format!("# HELP {name} ")), "{name} has no description in {rendered}");
    }
}
