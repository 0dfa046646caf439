//! How a worker ends where it isn't let be: made to stop, cut off from its queue.

use fixtures::{TestBus, eventually, on_both_buses};
use reqwest::{Client, StatusCode};
use serde_json::Value;

use crate::running::{Installation, free_port, signal, terminate};

on_both_buses!(a_second_signal_ends_a_busy_worker_with_1_and_its_messages_are_there_at_once);

async fn a_second_signal_ends_a_busy_worker_with_1_and_its_messages_are_there_at_once(bus: TestBus) {
    let installation = Installation::make(bus).await;
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    // A lease that outlasts the test: what comes back was handed back.
    let settings = [("WORKER_ADMIN_LISTEN", listen.as_str()), ("WORKER_LEASE_SECONDS", "600")];
    let mut child = installation.start(&["run", "user-worker"], &settings, port).await;
    let mut in_the_way = installation.user.pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE user_profiles IN ACCESS EXCLUSIVE MODE").execute(&mut *in_the_way).await.unwrap();
    installation.send_an_event_of_version_1(None).await;
    eventually("its transaction waits for the lock", async || {
        let waiting = "SELECT count(*) FROM pg_stat_activity
                        WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(&mut *in_the_way).await.unwrap();
        (waiting > 0).then_some(())
    })
    .await;
    signal(&child, "TERM").await;
    eventually("it is stopping", async || {
        let answer = Client::new().get(format!("http://{listen}/readyz")).send().await;
        // The admin page may have gone already.
        answer.map_or(true, |answer| answer.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(())
    })
    .await;
    assert_eq!(child.try_wait().unwrap(), None, "it finishes what it has in hand");
    signal(&child, "TERM").await;
    let status = tokio::time::timeout(fixtures::DEADLINE, child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(1));
    let queue = installation.bus.queue("user-service").await;
    eventually("the message is there at once", async || (queue.counts().await.unwrap().visible == 1).then_some(()))
        .await;
    in_the_way.rollback().await.unwrap();

    let child = installation.start(&["run", "user-worker"], &settings, port).await;
    eventually("the profile", async || {
        let profiles: i64 =
            sqlx::query_scalar("SELECT count(*) FROM user_profiles").fetch_one(&installation.user.pool).await.unwrap();
        (profiles == 1).then_some(())
    })
    .await;
    terminate(child).await;
}

#[tokio::test]
async fn a_worker_whose_queue_does_not_answer_is_not_ready_but_lives() {
    let installation = Installation::make(fixtures::embedded_bus().await).await;
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let child = installation.start(&["run", "user-worker"], &[("WORKER_ADMIN_LISTEN", &listen)], port).await;
    installation.bus.bus.remove_subscriber(&user_service::declared().subscriber()).await.unwrap();
    let readiness = eventually("it is not ready any more", async || {
        let answer = Client::new().get(format!("http://{listen}/readyz")).send().await.unwrap();
        if answer.status() == StatusCode::OK { None } else { Some(answer.json::<Value>().await.unwrap()) }
    })
    .await;
    let queue = readiness["checks"].as_array().unwrap().iter().find(|check| check["name"] == "queue").unwrap();
    assert_eq!(queue["detail"], "the queue does not answer polls", "{readiness}");
    let alive = Client::new().get(format!("http://{listen}/livez")).send().await.unwrap();
    assert_eq!(alive.status(), StatusCode::OK);
    terminate(child).await;
}
