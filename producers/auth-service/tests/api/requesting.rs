//! What is asked for is written down, and done afterwards: once, whatever happens meanwhile.

use auth_service::{RequestRound, RequestWorker};
use futures_util::future::{join, join_all};
use reqwest::Method;
use serde_json::json;
use sqlx::PgTransaction;
use time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{PASSWORD, Service, recording, world::Person};

async fn forget(service: &Service, email: &str) {
    service.post("/v1/auth/password/forgot", &json!({"email": email})).await.expect(202);
}

async fn want(service: &Service, person: &Person, email: &str) {
    service.by(person, Method::POST, "/v1/me/email", Some(&json!({"email": email}))).await.expect(202);
}

async fn round(worker: &RequestWorker) -> RequestRound {
    worker.round().await.unwrap()
}

fn done(done: u32) -> RequestRound {
    RequestRound { done, ..RequestRound::default() }
}

/// Somebody who holds an account's row, and whoever needs it.
async fn hold(service: &Service, account: Uuid) -> PgTransaction<'static> {
    let mut holding = service.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM users WHERE id = $1 FOR UPDATE").bind(account).execute(&mut *holding).await.unwrap();
    holding
}

async fn until_waiting_for_locks(service: &Service, waiting: i64) {
    fixtures::eventually("somebody waits for the row", async || {
        let count =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let count: i64 = sqlx::query_scalar(count).fetch_one(&service.pool).await.unwrap();
        (count == waiting).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_asked_for_is_done_by_any_instance_and_says_where_it_came_from() {
    let service = Service::start_idle().await;
    let id = service.make_account("ada@example.com").await;
    let trace_id = "0af7651916cd43dd8448eb211c80319c";
    let request = service
        .request(Method::POST, "/v1/auth/password/forgot")
        .header("traceparent", format!("00-{trace_id}-b7ad6b7169203331-01"))
        .header("user-agent", "a browser")
        .json(&json!({"email": "ADA@example.com"}));
    service.send(request).await.expect(202);
    assert_eq!(service.mailed_tokens("ada@example.com").await.len(), 1, "the registration's only");

    let other = service.another().await;
    assert_eq!(round(&other.request_worker).await, done(1));
    assert_eq!(service.count("account_requests").await, 0);
    assert!(service.mailed_token("ada@example.com").await.starts_with("prt_"));
    let (envelope, _) = service.envelopes().await.pop().unwrap();
    assert!(envelope.traceparent.unwrap().contains(trace_id));
    let entry: (String, String, String, Uuid) = sqlx::query_as(
        "SELECT request_id, host(ip), user_agent, subject_id FROM security_audit_logs ORDER BY at DESC, id DESC LIMIT 1",
    )
    .fetch_one(&service.pool)
    .await
    .unwrap();
    assert_eq!(entry, (trace_id.to_owned(), "127.0.0.1".to_owned(), "a browser".to_owned(), id));
}

#[tokio::test]
async fn a_request_in_the_hands_of_two_workers_is_in_effect_once() {
    let service = Service::start_idle().await;
    let id = service.make_account("ada@example.com").await;
    let other = service.another().await;
    forget(&service, "ada@example.com").await;
    let holding = hold(&service, id).await;
    let meanwhile = async {
        until_waiting_for_locks(&service, 1).await;
        // The first one takes so long that it is taken for dead.
        service.clock.advance(Duration::seconds(11));
        let second = async {
            until_waiting_for_locks(&service, 2).await;
            holding.commit().await.unwrap();
        };
        join(round(&other.request_worker), second).await.0
    };
    let rounds = join(round(&service.request_worker), meanwhile).await;
    let gone = RequestRound { gone: 1, ..RequestRound::default() };
    assert!(rounds == (done(1), gone) || rounds == (gone, done(1)), "{rounds:?}");
    assert_eq!(service.mailed_tokens("ada@example.com").await.len(), 2, "the registration's, and one");
    let trail = service.trail_of(id).await;
    assert_eq!(trail.iter().filter(|entry| entry.starts_with("request-password-reset")).count(), 1, "{trail:?}");
}

#[tokio::test]
async fn many_workers_share_what_there_is_and_nothing_is_done_twice() {
    let service = Service::start_idle().await;
    let mut workers = vec![service.request_worker.clone()];
    for _ in 0..2 {
        workers.push(service.another().await.request_worker);
    }
    let emails: Vec<_> = (0..30).map(|n| format!("ada{n}@example.com")).collect();
    join_all(emails.iter().map(|email| service.register(email))).await;
    join_all(emails.iter().map(|email| forget(&service, email))).await;
    let work = workers.iter().map(async |worker| {
        let mut all = 0;
        loop {
            let round = round(worker).await;
            assert_eq!(round, done(round.done));
            all += round.done;
            if round.done == 0 {
                return all;
            }
        }
    });
    let all: Vec<u32> = join_all(work).await;
    assert_eq!((all.iter().sum::<u32>(), service.count("account_requests").await), (30, 0), "{all:?}");
    assert_eq!(service.count("password_reset_tokens").await, 30);
}

#[tokio::test]
async fn a_request_whose_worker_dies_is_done_by_another() {
    let service = Service::start_idle().await;
    let id = service.make_account("ada@example.com").await;
    let other = service.another().await;
    forget(&service, "ada@example.com").await;
    let holding = hold(&service, id).await;
    let worker = service.request_worker.clone();
    let dying = tokio::spawn(async move { worker.round().await });
    until_waiting_for_locks(&service, 1).await;
    dying.abort();
    assert!(dying.await.unwrap_err().is_cancelled());
    holding.commit().await.unwrap();

    assert_eq!(round(&other.request_worker).await, done(0), "it may still be alive");
    service.clock.advance(Duration::seconds(11));
    assert_eq!(round(&other.request_worker).await, done(1));
    assert_eq!(service.mailed_tokens("ada@example.com").await.len(), 2);
}

#[tokio::test]
async fn a_request_that_fails_holds_up_nobody_and_is_given_up_after_ten_attempts() {
    recording::begin();
    let service = Service::start_idle().await;
    service.make_account("ada@example.com").await;
    forget(&service, "broken@example.com").await;
    forget(&service, "ada@example.com").await;
    sqlx::query("UPDATE account_requests SET email = 'broken' WHERE email = 'broken@example.com'")
        .execute(&service.pool)
        .await
        .unwrap();
    let failed = RequestRound { failed: 1, ..RequestRound::default() };
    assert_eq!(round(&service.request_worker).await, RequestRound { done: 1, ..failed });
    let mut delay = Duration::seconds(10);
    for attempt in 2..=10 {
        service.clock.advance(delay - Duration::seconds(1));
        assert_eq!(round(&service.request_worker).await, done(0), "{attempt}");
        service.clock.advance(Duration::seconds(2));
        let expected = match attempt {
            10 => RequestRound { given_up: 1, ..RequestRound::default() },
            _ => failed,
        };
        assert_eq!(round(&service.request_worker).await, expected, "{attempt}");
        delay = Duration::min(delay * 2, Duration::minutes(10));
    }
    assert_eq!(service.count("account_requests").await, 0);
    // Logged once, with why and of which request, and not of whom.
    let log = recording::log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("was given up")).collect();
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert!(line.contains("ERROR") && line.contains("a stored request can't be read: its email"), "{line}");
    assert!(line.contains("request_id=") && !line.contains("broken") && !line.contains('@'), "{line}");
}

#[tokio::test]
async fn a_request_that_still_fails_after_an_hour_is_given_up_and_one_that_only_waited_is_done() {
    let service = Service::start_idle().await;
    service.make_account("ada@example.com").await;
    forget(&service, "broken@example.com").await;
    forget(&service, "ada@example.com").await;
    sqlx::query("UPDATE account_requests SET email = 'broken' WHERE email = 'broken@example.com'")
        .execute(&service.pool)
        .await
        .unwrap();
    service.clock.advance(Duration::hours(5));
    let expected = RequestRound { done: 1, given_up: 1, ..RequestRound::default() };
    assert_eq!(round(&service.request_worker).await, expected);
    assert_eq!(service.count("account_requests").await, 0);
    assert_eq!(service.mailed_tokens("ada@example.com").await.len(), 2);
}

/// Nobody can say what a dead process was doing, so what was begun is what counts.
#[tokio::test]
async fn a_request_that_ends_every_worker_is_given_up_without_a_further_attempt() {
    let service = Service::start_idle().await;
    let id = service.make_account("ada@example.com").await;
    forget(&service, "ada@example.com").await;
    sqlx::query("UPDATE account_requests SET attempts = 10").execute(&service.pool).await.unwrap();
    assert_eq!(round(&service.request_worker).await, RequestRound { given_up: 1, ..RequestRound::default() });
    assert_eq!(service.count("account_requests").await, 0);
    assert_eq!(service.trail_of(id).await.last().unwrap(), "verify-email success");
}

#[tokio::test]
async fn an_account_that_somebody_holds_delays_its_own_request_only() {
    let service = Service::start_idle().await;
    let id = service.make_account("ada@example.com").await;
    service.make_account("bob@example.com").await;
    forget(&service, "ada@example.com").await;
    forget(&service, "bob@example.com").await;
    let holding = hold(&service, id).await;
    let held = RequestRound { done: 1, failed: 1, ..RequestRound::default() };
    assert_eq!(round(&service.request_worker).await, held);
    assert!(service.mailed_token("bob@example.com").await.starts_with("prt_"));
    holding.commit().await.unwrap();
    service.clock.advance(Duration::seconds(11));
    assert_eq!(round(&service.request_worker).await, done(1));
}

#[tokio::test]
async fn being_told_to_stop_a_worker_finishes_what_is_in_hand() {
    let service = Service::start_idle().await;
    let id = service.make_account("ada@example.com").await;
    let holding = hold(&service, id).await;
    let stop = CancellationToken::new();
    let working = tokio::spawn(service.request_worker.clone().run(stop.clone()));
    forget(&service, "ada@example.com").await;
    until_waiting_for_locks(&service, 1).await;
    stop.cancel();
    holding.commit().await.unwrap();
    working.await.unwrap().unwrap();
    assert_eq!(service.count("account_requests").await, 0);
    assert_eq!(service.mailed_tokens("ada@example.com").await.len(), 2);
    // And begins nothing any more.
    forget(&service, "nobody@example.com").await;
    service.request_worker.clone().run(stop).await.unwrap();
    assert_eq!(service.count("account_requests").await, 1);
}

#[tokio::test]
async fn an_erased_account_leaves_no_request_and_gets_no_mail() {
    let service = Service::start_idle().await;
    let person = service.person("lovelace@example.com").await;
    forget(&service, "lovelace@example.com").await;
    service.post("/v1/auth/email/resend", &json!({"email": "lovelace@example.com"})).await.expect(202);
    want(&service, &person, "countess@example.com").await;
    forget(&service, "nobody@example.com").await;
    service.by(&person, Method::DELETE, "/v1/me", None).await.expect(202);
    assert_eq!(service.count("account_requests").await, 1, "somebody else's");
    let dump = service.dump().await;
    assert!(!dump.contains("lovelace") && !dump.contains("countess"), "{dump}");
    // Asked for once more, by whoever doesn't know.
    forget(&service, "lovelace@example.com").await;
    assert_eq!(round(&service.request_worker).await, done(2));
    assert_eq!(service.event_types_of(person.id).await, ["user.deleted"]);
}

/// As of a link that is on its way: whoever had a session for a moment must not take the account with them.
#[tokio::test]
async fn a_change_of_address_that_waits_is_withdrawn_by_whatever_voids_its_link() {
    let service = Service::start_idle().await;
    for (n, way) in ["change", "everywhere", "one", "deactivate"].into_iter().enumerate() {
        let person = service.person(&format!("ada{n}@example.com")).await;
        let wanted = format!("thief{n}@example.com");
        want(&service, &person, &wanted).await;
        match way {
            "change" => {
                let change = json!({"currentPassword": PASSWORD, "newPassword": "she hums along to trams"});
                service.by(&person, Method::POST, "/v1/auth/password/change", Some(&change)).await.expect(204);
            }
            "everywhere" => {
                service.by(&person, Method::POST, "/v1/auth/logout-all", None).await.expect(204);
            }
            "one" => {
                let path = format!("/v1/me/sessions/{}", person.session);
                service.by(&service.again(&person).await, Method::DELETE, &path, None).await.expect(204);
            }
            _ => {
                service.by(&person, Method::POST, "/v1/me/deactivate", None).await.expect(204);
            }
        }
        assert_eq!(round(&service.request_worker).await, done(0), "{way}");
        assert_eq!(service.mailed_tokens(&wanted).await.len(), 0, "{way}");
    }
}

#[tokio::test]
async fn a_change_of_address_that_is_withdrawn_while_it_is_in_hand_is_not_made() {
    let service = Service::start_idle().await;
    let person = service.person("ada@example.com").await;
    want(&service, &person, "thief@example.com").await;
    let mut holding = hold(&service, person.id).await;
    let withdraw = async {
        until_waiting_for_locks(&service, 1).await;
        sqlx::query("DELETE FROM account_requests WHERE account_id = $1")
            .bind(person.id)
            .execute(&mut *holding)
            .await
            .unwrap();
        holding.commit().await.unwrap();
    };
    let (round, ()) = join(round(&service.request_worker), withdraw).await;
    assert_eq!(round, RequestRound { gone: 1, ..RequestRound::default() });
    assert_eq!(service.mailed_tokens("thief@example.com").await.len(), 0);
    assert_eq!(service.trail_of(person.id).await.last().unwrap(), "log-in success");
}

#[tokio::test]
async fn of_two_changes_of_address_the_one_that_was_asked_for_last_counts() {
    let service = Service::start_idle().await;
    let person = service.person("ada@example.com").await;
    want(&service, &person, "first@example.com").await;
    want(&service, &person, "second@example.com").await;
    // The first one has failed before, and is not due.
    sqlx::query(
        "UPDATE account_requests SET not_before = not_before + interval '1 hour' WHERE email = 'first@example.com'",
    )
    .execute(&service.pool)
    .await
    .unwrap();
    assert_eq!(round(&service.request_worker).await, done(1));
    assert_eq!(service.count("account_requests").await, 0);
    let link = json!({"token": service.mailed_token("second@example.com").await});
    service.post("/v1/auth/email/verify", &link).await.expect(204);
    assert_eq!(service.mailed_tokens("first@example.com").await.len(), 0);
}

#[tokio::test]
async fn two_who_want_each_others_address_do_not_wait_for_each_other() {
    let service = Service::start_idle().await;
    let (ada, bob) = (service.person("ada@example.com").await, service.person("bob@example.com").await);
    let other = service.another().await;
    service.clock.advance(Duration::hours(2));
    let (ada, bob) = (service.again(&ada).await, service.again(&bob).await);
    // Each worker has one of the two requests in hand, and both go on at the same moment.
    let holding = hold(&service, ada.id.min(bob.id)).await;
    want(&service, &ada, "bob@example.com").await;
    let meanwhile = async {
        until_waiting_for_locks(&service, 1).await;
        want(&service, &bob, "ada@example.com").await;
        let second = async {
            until_waiting_for_locks(&service, 2).await;
            holding.commit().await.unwrap();
        };
        join(round(&other.request_worker), second).await.0
    };
    assert_eq!(join(round(&service.request_worker), meanwhile).await, (done(1), done(1)));
    for person in [ada, bob] {
        assert_eq!(service.event_types_of(person.id).await.pop().unwrap(), "user.registration.repeated");
    }
}
