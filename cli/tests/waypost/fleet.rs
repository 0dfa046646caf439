use serde_json::Value;

use crate::run;

#[tokio::test]
async fn a_fleet_is_shown_by_what_its_workers_say_and_those_that_are_gone_are_told_from_them() {
    let database = fixtures::user_database().await;
    let environment = [("USER_DATABASE_URL", database.url.as_str())];
    let (code, stdout, stderr) = run(&["fleet"], &environment).await;
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("no worker is at work"), "{stderr}");

    for (worker, seconds) in [("host:1", 2.0), ("host:2", 300.0)] {
        sqlx::query(
            "INSERT INTO workers (worker, consumer, queue, version, state, in_flight, started_at, seen_at,
                                  received_per_second, applied_per_second, failed_per_second)
             VALUES ($1, 'user-service', 'user-service', '0.1.0', 'working', 7, now(),
                     now() - make_interval(secs => $2), 1, 2.5, 0)",
        )
        .bind(worker)
        .bind(seconds)
        .execute(&database.pool)
        .await
        .unwrap();
    }
    let (code, stdout, _) = run(&["fleet"], &environment).await;
    assert_eq!(code, 0);
    let line = |worker: &str| stdout.lines().find(|line| line.starts_with(worker)).unwrap().to_owned();
    assert!(line("host:1").contains("working") && line("host:1").contains("2.5"), "{stdout}");
    assert!(line("host:2").contains("gone"), "{stdout}");

    let (code, stdout, _) = run(&["fleet", "--json"], &environment).await;
    let workers: Vec<Value> = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, workers.len()), (0, 2));
    assert_eq!(workers[0]["worker"], "host:1");
    assert_eq!(workers[0]["inFlight"], 7);
    assert_eq!(workers[1]["state"], "gone");

    sqlx::query("DELETE FROM workers WHERE worker = 'host:1'").execute(&database.pool).await.unwrap();
    let (code, ..) = run(&["fleet"], &environment).await;
    assert_eq!(code, 1, "those that are gone do no work");
}
