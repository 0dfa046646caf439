//! Somebody who is erased at auth-service is erased at user-service, and the ledger says so.

use std::path::Path;

use fixtures::{TestBus, eventually, on_both_buses, product_database, until_empty};
use mailer::MailFolder;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::process::Child;
use uuid::Uuid;

use crate::{
    mailing::Mailing,
    running::{Installation, free_port, terminate},
    secrets::dump,
};

on_both_buses!(
    whoever_is_erased_at_auth_service_is_erased_at_user_service_and_the_ledger_is_closed,
    an_erasure_is_answered_by_a_relay_of_its_own_as_well,
    of_an_erased_person_no_database_holds_anything,
);

async fn whoever_is_erased_at_auth_service_is_erased_at_user_service_and_the_ledger_is_closed(bus: TestBus) {
    let installation = Installation::make(bus).await;
    let (port, worker) = (free_port(), free_port());
    let [listen, worker_listen] = [port, worker].map(|port| format!("127.0.0.1:{port}"));
    let settings = [
        ("EMAIL_VERIFICATION", "optional"),
        ("AUTH_LISTEN", listen.as_str()),
        ("AUTH_WORKER_ADMIN_LISTEN", "127.0.0.1:0"),
        ("WORKER_ADMIN_LISTEN", &worker_listen),
    ];
    let child = installation.start(&["run", "all"], &settings, worker).await;
    register_and_erase(&installation, &listen).await;
    // Two outboxes, and one page of metrics: what is set is told apart.
    let metrics = crate::running::metrics_of(&worker_listen).await;
    for service in ["auth-service", "user-service"] {
        assert!(metrics.contains(&format!("outbox_pending{{service=\"{service}\"}} ")), "{service} in {metrics}");
    }
    terminate(child).await;
}

async fn an_erasure_is_answered_by_a_relay_of_its_own_as_well(bus: TestBus) {
    let installation = Installation::make(bus).await;
    let ports = [free_port(), free_port(), free_port(), free_port(), free_port()];
    let [listen, admin, worker, auth_worker, relay] = ports.map(|port| format!("127.0.0.1:{port}"));
    let apart = ("OUTBOX_RELAY", "standalone");
    let settings = [apart, ("EMAIL_VERIFICATION", "optional"), ("AUTH_LISTEN", &listen), ("AUTH_ADMIN_LISTEN", &admin)];
    let relays = ["run", "relay", "--service", "auth", "--service", "user"];
    let mut children: Vec<Child> = vec![
        installation.start(&["run", "auth-service"], &settings, ports[1]).await,
        installation.start(&["run", "user-worker"], &[apart, ("WORKER_ADMIN_LISTEN", &worker)], ports[2]).await,
        installation.start(&["run", "auth-worker"], &[("AUTH_WORKER_ADMIN_LISTEN", &auth_worker)], ports[3]).await,
    ];
    children.push(installation.start(&relays, &[("RELAY_ADMIN_LISTEN", &relay)], ports[4]).await);
    register_and_erase(&installation, &listen).await;
    // The worker has none: whoever runs relays apart has only those.
    let metrics = crate::running::metrics_of(&worker).await;
    assert!(!metrics.contains("outbox_pending"), "{metrics}");
    for child in children {
        terminate(child).await;
    }
}

async fn register_and_erase(installation: &Installation, listen: &str) {
    let credentials = json!({ "email": "ada@example.com", "password": "correct horse battery staple" });
    let client = Client::new();
    let url = |path: &str| format!("http://{listen}{path}");
    let registered = client.post(url("/v1/auth/register")).json(&credentials).send().await.unwrap();
    assert_eq!(registered.status(), StatusCode::ACCEPTED);
    let user: Uuid = eventually("the profile", async || {
        let profile = sqlx::query_scalar("SELECT user_id FROM user_profiles WHERE email = 'ada@example.com'");
        profile.fetch_optional(&installation.user.pool).await.unwrap()
    })
    .await;
    sqlx::query("INSERT INTO user_preferences (user_id, time_zone) VALUES ($1, 'Europe/London')")
        .bind(user)
        .execute(&installation.user.pool)
        .await
        .unwrap();

    let tokens = client.post(url("/v1/auth/login")).json(&credentials).send().await.unwrap();
    assert_eq!(tokens.status(), StatusCode::OK);
    let tokens: Value = tokens.json().await.unwrap();
    let erasing = client.delete(url("/v1/me")).bearer_auth(tokens["accessToken"].as_str().unwrap());
    assert_eq!(erasing.send().await.unwrap().status(), StatusCode::ACCEPTED);
    eventually("the ledger is closed", async || {
        let closed = "SELECT completed_at IS NOT NULL FROM erasures WHERE user_id = $1";
        let closed: bool = sqlx::query_scalar(closed).bind(user).fetch_one(&installation.auth.pool).await.unwrap();
        closed.then_some(())
    })
    .await;
    let left = "SELECT p.status, concat(p::text, (SELECT string_agg(o::text, '') FROM user_preferences o)) FROM user_profiles p";
    let (status, text): (String, String) = sqlx::query_as(left).fetch_one(&installation.user.pool).await.unwrap();
    assert_eq!(status, "deleted");
    assert!(!text.contains("ada@") && !text.contains("London"), "{text}");
    // The queue of erasures has nothing left, and nobody was told twice.
    let answers = "SELECT count(*) FROM outbox WHERE event_type = 'user.erasure.completed'";
    let answers: i64 = sqlx::query_scalar(answers).fetch_one(&installation.user.pool).await.unwrap();
    assert_eq!(answers, 1);
}

/// Everything that somebody says of themselves anywhere, said to the services as they run. None of it is in any database of any
/// of them afterwards, the bus's own among them; and nobody is let in by a token that was good a moment ago.
async fn of_an_erased_person_no_database_holds_anything(bus: TestBus) {
    let (installation, mailing, products) =
        (Installation::make(bus).await, Mailing::make().await, product_database().await);
    let ports = [free_port(), free_port(), free_port()];
    let [auth, users, worker] = ports.map(|port| format!("127.0.0.1:{port}"));
    let keys = format!("http://{auth}/.well-known/jwks.json");
    let mut settings = mailing.environment();
    settings.extend([
        ("EMAIL_VERIFICATION", "optional".to_owned()),
        // By the key of this mailer, and not of the one that other tests have.
        ("MAILER_PUBLIC_KEY", String::new()),
        ("MAILER_PUBLIC_KEYS_DIR", mailing.path("public-keys")),
        ("PRODUCT_DATABASE_URL", products.url.clone()),
        ("AUTH_JWKS_URL", keys),
        ("AUTH_LISTEN", auth.clone()),
        ("USER_LISTEN", users.clone()),
        ("WORKER_ADMIN_LISTEN", worker),
    ]);
    for listen in ["AUTH_WORKER_ADMIN_LISTEN", "MAILER_ADMIN_LISTEN", "PRODUCT_ADMIN_LISTEN", "PRODUCT_LISTEN"] {
        settings.push((listen, "127.0.0.1:0".to_owned()));
    }
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let child = installation.start(&["run", "all"], &settings, ports[2]).await;

    let client = Client::new();
    let credentials = json!({ "email": "marguerite@example.com", "password": "correct horse battery staple" });
    let registration = json!({ "email": "marguerite@example.com", "password": "correct horse battery staple",
                               "displayName": "Marguerite D." });
    let registered = client.post(format!("http://{auth}/v1/auth/register")).json(&registration).send().await.unwrap();
    assert_eq!(registered.status(), StatusCode::ACCEPTED);
    let login = client.post(format!("http://{auth}/v1/auth/login")).json(&credentials).send().await.unwrap();
    let login: Value = login.json().await.unwrap();
    let token = login["accessToken"].as_str().unwrap();
    eventually("the profile is ready, by the keys that were read", async || {
        let answer = client.get(format!("http://{users}/v1/me/profile")).bearer_auth(token).send().await.unwrap();
        let profile: Value = answer.json().await.unwrap();
        (profile["profileState"] == "ready").then_some(())
    })
    .await;
    let wanted = write_everything(&format!("http://{users}"), token).await;

    let mut databases = vec![
        ("auth_db", installation.auth.pool.clone()),
        ("user_db", installation.user.pool.clone()),
        ("mailer_db", mailing.database.pool.clone()),
        ("product_db", products.pool.clone()),
    ];
    if let Some((_, url)) = installation.bus.environment.iter().find(|(name, _)| *name == "BUS_DATABASE_URL") {
        databases.push(("bus_db", sqlx::PgPool::connect(url).await.unwrap()));
    }
    let told = ["marguerite", "Duras", "Saint-Benoit", "75006", "55512345", "pm_of", "of-marguerite", "Europe/Paris"];
    let before = dump(&installation.user.pool).await;
    for words in told {
        assert!(before.contains(words), "{words} was never there");
    }
    let wish = wanted.to_string();
    assert!(before.contains(&wish), "the wish was never there");

    let mails = Path::new(&mailing.path("mails")).to_owned();
    eventually("the mail", async || MailFolder::new(&mails).read().is_ok_and(|mails| !mails.is_empty()).then_some(()))
        .await;
    let erasing = client.delete(format!("http://{auth}/v1/me")).bearer_auth(token).send().await.unwrap();
    assert_eq!(erasing.status(), StatusCode::ACCEPTED);
    eventually("the ledger is closed", async || {
        let closed = "SELECT count(*) FROM erasures WHERE completed_at IS NOT NULL";
        let closed: i64 = sqlx::query_scalar(closed).fetch_one(&installation.auth.pool).await.unwrap();
        (closed == 1).then_some(())
    })
    .await;
    let gone = client.get(format!("http://{users}/v1/me/profile")).bearer_auth(token).send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::GONE);
    // Each reads its queue apart from the others.
    for queue in ["auth-service", "mailer", "user-service"] {
        until_empty(&*installation.bus.queue(queue).await).await;
    }
    for (name, pool) in databases {
        let dump = dump(&pool).await.to_lowercase();
        for words in told.iter().copied().chain([wish.as_str()]) {
            let rows: Vec<_> = dump.lines().filter(|row| row.contains(&words.to_lowercase())).collect();
            assert!(rows.is_empty(), "{name} still holds {words}: {rows:#?}");
        }
    }
    terminate(child).await;
}

/// All that somebody may write at user-service. Answers the product that they wish for.
async fn write_everything(users: &str, token: &str) -> Uuid {
    let client = Client::new();
    let say = async |method: Method, path: &str, body: Value| {
        let request = client.request(method, format!("{users}{path}")).bearer_auth(token).json(&body);
        let request = request.header("idempotency-key", "of-marguerite").header("if-match", "*");
        let answer = request.send().await.unwrap();
        let status = answer.status();
        assert!(status.is_success(), "{path}: {status} {}", answer.text().await.unwrap());
    };
    say(Method::PATCH, "/v1/me/profile", json!({ "displayName": "Marguerite Duras" })).await;
    say(
        Method::POST,
        "/v1/me/addresses",
        json!({ "recipient": "Marguerite Duras", "line1": "5 rue Saint-Benoit", "city": "Paris", "postalCode": "75006",
                "country": "FR", "phone": "+33155512345" }),
    )
    .await;
    say(
        Method::POST,
        "/v1/me/payment-methods",
        json!({ "provider": "acme-pay", "providerToken": "pm_of_marguerite", "brand": "visa", "last4": "4242", "expMonth": 12,
                "expYear": 2099 }),
    )
    .await;
    say(
        Method::PUT,
        "/v1/me/preferences",
        json!({ "locale": "fr-FR", "currency": "EUR", "timeZone": "Europe/Paris", "marketingEmails": true,
                "priceDropEmails": true }),
    )
    .await;
    let wanted = Uuid::new_v4();
    say(Method::PUT, &format!("/v1/me/wishlist/{wanted}"), Value::Null).await;
    wanted
}
