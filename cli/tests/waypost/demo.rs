use fixtures::required_variable;
use serde_json::Value;

use crate::run;

#[tokio::test]
async fn on_postgresql_alone_the_demo_loses_nothing_applies_nothing_twice_and_says_so_in_its_last_line() {
    demo(("BUS_DATABASE_URL", &required_variable("BUS_DATABASE_URL")), &[]).await;
}

#[tokio::test]
async fn on_sns_and_sqs_the_demo_loses_nothing_applies_nothing_twice_and_says_so_in_its_last_line() {
    demo(("LOCALSTACK_ENDPOINT", &required_variable("LOCALSTACK_ENDPOINT")), &["--localstack"]).await;
}

async fn demo(bus: (&str, &str), arguments: &[&str]) {
    let names = ["AUTH_DATABASE_URL", "PRODUCT_DATABASE_URL", "USER_DATABASE_URL", "MAILER_DATABASE_URL"];
    let [auth, product, user, mailer] = names.map(required_variable);
    let path = std::env::var("PATH").unwrap();
    let environment = [
        ("AUTH_DATABASE_URL", auth.as_str()),
        ("PRODUCT_DATABASE_URL", &product),
        ("USER_DATABASE_URL", &user),
        ("MAILER_DATABASE_URL", &mailer),
        ("PATH", &path),
        bus,
    ];
    let arguments = [&["demo", "--users", "60", "--json"], arguments].concat();
    let (code, stdout, stderr) = run(&arguments, &environment).await;
    assert_eq!(code, 0, "{stderr}");
    let counts: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    for (name, expected) in [
        // Sixty people, one whose whole journey is told, and an administrator.
        ("registered", 62),
        ("published", 62),
        ("applied", 62),
        ("dead_lettered", 9),
        ("replayed", 2),
        ("lost", 0),
        ("applied_twice", 0),
    ] {
        assert_eq!(counts[name], expected, "{name} in {counts}");
    }
    // One for each registration, and those of the journey: two links, a changed password twice, out of use and back.
    assert_eq!((&counts["mails_asked_for"], &counts["mailed"]), (&Value::from(67), &Value::from(67)), "{counts}");
    assert!(stderr.contains("a wishlist shows 14.99 EUR, and 19.99 EUR when it was added"), "{stderr}");
    assert!(stderr.contains("erased, and user-service has answered that it has"), "{stderr}");
    // At least what was repeated on purpose; killing a worker may repeat more.
    assert!(counts["duplicates_ignored"].as_i64().unwrap() >= 6, "{counts}");
    assert!(counts["events_per_second"].as_f64().unwrap() > 0.0, "{counts}");
    assert!(counts["end_to_end_ms"]["p99"].as_f64() >= counts["end_to_end_ms"]["p50"].as_f64(), "{counts}");
}
