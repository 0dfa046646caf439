use fixtures::required_variable;
use serde_json::Value;

use crate::run;

#[tokio::test]
async fn the_demo_loses_nothing_applies_nothing_twice_and_says_so_in_its_last_line() {
    let [auth, user, endpoint] =
        ["AUTH_DATABASE_URL", "USER_DATABASE_URL", "LOCALSTACK_ENDPOINT"].map(required_variable);
    let path = std::env::var("PATH").unwrap();
    let environment = [
        ("AUTH_DATABASE_URL", auth.as_str()),
        ("USER_DATABASE_URL", &user),
        ("LOCALSTACK_ENDPOINT", &endpoint),
        ("PATH", &path),
    ];
    let (code, stdout, stderr) = run(&["demo", "--users", "60", "--json"], &environment).await;
    assert_eq!(code, 0, "{stderr}");
    let counts: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    for (name, expected) in [
        ("registered", 60),
        ("published", 60),
        ("applied", 60),
        ("dead_lettered", 9),
        ("replayed", 2),
        ("lost", 0),
        ("applied_twice", 0),
    ] {
        assert_eq!(counts[name], expected, "{name} in {counts}");
    }
    // At least what was repeated on purpose; killing a worker may repeat more.
    assert!(counts["duplicates_ignored"].as_i64().unwrap() >= 6, "{counts}");
    assert!(counts["events_per_second"].as_f64().unwrap() > 0.0, "{counts}");
    assert!(counts["end_to_end_ms"]["p99"].as_f64() >= counts["end_to_end_ms"]["p50"].as_f64(), "{counts}");
}
