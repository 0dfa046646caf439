use std::time::Duration;

use fixtures::{TestBus, eventually, on_both_buses};
use messaging::{OutgoingMessage, ReceiveRequest};
use redrive::REPLAY_ATTRIBUTE;
use serde_json::{Value, json};

use super::{WHY, event, stamped, stamped_with, undecodable};
use crate::running::{Installation, free_port, terminate};

on_both_buses!(
    a_replay_is_a_dry_run_unless_told_to_execute_and_leaves_what_would_die_again,
    what_acts_needs_a_reason_and_says_on_record_who_and_why,
    one_event_is_replayed_by_its_id_and_an_unknown_id_matches_nothing,
    what_is_applied_already_is_discarded_where_somebody_asks_for_it,
    a_plan_that_was_kept_is_carried_out_once_and_decides_anew,
    more_letters_than_a_hundred_have_to_be_asked_for,
    a_ramp_stops_when_letters_fail_again_and_marks_them,
    a_ramp_that_goes_well_goes_to_its_end,
    a_rate_spreads_letters_over_time,
    what_an_operation_does_not_touch_is_not_kept_from_others,
    a_queue_that_vanishes_half_way_stops_the_replay_and_loses_nothing,
);

async fn a_replay_is_a_dry_run_unless_told_to_execute_and_leaves_what_would_die_again(bus: TestBus) {
    let installation = Installation::make(bus).await;
    let ((first, good), (applied, done)) = (event("ada@example.com"), event("bob@example.com"));
    let mut unknown: Value = serde_json::from_str(&event("eve@example.com").1.body).unwrap();
    unknown["schemaversion"] = json!(99);
    let unknown = OutgoingMessage { body: unknown.to_string(), ..Default::default() };
    installation.bury(&[stamped(good.clone(), &first), done.clone(), undecodable(), unknown]).await;
    installation.mark_applied(&done).await;

    let plan = installation.dlq(&["replay", "--all-matching"], 0).await;
    assert_eq!(installation.visible("user-service").await, 0);
    assert_eq!(plan["counts"], json!({ "already-applied": 1, "replay": 1, "would-fail": 2 }));
    let (stdout, stderr) = installation.told(&["replay", "--all-matching"], 0).await;
    for words in [&first, "replayed", &applied, "it would fail again as", "record_profile applied it"] {
        assert!(stdout.contains(words), "{words:?} is not in:\n{stdout}");
    }
    assert!(stderr.contains("nothing was done; --execute with --reason does it"), "{stderr}");

    let outcome = installation.dlq(&[&["replay", "--all-matching"][..], &WHY].concat(), 0).await;
    assert_eq!(outcome["counts"], json!({ "already-applied": 1, "replayed": 1, "would-fail": 2 }));
    assert_eq!(installation.visible("user-service-dlq").await, 3);
    let request = ReceiveRequest { max: 10, wait: Duration::from_secs(1), visibility: Duration::ZERO };
    let replayed = eventually("the replayed event", async || {
        installation.queue("user-service").await.receive(request).await.unwrap().pop()
    })
    .await;
    // As it first was, without the report of a failure that is over, and with what tells a replay.
    let mut sent = replayed.to_outgoing();
    let stamp: Value = serde_json::from_str(&sent.attributes.remove(REPLAY_ATTRIBUTE).unwrap()).unwrap();
    assert_eq!((&stamp["operation"], &stamp["count"]), (&outcome["operation"], &json!(1)));
    assert_eq!(sent, good);
}

async fn what_acts_needs_a_reason_and_says_on_record_who_and_why(bus: TestBus) {
    let installation = Installation::make(bus).await;
    let (id, message) = event("ada@example.com");
    installation.bury(&[stamped(message, &id)]).await;
    for verb in ["replay", "discard"] {
        let (_, stderr) = installation.told(&[verb, "--id", &id, "--execute"], 2).await;
        assert!(stderr.contains("--reason is missing"), "{stderr}");
        installation.told(&[verb, "--id", &id, "--execute", "--reason", " "], 2).await;
    }
    assert_eq!(installation.dlq(&["history"], 0).await, json!([]));
    assert_eq!(installation.visible("user-service-dlq").await, 1);

    let mut environment = installation.environment();
    environment.push(("WAYPOST_ACTOR", "ada of the night shift".to_owned()));
    let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let replay = [&["dlq", "replay", "--id", &id, "--json"][..], &WHY].concat();
    let (code, stdout, stderr) = crate::run(&replay, &environment).await;
    assert_eq!(code, 0, "{stderr}");
    let outcome: Value = serde_json::from_str(&stdout).unwrap();
    let operation = outcome["operation"].as_str().unwrap();
    let recorded = installation.dlq(&["history", operation], 0).await;
    let one = &recorded["operation"];
    assert_eq!((&one["verb"], &one["reason"], &one["state"]), (&json!("replay"), &json!("a test"), &json!("ended")));
    assert_eq!(one["actor"], "ada of the night shift");
    assert_eq!(one["filter"], json!({ "ids": [id] }));
    assert_eq!(one["plan"], json!({ "replay": 1 }));
    let outcomes: Vec<_> = recorded["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["letterId"].as_str(), entry["outcome"].as_str().unwrap()))
        .collect();
    assert_eq!(outcomes, [(Some(id.as_str()), "replayed"), (None, "ended")]);
    let earlier = installation.dlq(&["history", "--letter", &id], 0).await;
    assert_eq!(earlier[0]["outcome"], "replayed");
}

async fn one_event_is_replayed_by_its_id_and_an_unknown_id_matches_nothing(bus: TestBus) {
    let installation = Installation::make(bus).await;
    let ((first, one), (_, other)) = (event("ada@example.com"), event("bob@example.com"));
    installation.bury(&[one, other]).await;
    installation.told(&[&["replay", "--id", "nobody"][..], &WHY].concat(), 3).await;
    installation.told(&[&["replay", "--id", &first][..], &WHY].concat(), 0).await;
    assert_eq!(installation.visible("user-service").await, 1);
    assert_eq!(installation.visible("user-service-dlq").await, 1);
}

async fn what_is_applied_already_is_discarded_where_somebody_asks_for_it(bus: TestBus) {
    let installation = Installation::make(bus).await;
    let (_, done) = event("bob@example.com");
    installation.bury(std::slice::from_ref(&done)).await;
    installation.mark_applied(&done).await;
    let all = ["replay", "--all-matching"];
    let left = installation.dlq(&[&all[..], &WHY].concat(), 0).await;
    assert_eq!(left["counts"], json!({ "already-applied": 1 }));
    assert_eq!(installation.visible("user-service-dlq").await, 1);
    let gone = installation.dlq(&[&all[..], &["--discard-applied"], &WHY].concat(), 0).await;
    assert_eq!(gone["counts"], json!({ "discarded": 1 }));
    assert_eq!(installation.visible("user-service-dlq").await, 0);
    assert_eq!(installation.visible("user-service").await, 0);
}

async fn a_plan_that_was_kept_is_carried_out_once_and_decides_anew(bus: TestBus) {
    let installation = Installation::make(bus).await;
    let ((_, one), (_, other)) = (event("ada@example.com"), event("bob@example.com"));
    installation.bury(&[one, other.clone()]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.json");
    let path = path.to_str().unwrap();
    let (_, stderr) = installation.told(&["replay", "--all-matching", "--plan-out", path], 0).await;
    assert!(stderr.contains(&format!("waypost dlq apply {path}")), "{stderr}");
    // Applied by other means meanwhile; and one more letter comes, which nobody has planned for.
    installation.mark_applied(&other).await;
    installation.bury(&[event("eve@example.com").1]).await;

    let carried = installation.dlq(&["apply", path, "--reason", "reviewed"], 0).await;
    assert_eq!(carried["counts"], json!({ "already-applied": 1, "replayed": 1 }));
    assert_eq!(installation.visible("user-service").await, 1);
    assert_eq!(installation.visible("user-service-dlq").await, 2);
    let (_, stderr) = installation.told(&["apply", path, "--reason", "again"], 1).await;
    assert!(stderr.contains("a plan is carried out once"), "{stderr}");
    std::fs::write(path, "{}").unwrap();
    let (_, stderr) = installation.told(&["apply", path, "--reason", "no plan"], 2).await;
    assert!(stderr.contains("is no plan of `dlq`"), "{stderr}");
}

async fn more_letters_than_a_hundred_have_to_be_asked_for(bus: TestBus) {
    let installation = Installation::make(bus).await;
    let messages: Vec<_> = (0..120).map(|_| event("ada@example.com").1).collect();
    installation.bury(&messages).await;
    let many = ["replay", "--type", "user.created"];
    installation.told(&many, 0).await;
    let (_, stderr) = installation.told(&[&many[..], &WHY].concat(), 2).await;
    assert!(stderr.contains("120 letters match: say --all-matching"), "{stderr}");
    assert_eq!(installation.visible("user-service").await, 0);
    let few = installation.dlq(&[&many[..], &["--limit", "30"], &WHY].concat(), 0).await;
    assert_eq!(few["counts"], json!({ "replayed": 30 }));
    let all = installation.dlq(&[&many[..], &["--all-matching"], &WHY].concat(), 0).await;
    assert_eq!(all["counts"], json!({ "replayed": 90 }));
    assert_eq!(installation.visible("user-service").await, 120);
}

impl Installation {
    /// Starts a worker, and stops it when `work` is done.
    async fn with_a_worker<T>(&self, work: impl AsyncFnOnce() -> T) -> T {
        let port = free_port();
        let listen = format!("127.0.0.1:{port}");
        let settings = [
            ("WORKER_ADMIN_LISTEN", listen.as_str()),
            ("WORKER_MAX_ATTEMPTS", "1"),
            ("WORKER_RETRY_BASE_MILLIS", "100"),
        ];
        let worker = self.start(&["run", "user-worker"], &settings, port).await;
        let done = work().await;
        terminate(worker).await;
        done
    }
}

async fn a_ramp_stops_when_letters_fail_again_and_marks_them(bus: TestBus) {
    let installation = Installation::make(bus).await;
    let messages: Vec<_> = (0..8).map(|_| event("ada@example.com").1).collect();
    installation.bury(&messages).await;
    sqlx::raw_sql("ALTER TABLE user_profiles ADD CONSTRAINT no_ada CHECK (email <> 'ada@example.com')")
        .execute(&installation.user.pool)
        .await
        .unwrap();
    let replay = [&["replay", "--all-matching", "--ramp", "1,2,5"][..], &WHY].concat();
    let outcome = installation.with_a_worker(async || installation.dlq(&replay, 4).await).await;
    assert_eq!((&outcome["how"], &outcome["counts"]), (&json!("stopped"), &json!({ "replayed": 1 })));
    assert_eq!(outcome["refailed"].as_array().unwrap().len(), 1);
    eventually("it is back among the dead", async || {
        (installation.visible("user-service-dlq").await == 8).then_some(())
    })
    .await;
    let groups = installation.dlq(&["groups"], 0).await;
    let refailed: u64 =
        groups["groups"].as_array().unwrap().iter().map(|group| group["refailed"].as_u64().unwrap()).sum();
    assert_eq!(refailed, 1, "{groups}");
    let (stdout, _) = installation.told(&["groups"], 0).await;
    assert!(stdout.contains("[1 refailed]"), "{stdout}");
    let history = installation.dlq(&["history"], 0).await;
    assert_eq!((&history[0]["state"], &history[0]["outcomes"]["refailed"]), (&json!("stopped"), &json!(1)));
}

async fn a_ramp_that_goes_well_goes_to_its_end(bus: TestBus) {
    let installation = Installation::make(bus).await;
    let messages: Vec<_> = (0..9).map(|_| event("ada@example.com").1).collect();
    installation.bury(&messages).await;
    // Nobody works, so nothing is heard of the first.
    let silent = [&["replay", "--all-matching", "--ramp", "1,3", "--verify", "1"][..], &WHY].concat();
    let outcome = installation.dlq(&silent, 4).await;
    assert!(outcome["why"].as_str().unwrap().contains("nothing was heard of 1 within 1 s"), "{outcome}");

    let replay = [&["replay", "--all-matching", "--ramp", "1,3"][..], &WHY].concat();
    let outcome = installation.with_a_worker(async || installation.dlq(&replay, 0).await).await;
    assert_eq!((&outcome["how"], &outcome["applied"]), (&json!("ended"), &json!(8)));
    let profiles: i64 =
        sqlx::query_scalar("SELECT count(*) FROM user_profiles").fetch_one(&installation.user.pool).await.unwrap();
    assert_eq!(profiles, 9);
}

async fn a_rate_spreads_letters_over_time(bus: TestBus) {
    let installation = Installation::make(bus).await;
    let messages: Vec<_> = (0..11).map(|_| event("ada@example.com").1).collect();
    installation.bury(&messages).await;
    let begun = tokio::time::Instant::now();
    installation.dlq(&[&["replay", "--all-matching", "--rate", "10/s"][..], &WHY].concat(), 0).await;
    // The eleventh goes a second after the first: it can't be faster, whatever the machine does.
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(installation.visible("user-service").await, 11);
}

async fn what_an_operation_does_not_touch_is_not_kept_from_others(bus: TestBus) {
    let installation = Installation::make(bus).await;
    let (mut slow, mut others) = (Vec::new(), Vec::new());
    for _ in 0..15 {
        let (id, message) = event("ada@example.com");
        slow.push(stamped_with(message, &id, "aaaa000000000000", "one fault"));
        others.push(event("bob@example.com").1);
    }
    installation.bury(&[slow, others].concat()).await;
    let replay = [&["replay", "--group", "aaaa", "--rate", "5/s"][..], &WHY].concat();
    let (replayed, ()) = tokio::join!(installation.dlq(&replay, 0), async {
        eventually("a letter is sent", async || (installation.visible("user-service").await >= 1).then_some(())).await;
        let browsed = installation.dlq(&["browse", "--reason-contains", "worker-died"], 0).await;
        assert_eq!(browsed["letters"].as_array().unwrap().len(), 15);
        assert_eq!(browsed["saw"]["complete"], false);
    });
    assert_eq!(replayed["counts"], json!({ "replayed": 15 }));
    assert_eq!(installation.visible("user-service-dlq").await, 15);
}

async fn a_queue_that_vanishes_half_way_stops_the_replay_and_loses_nothing(bus: TestBus) {
    let installation = Installation::make(bus).await;
    let messages: Vec<_> = (0..20).map(|_| event("ada@example.com").1).collect();
    installation.bury(&messages).await;
    let replay = [&["dlq", "replay", "--all-matching", "--rate", "4/s", "--json"][..], &WHY].concat();
    let (outcome, ()) = tokio::join!(installation.run(&replay), async {
        eventually("some are sent", async || (installation.visible("user-service").await >= 2).then_some(())).await;
        // As somebody who tears an installation down beside it.
        let queue = match installation.bus.environment.iter().find(|(name, _)| *name == "BUS_DATABASE_URL") {
            Some((_, url)) => Gone::Embedded(url.clone()),
            None => Gone::Sqs,
        };
        queue.remove(&installation).await;
    });
    let (code, stdout, stderr) = outcome;
    assert_eq!(code, 4, "{stdout}{stderr}");
    // Every letter that was not sent is where it was.
    eventually("the others are given back", async || {
        (installation.visible("user-service-dlq").await > 0).then_some(())
    })
    .await;
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let replayed = report["counts"]["replayed"].as_u64().unwrap();
    assert_eq!(installation.visible("user-service-dlq").await, 20 - replayed, "{report}");
    assert!(report["why"].as_str().unwrap().contains("the queue takes nothing"), "{report}");
    // And what is left can be gone on with, once there is a queue again.
    let history = installation.dlq(&["history"], 0).await;
    assert_eq!(history[0]["left"], 20 - replayed);
}

enum Gone {
    Embedded(String),
    Sqs,
}

impl Gone {
    async fn remove(self, installation: &Installation) {
        let name = format!("{}user-service", installation.bus.prefix);
        match self {
            Self::Embedded(url) => {
                let pool = sqlx::PgPool::connect(&url).await.unwrap();
                sqlx::query("SELECT bus.drop_queue($1)").bind(&name).execute(&pool).await.unwrap();
            }
            Self::Sqs => crate::dlq::delete_sqs_queue(&name).await,
        }
    }
}
