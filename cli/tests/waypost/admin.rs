use serde_json::Value;

use crate::run;

#[tokio::test]
async fn the_first_administrator_is_made_by_who_has_the_database_and_everybody_is_told() {
    let auth = fixtures::auth_database().await;
    let environment = [("AUTH_DATABASE_URL", auth.url.as_str())];
    let id = schemas::event_id(schemas::Clock::system().now());
    sqlx::query(
        "INSERT INTO users (id, email, password_hash, sequence, created_at, updated_at, email_verified_at)
         VALUES ($1, 'ada@example.com', 'none', 1, now(), now(), now())",
    )
    .bind(id)
    .execute(&auth.pool)
    .await
    .unwrap();
    sqlx::query("INSERT INTO user_roles VALUES ($1, 'user', now())").bind(id).execute(&auth.pool).await.unwrap();

    let grant = ["admin", "grant", "--email", "ADA@example.com", "--role", "admin", "--json"];
    for already in [false, true] {
        let (code, stdout, stderr) = run(&grant, &environment).await;
        assert_eq!((code, stderr.as_str()), (0, ""));
        let granted: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!((&granted["userId"], &granted["already"]), (&Value::from(id.to_string()), &Value::from(already)));
    }
    let events: Vec<String> = sqlx::query_scalar("SELECT envelope FROM outbox").fetch_all(&auth.pool).await.unwrap();
    let [event] = events.as_slice() else { panic!("{events:?}") };
    let event: Value = serde_json::from_str(event).unwrap();
    assert_eq!(
        (&event["type"], &event["data"]["roles"]),
        (&"user.roles.changed".into(), &serde_json::json!(["admin", "user"]))
    );
    let trail: Vec<String> =
        sqlx::query_scalar("SELECT action FROM security_audit_logs").fetch_all(&auth.pool).await.unwrap();
    assert_eq!(trail, ["grant-role"]);

    for (arguments, code, said) in [
        (["nobody@example.com", "admin"], 1, "no account has this address"),
        (["ada@example.com", "king"], 1, "there is no role called `king`"),
        (["ada@example.com", "King!"], 2, "--role should be a role"),
        (["ada", "admin"], 2, "--email should be one address"),
    ] {
        let [email, role] = arguments;
        let (got, _, stderr) = run(&["admin", "grant", "--email", email, "--role", role], &environment).await;
        assert_eq!(got, code, "{stderr}");
        assert!(stderr.contains(said), "{stderr}");
    }
}
