//! No token and no address is anywhere but in the mail.

use std::{
    cell::{Cell, RefCell},
    io,
};

use metrics_exporter_prometheus::PrometheusBuilder;
use tracing_subscriber::{Layer, filter::dynamic_filter_fn, fmt, layer::SubscriberExt, util::SubscriberInitExt};
use worker::Outcome;

use crate::{
    server::{Reaction, Said, SmtpServer},
    world::{ADDRESS, TOKEN, world_with},
};

thread_local! {
    static IS_TAKEN: Cell<bool> = const { Cell::new(false) };
    static LOG: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Takes what this thread logs.
struct Taken;

impl io::Write for Taken {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.with_borrow_mut(|log| log.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// For the whole process, since whether a line is logged is remembered for the whole process; for this thread alone it is
/// kept.
fn take_log() {
    let taken = dynamic_filter_fn(|_, _| IS_TAKEN.get());
    let layer = fmt::layer().with_ansi(false).with_writer(|| Taken).with_filter(taken);
    tracing_subscriber::registry().with(layer).init();
    IS_TAKEN.set(true);
}

/// One thread, so that its log and its recorder have all that happens.
#[tokio::test(flavor = "current_thread")]
async fn a_planted_token_and_a_planted_address_are_in_no_log_metric_record_or_dead_letter() {
    take_log();
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _recording = metrics::set_default_local_recorder(&recorder);
    mailer::describe_metrics();

    let server = SmtpServer::start().await;
    let url = format!("smtp://ada:hunter2@{}", server.address);
    let world = world_with(server, &[("MAIL_TRANSPORT", "smtp"), ("SMTP_URL", &url)]).await;
    let sealed = world.verification(ADDRESS);
    let mut reports = String::new();
    let mut note = |outcome: Outcome, expected: &str| {
        let outcome = format!("{outcome:?}");
        assert!(outcome.starts_with(expected), "{outcome}");
        reports.push_str(&outcome);
    };

    note(world.deliver(&sealed).await, "Applied");
    for answer in ["550 5.1.1 <ada.planted@example.com>: unknown", "451 4.2.0 <ada.planted@example.com>: later"] {
        world.server.answers(move |said| {
            matches!(said, Said::Command(said) if said.starts_with("RCPT")).then_some(Reaction::Say(answer))
        });
        let expected = if answer.starts_with('5') { "DeadLettered" } else { "Retry" };
        note(world.deliver(&world.verification(ADDRESS)).await, expected);
    }
    world.server.takes_everything();
    note(world.deliver(&world.verification("ada..planted@example.com")).await, "DeadLettered");
    let of_another = world
        .verification_sealed(ADDRESS, &world.key, |context| sealing::Context { user_id: context.event_id, ..context });
    note(world.deliver(&of_another).await, "DeadLettered");
    let later = sealing::OpeningKey::generate().sealing_key();
    note(world.deliver(&world.verification_sealed(ADDRESS, &later, |context| context)).await, "Retry");
    let expired = world.verification(ADDRESS);
    world.clock.advance(time::Duration::HOUR);
    note(world.deliver(&expired).await, "Stale");

    let log = String::from_utf8(LOG.take()).unwrap();
    let metrics = metrics.render();
    let rows = world.rows("SELECT to_jsonb(l)::text FROM event_logs AS l").await
        + &world.rows("SELECT to_jsonb(f)::text FROM event_failures AS f").await;
    for (place, text) in [("log", &log), ("metrics", &metrics), ("rows", &rows), ("dead letters", &reports)] {
        for secret in [TOKEN, "planted", "hunter2", "example.com"] {
            assert!(!text.contains(secret), "{secret} in {place}: {text}");
        }
    }
    // They tell what they are to tell.
    assert!(log.contains("mailed") && log.contains("not mailed, for its link has expired"), "{log}");
    assert!(log.contains(&sealed.id), "{log}");
    for line in [
        "mails_sent_total{mail=\"verification\"} 1",
        "mails_expired_total{mail=\"verification\"} 1",
        "mails_unopened_total{mail=\"verification\",reason=\"not-for-this\"} 1",
        "mails_unopened_total{mail=\"verification\",reason=\"unknown-key\"} 1",
        "# HELP mails_sent_total Mails that",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    assert!(world.server.delivered()[0].text.contains("planted"), "where it belongs");
}
