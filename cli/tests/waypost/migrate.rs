use fixtures::TestDatabase;

use crate::run;

#[tokio::test]
async fn migrating_brings_an_empty_database_up_to_date_and_makes_its_weeks() {
    let (auth, user) = tokio::join!(TestDatabase::empty("AUTH_DATABASE_URL"), TestDatabase::empty("USER_DATABASE_URL"));
    let environment = [("AUTH_DATABASE_URL", auth.url.as_str()), ("USER_DATABASE_URL", user.url.as_str())];

    let (code, stdout, _) = run(&["migrate", "check"], &environment).await;
    assert_eq!(code, 1);
    assert!(stdout.contains("auth_db: 20261122100000 is pending"), "{stdout}");

    let (code, stdout, stderr) = run(&["migrate", "--database", "auth"], &environment).await;
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("auth_db: applied 20261122100000 accounts"), "{stdout}");
    assert!(!stdout.contains("user_db"), "{stdout}");
    assert_eq!(run(&["migrate"], &environment).await.0, 0);
    assert_eq!(run(&["migrate", "check"], &environment).await.0, 0);

    let (code, stdout, stderr) = run(&["migrate"], &environment).await;
    assert_eq!((code, stdout.as_str()), (0, ""), "nothing is left to apply");
    assert!(stderr.contains("auth_db: 0 applied, now up to date"), "{stderr}");

    let weeks = "SELECT count(*) FROM pg_inherits";
    for database in [&auth, &user] {
        let weeks: i64 = sqlx::query_scalar(weeks).fetch_one(&database.pool).await.unwrap();
        assert!(weeks >= 7, "{weeks} weeks in {}", database.name);
    }

    let (code, stdout, _) = run(&["migrate", "status", "--json"], &environment).await;
    assert_eq!(code, 0);
    let status: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(status["user_db"][0]["state"], "applied");
}

#[tokio::test]
async fn a_new_migration_is_a_file_with_a_version_and_a_bad_name_is_refused() {
    let folder = std::env::temp_dir().join(fixtures::unique("migrations"));
    std::fs::create_dir_all(folder.join("auth_db")).unwrap();
    let folder_text = folder.to_str().unwrap();
    let new = |name| ["migrate", "new", "--database", "auth", "--folder", folder_text, name];

    let (code, stdout, stderr) = run(&new("add_locale"), &[]).await;
    assert_eq!(code, 0, "{stderr}");
    let file = std::path::Path::new(stdout.trim());
    assert!(file.is_file() && stdout.trim().ends_with("_add_locale.sql"), "{stdout}");

    let (code, _, stderr) = run(&new("Add-Locale"), &[]).await;
    assert_eq!(code, 2);
    assert!(stderr.contains("the name is `Add-Locale`, it should be lower-case words"), "{stderr}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn the_bus_is_migrated_where_it_is_in_use_and_what_it_stands_on_is_missed() {
    let (auth, user, bus) = tokio::join!(
        TestDatabase::empty("AUTH_DATABASE_URL"),
        TestDatabase::empty("USER_DATABASE_URL"),
        TestDatabase::empty("BUS_DATABASE_URL")
    );
    let environment = [
        ("EVENT_PUBLISHER_TYPE", "postgres"),
        ("AUTH_DATABASE_URL", auth.url.as_str()),
        ("USER_DATABASE_URL", user.url.as_str()),
        ("BUS_DATABASE_URL", bus.url.as_str()),
    ];
    let (code, _, stderr) = run(&["topology", "verify"], &[environment[0], environment[3], PATIENCE]).await;
    assert_eq!(code, 1);
    assert!(stderr.contains("run `waypost migrate`"), "{stderr}");

    // Another's settings are not asked for.
    let (code, stdout, stderr) = run(&["migrate", "--database", "auth"], &environment[..2]).await;
    assert_eq!(code, 0, "{stderr}");
    assert!(!stdout.contains("bus_db"), "{stdout}");

    let (code, stdout, stderr) = run(&["migrate"], &environment).await;
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("bus_db: applied"), "{stdout}");
    assert_eq!(run(&["migrate", "check"], &environment).await.0, 0);
    assert_eq!(run(&["topology", "apply"], &environment).await.0, 0);

    sqlx::raw_sql("DROP SCHEMA pgmq CASCADE").execute(&bus.pool).await.unwrap();
    let (code, stdout, _) = run(&["migrate", "check"], &environment).await;
    assert_eq!(code, 1);
    assert!(stdout.contains("bus_db: PGMQ is not there"), "{stdout}");
}

const PATIENCE: (&str, &str) = ("STARTUP_PATIENCE_SECONDS", "1");

#[tokio::test]
async fn the_mailers_database_is_migrated_where_it_is_named_and_said_to_be_left_out_where_it_is_not() {
    let (auth, user, mailer) = tokio::join!(
        TestDatabase::empty("AUTH_DATABASE_URL"),
        TestDatabase::empty("USER_DATABASE_URL"),
        TestDatabase::empty("MAILER_DATABASE_URL")
    );
    let without = [("AUTH_DATABASE_URL", auth.url.as_str()), ("USER_DATABASE_URL", user.url.as_str())];
    let (code, stdout, stderr) = run(&["migrate"], &without).await;
    assert_eq!(code, 0, "{stderr}");
    assert!(!stdout.contains("mailer_db"), "{stdout}");
    assert!(stderr.contains("mailer_db is left out, since MAILER_DATABASE_URL is not set"), "{stderr}");

    let with = [without[0], without[1], ("MAILER_DATABASE_URL", mailer.url.as_str())];
    assert_eq!(run(&["migrate", "check"], &with).await.0, 1);
    let (code, stdout, stderr) = run(&["migrate"], &with).await;
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stdout.contains("mailer_db: applied 20261126064000 inbox") && !stderr.contains("mailer_db is left out"),
        "{stdout}{stderr}"
    );
    let weeks: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_inherits").fetch_one(&mailer.pool).await.unwrap();
    assert!(weeks >= 14, "{weeks} weeks of event_logs and event_failures");

    let (code, _, stderr) = run(&["migrate", "--database", "mailer"], &without).await;
    assert_eq!(code, 2);
    assert!(stderr.contains("MAILER_DATABASE_URL is not set"), "{stderr}");
}
