use fixtures::{TestBus, eventually, on_both_buses, until_empty};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::World;
use crate::running::{free_port, terminate};

on_both_buses!(an_emptied_user_db_has_every_account_as_it_was_and_a_second_run_changes_nothing);

/// auth-service with a user-worker and an auth-worker beside it, as somebody uses it.
struct Accounts {
    world: World,
    url: String,
    client: Client,
}

impl Accounts {
    async fn call(&self, method: Method, path: &str, token: Option<&str>, body: Value) -> Value {
        let mut request = self.client.request(method, format!("{}{path}", self.url)).json(&body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status}: {text}");
        if status == StatusCode::NO_CONTENT { Value::Null } else { serde_json::from_str(&text).unwrap() }
    }

    async fn register(&self, name: &str) -> Uuid {
        let body = json!({ "email": format!("{name}@example.com"), "password": PASSWORD, "displayName": name });
        self.call(Method::POST, "/v1/auth/register", None, body).await;
        sqlx::query_scalar("SELECT id FROM users WHERE email = $1 || '@example.com'")
            .bind(name)
            .fetch_one(&self.world.installation.auth.pool)
            .await
            .unwrap()
    }

    async fn log_in(&self, name: &str) -> String {
        let body = json!({ "email": format!("{name}@example.com"), "password": PASSWORD });
        let tokens = self.call(Method::POST, "/v1/auth/login", None, body).await;
        tokens["accessToken"].as_str().unwrap().to_owned()
    }

    /// Everything that was sent is applied, on both sides.
    async fn until_quiet(&self) {
        for database in [&self.world.installation.auth, &self.world.installation.user] {
            eventually("all is published", async || {
                let pending = "SELECT count(*) FROM outbox WHERE status = 'pending'";
                let pending: i64 = sqlx::query_scalar(pending).fetch_one(&database.pool).await.unwrap();
                (pending == 0).then_some(())
            })
            .await;
            self.world.until_applied().await;
        }
        until_empty(&*self.world.installation.bus.queue("auth-service").await).await;
    }

    async fn profiles(&self, but: &str) -> Vec<Value> {
        self.world.rows("user_profiles", "user_id", but).await
    }

    async fn ledger(&self) -> Vec<Value> {
        let ledger = "SELECT to_jsonb(e) || jsonb_build_object('services', (SELECT jsonb_agg(to_jsonb(s))
                        FROM erasure_services s WHERE s.erasure_id = e.id)) FROM erasures e ORDER BY id";
        sqlx::query_scalar(ledger).fetch_all(&self.world.installation.auth.pool).await.unwrap()
    }
}

const PASSWORD: &str = "correct horse battery staple";
/// When a row was written, and which version this service's own answers have.
const OWN: &str = "created_at,updated_at,sequence";
/// Groups that are told together have one version.
const VERSIONS: &str = "created_at,updated_at,sequence,email_sequence,roles_sequence,status_sequence";

async fn an_emptied_user_db_has_every_account_as_it_was_and_a_second_run_changes_nothing(bus: TestBus) {
    let world = World::make(bus).await;
    let ready = free_port();
    let [listen, worker] = [free_port(), ready].map(|port| format!("127.0.0.1:{port}"));
    let settings = [
        ("EMAIL_VERIFICATION", "optional"),
        ("AUTH_LISTEN", listen.as_str()),
        ("AUTH_WORKER_ADMIN_LISTEN", "127.0.0.1:0"),
        ("WORKER_ADMIN_LISTEN", &worker),
    ];
    let child = world.installation.start(&["run", "all"], &settings, ready).await;
    let accounts = Accounts { world, url: format!("http://{listen}"), client: Client::new() };
    accounts.register("ada").await;
    let (code, _, stderr) =
        accounts.world.run(&["admin", "grant", "--email", "ada@example.com", "--role", "admin"]).await;
    assert_eq!(code, 0, "{stderr}");
    let admin = accounts.log_in("ada").await;
    let [bob, cid, dee] =
        [accounts.register("bob").await, accounts.register("cid").await, accounts.register("dee").await];
    accounts.register("eve").await;
    for path in [
        format!("/v1/admin/users/{bob}/deactivate"),
        format!("/v1/admin/users/{cid}/logout"),
        format!("/v1/admin/users/{cid}/deactivate"),
        format!("/v1/admin/users/{cid}/reactivate"),
    ] {
        accounts.call(Method::POST, &path, Some(&admin), json!({})).await;
    }
    let token = accounts.log_in("dee").await;
    accounts.call(Method::DELETE, "/v1/me", Some(&token), json!({})).await;
    eventually("the ledger is closed", async || (!accounts.ledger().await[0]["completed_at"].is_null()).then_some(()))
        .await;
    accounts.until_quiet().await;

    let (before, ledger) = (accounts.profiles(VERSIONS).await, accounts.ledger().await);
    let of = |user: Uuid| before.iter().find(|row| row["user_id"] == json!(user)).unwrap();
    assert_eq!(before.len(), 5);
    assert_eq!(
        (&of(bob)["status"], &of(bob)["deactivation_reason"]),
        (&json!("deactivated"), &json!("admin-decision"))
    );
    assert_eq!((&of(cid)["status"], &of(cid)["min_token_version"]), (&json!("active"), &json!(3)));
    assert_eq!((&of(cid)["display_name"], &of(dee)["status"]), (&json!("cid"), &json!("deleted")));

    accounts.world.empty().await;
    let report = accounts.world.backfilled("auth", &[]).await;
    let events = json!({ "user.created": 4, "user.deactivated": 1, "user.deleted": 1, "user.sessions.revoked": 2 });
    assert_eq!((&report["subjects"], &report["events"]), (&json!(5), &events), "{report}");
    accounts.until_quiet().await;
    assert_eq!(accounts.profiles(VERSIONS).await, before);
    assert_eq!(accounts.ledger().await, ledger, "who has answered already is not taken down again");

    let (told, seen) = (accounts.profiles(OWN).await, accounts.world.events_seen().await);
    accounts.world.backfilled("auth", &[]).await;
    accounts.until_quiet().await;
    assert_eq!(accounts.world.events_seen().await, 2 * seen, "another run's events are others");
    assert_eq!(accounts.profiles(OWN).await, told);
    let dead = accounts.world.installation.bus.queue("auth-service-dlq").await.counts().await.unwrap();
    assert_eq!((dead.visible, dead.in_flight), (0, 0));

    // What happens afterwards has a later version than all that was told.
    accounts.call(Method::POST, &format!("/v1/admin/users/{bob}/reactivate"), Some(&admin), json!({})).await;
    accounts.until_quiet().await;
    let now = accounts.profiles(OWN).await;
    let bob = now.iter().find(|row| row["user_id"] == json!(bob)).unwrap();
    assert_eq!((&bob["status"], &bob["deactivation_reason"]), (&json!("active"), &Value::Null));
    terminate(child).await;
}
