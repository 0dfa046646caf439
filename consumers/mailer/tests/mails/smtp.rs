//! What a mail server's answers mean for an event.

use std::time::Duration;

use fixtures::eventually;
use metrics_exporter_prometheus::PrometheusBuilder;
use schemas::Envelope;
use worker::Outcome;

use crate::{
    server::{Reaction, Said, SmtpServer},
    world::{ADDRESS, TOKEN, World, text_of, world, world_with},
};

type Script = Box<dyn Fn(&Said<'_>) -> Option<Reaction> + Send + Sync>;

fn to(command: &'static str, reaction: fn() -> Reaction) -> impl Fn(&Said<'_>) -> Option<Reaction> {
    move |said| matches!(said, Said::Command(said) if said.starts_with(command)).then(reaction)
}

/// What `event_failures` holds of an event.
async fn told(world: &World, event: &Envelope) -> String {
    let sql = "SELECT to_jsonb(f)::text FROM event_failures AS f WHERE event_id = $1";
    sqlx::query_scalar(sql).bind(&event.id).fetch_one(&world.database.pool).await.unwrap()
}

#[tokio::test]
async fn what_is_refused_for_good_is_rejected_and_what_may_work_later_is_tried_again() {
    let world = world().await;
    let on_mail =
        |reaction: fn() -> Reaction| -> Script { Box::new(move |said| matches!(said, Said::Mail).then(reaction)) };
    let cases: [(Script, bool, &str); 9] = [
        (Box::new(to("RCPT", || Reaction::Say("550 5.1.1 <ada.planted@example.com>: unknown"))), true, "550 5.1.1"),
        (Box::new(to("RCPT", || Reaction::Say("553 ada.planted@example.com is no mailbox"))), true, "was 553"),
        (Box::new(to("MAIL", || Reaction::Say("550 5.7.1 not from you"))), true, "550 5.7.1"),
        (on_mail(|| Reaction::Say("554 5.7.1 spam to ada.planted@example.com")), true, "554 5.7.1"),
        (Box::new(to("RCPT", || Reaction::Say("450 4.2.0 <ada.planted@example.com>: later"))), false, "450 4.2.0"),
        (Box::new(to("RCPT", || Reaction::Say("421 4.7.0 too many"))), false, "421 4.7.0"),
        (on_mail(|| Reaction::Say("451 4.3.0 later")), false, "451 4.3.0"),
        (Box::new(to("RCPT", || Reaction::Say("ada.planted@example.com?!"))), false, "no SMTP"),
        (Box::new(to("DATA", || Reaction::HangUp)), false, "does not take this mail now"),
    ];
    for (number, (script, is_final, told_as)) in cases.into_iter().enumerate() {
        world.server.answers(script);
        let event = world.verification(ADDRESS);
        match world.deliver(&event).await {
            Outcome::DeadLettered(report) => assert!(is_final && report.reason == "rejected", "{number}: {report:?}"),
            Outcome::Retry(_) => assert!(!is_final, "{number}"),
            other => panic!("{number}: {other:?}"),
        }
        let told = told(&world, &event).await;
        assert!(told.contains(told_as), "{number}: {told}");
        assert!(!told.contains("planted"), "{number}: {told}");
    }
    world.server.takes_everything();
    assert!(matches!(world.deliver(&world.verification(ADDRESS)).await, Outcome::Applied), "nothing holds it up");
}

/// Delivers while the server is as it is, and brings it back by `mend`: nothing is counted against the event.
async fn waits_for(
    world: &World,
    what: &str,
    is_noticed: impl Fn(&SmtpServer) -> bool,
    mend: impl FnOnce(&SmtpServer),
) {
    let delivering = world.delivering(&world.verification(ADDRESS));
    eventually(what, async || is_noticed(&world.server).then_some(())).await;
    assert!(!delivering.is_finished(), "{what}");
    assert!(!world.server.commands().iter().any(|command| command.starts_with("MAIL")), "{what}: a probe is no mail");
    mend(&world.server);
    assert!(matches!(delivering.await.unwrap()[..], [Outcome::Applied]), "{what}");
    assert_eq!(world.count("SELECT count(*) FROM event_failures").await, 0, "{what}");
    assert_eq!(world.server.delivered().len(), 1, "{what}");
}

#[tokio::test]
async fn a_server_that_turns_us_away_is_waited_for_and_no_attempt_is_counted() {
    for greeting in ["421 4.3.2 shutting down", "554 5.3.2 nobody here", "what?"] {
        let world = world().await;
        world.server.answers(move |said| matches!(said, Said::Connected).then_some(Reaction::Say(greeting)));
        waits_for(&world, greeting, |server| server.connections() > 3, SmtpServer::takes_everything).await;
    }
    let world = world().await;
    world.server.answers(|said| matches!(said, Said::Connected).then_some(Reaction::HangUp));
    waits_for(&world, "hanging up", |server| server.connections() > 3, SmtpServer::takes_everything).await;
}

#[tokio::test]
async fn a_login_that_is_refused_is_the_servers_matter_and_no_mails() {
    let server = SmtpServer::start().await;
    let url = format!("smtp://ada:hunter2@{}", server.address);
    let world = world_with(server, &[("MAIL_TRANSPORT", "smtp"), ("SMTP_URL", &url)]).await;
    world.server.answers(to("AUTH", || Reaction::Say("535 5.7.8 wrong password")));
    let refused = |server: &SmtpServer| server.commands().iter().filter(|said| said.starts_with("AUTH")).count() > 2;
    waits_for(&world, "login", refused, SmtpServer::takes_everything).await;
}

/// One thread, so that its recorder sees the worker's circuit.
#[tokio::test(flavor = "current_thread")]
async fn a_server_that_is_not_there_is_waited_for() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let world = world().await;
    let event = world.verification(ADDRESS);
    let World { server, harness, database, .. } = world;
    let address = server.close().await;
    let delivering = tokio::spawn(async move { harness.deliver(&[event]).await });
    eventually("the worker notices", async || {
        let is_open = |line: &str| {
            line.starts_with("waypost_worker_circuit_open{")
                && line.contains("dependency=\"send_verification_mail\"")
                && line.ends_with("} 1")
        };
        metrics.render().lines().any(is_open).then_some(())
    })
    .await;
    let back = SmtpServer::on(address).await;
    assert!(matches!(delivering.await.unwrap()[..], [Outcome::Applied]));
    assert_eq!(back.delivered().len(), 1);
    let failures = "SELECT count(*) FROM event_failures";
    assert_eq!(sqlx::query_scalar::<_, i64>(failures).fetch_one(&database.pool).await.unwrap(), 0);
}

/// Otherwise a mail would travel in clear wherever somebody on the way strikes STARTTLS out of the greeting.
#[tokio::test]
async fn nothing_is_sent_in_clear_where_tls_is_required() {
    let server = SmtpServer::start().await;
    let url = format!("smtp://ada:hunter2@{}?tls=required", server.address);
    let world = world_with(server, &[("MAIL_TRANSPORT", "smtp"), ("SMTP_URL", &url)]).await;
    let delivering = world.delivering(&world.verification(ADDRESS));
    eventually("probes", async || (world.server.connections() > 3).then_some(())).await;
    delivering.abort();
    let said = world.server.commands();
    assert!(said.iter().all(|command| command.starts_with("EHLO") || command == "QUIT"), "{said:?}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up_before_a_mail_waited_for_and_with_one_tried_again() {
    let world = world().await;
    world.server.answers(|said| matches!(said, Said::Connected).then_some(Reaction::KeepSilent));
    let delivering = world.delivering(&world.verification(ADDRESS));
    eventually("a connection", async || (world.server.connections() == 1).then_some(())).await;
    pass(Duration::from_secs(16)).await;
    eventually("a probe", async || (world.server.connections() > 1).then_some(())).await;
    assert!(!delivering.is_finished());
    world.server.takes_everything();
    world.server.speak();
    pass(Duration::from_secs(3)).await;
    assert!(matches!(delivering.await.unwrap()[..], [Outcome::Applied]));
    assert_eq!(world.count("SELECT count(*) FROM event_failures").await, 0);

    let world = self::world().await;
    world.server.answers(|said| matches!(said, Said::Mail).then_some(Reaction::KeepSilent));
    let event = world.verification(ADDRESS);
    let delivering = world.delivering(&event);
    eventually("a mail", async || (world.server.delivered().len() == 1).then_some(())).await;
    pass(Duration::from_secs(61)).await;
    assert!(matches!(delivering.await.unwrap()[..], [Outcome::Retry(_)]));
    assert!(told(&world, &event).await.contains("no answer within 60 s"));
}

async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// The answer to a mail that was given up comes after all, and must not be heard as the answer to the next.
#[tokio::test]
async fn an_answer_that_nobody_waited_for_is_not_taken_for_the_next_mails() {
    let world = world().await;
    // So that there is a connection which is used again.
    assert!(matches!(world.deliver(&world.password_changed(ADDRESS)).await, Outcome::Applied));
    world.server.answers(|said| matches!(said, Said::Mail).then_some(Reaction::KeepSilent));
    let given_up = world.delivering(&world.verification(ADDRESS));
    eventually("a mail", async || (world.server.delivered().len() == 2).then_some(())).await;
    given_up.abort();
    let _ = given_up.await;
    world.server.answers(|said| matches!(said, Said::Mail).then_some(Reaction::Say("554 5.6.0 no")));
    world.server.speak();
    let outcome = world.deliver(&world.verification("other@example.com")).await;
    assert!(matches!(&outcome, Outcome::DeadLettered(report) if report.reason == "rejected"), "{outcome:?}");
    assert_eq!(world.server.delivered().last().unwrap().to, ["other@example.com"]);
}

#[tokio::test]
async fn many_mails_share_few_connections() {
    let world = world().await;
    let envelopes: Vec<_> = (0..40).map(|number| world.verification(&format!("user{number}@example.com"))).collect();
    let outcomes = world.harness.deliver(&envelopes).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Applied)), "{outcomes:?}");
    let delivered = world.server.delivered();
    assert_eq!(delivered.len(), 40);
    assert!(delivered.iter().all(|mail| mail.to.len() == 1 && text_of(mail).contains(TOKEN)));
    assert!(world.server.connections() <= 8, "{}", world.server.connections());
}
