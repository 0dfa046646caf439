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
