//! The catalogue as a process: with the tokens of auth-service, with its events on the bus, and filled from a file.

use std::{fs::File, path::Path};

use fixtures::{TestBus, eventually, on_both_buses, product_database};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    running::{Installation, free_port, terminate},
    waypost,
};

on_both_buses!(
    an_administrator_of_auth_service_changes_the_catalogue_and_the_bus_hears_of_it,
    a_file_is_imported_and_user_service_hears_of_it_by_a_relay_of_its_own,
);

async fn an_administrator_of_auth_service_changes_the_catalogue_and_the_bus_hears_of_it(bus: TestBus) {
    let installation = Installation::make(bus).await;
    let products = product_database().await;
    let ports = [free_port(), free_port(), free_port(), free_port()];
    let [auth, auth_admin, listen, admin] = ports.map(|port| format!("127.0.0.1:{port}"));
    let keys = format!("http://{auth}/.well-known/jwks.json");
    let settings = [
        ("EMAIL_VERIFICATION", "optional"),
        ("AUTH_LISTEN", &auth),
        ("AUTH_ADMIN_LISTEN", &auth_admin),
        ("AUTH_JWKS_URL", &keys),
        ("PRODUCT_DATABASE_URL", &products.url),
        ("PRODUCT_LISTEN", &listen),
        ("PRODUCT_ADMIN_LISTEN", &admin),
    ];
    // It reads the keys when they are there.
    let catalogue = installation.start(&["run", "product-service"], &settings, ports[3]).await;
    let accounts = installation.start(&["run", "auth-service"], &settings, ports[1]).await;

    let client = Client::new();
    let credentials = json!({ "email": "ada@example.com", "password": "correct horse battery staple" });
    let registered = client.post(format!("http://{auth}/v1/auth/register")).json(&credentials).send().await.unwrap();
    assert_eq!(registered.status(), StatusCode::ACCEPTED);
    let (code, _, stderr) =
        installation.run(&["admin", "grant", "--email", "ada@example.com", "--role", "admin"]).await;
    assert_eq!(code, 0, "{stderr}");
    let login = client.post(format!("http://{auth}/v1/auth/login")).json(&credentials).send().await.unwrap();
    let login: Value = login.json().await.unwrap();
    let product = json!({ "sku": "TEA-1", "name": "Tea", "price": { "amountMinor": 1999, "currency": "EUR" } });
    let added = eventually("the keys are read", async || {
        let add =
            client.post(format!("http://{listen}/v1/products")).bearer_auth(login["accessToken"].as_str().unwrap());
        let answer = add.json(&product).send().await.unwrap();
        (answer.status() != StatusCode::SERVICE_UNAVAILABLE).then_some(answer)
    })
    .await;
    assert_eq!(added.status(), StatusCode::CREATED);
    eventually("it is published", async || {
        let published = "SELECT count(*) FROM outbox WHERE event_type = 'product.created' AND status = 'published'";
        let published: i64 = sqlx::query_scalar(published).fetch_one(&products.pool).await.unwrap();
        (published == 1).then_some(())
    })
    .await;

    let all: Vec<_> =
        installation.environment().into_iter().chain(settings.map(|(name, value)| (name, value.to_owned()))).collect();
    let all: Vec<_> = all.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (code, stdout, stderr) = crate::run(&["healthcheck", "product-service"], &all).await;
    assert_eq!(code, 0, "{stdout}{stderr}");
    terminate(catalogue).await;
    terminate(accounts).await;
}

async fn a_file_is_imported_and_user_service_hears_of_it_by_a_relay_of_its_own(bus: TestBus) {
    let installation = Installation::make(bus).await;
    let products = product_database().await;
    let folder = TempDir::new().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let good = file("good.csv", "sku,name,amountMinor,currency\nTEA-1,Tea,1999,EUR\nTEA-2,Tea,2999,EUR\n");
    let bad = file("bad.csv", "sku,name,amountMinor,currency\nTEA-3,Tea,19.99,EUR\nTEA-4,Tea,1,EUR\n");
    let mut all = installation.environment();
    all.push(("PRODUCT_DATABASE_URL", products.url.clone()));
    let import = async |arguments: &[&str]| {
        let settings: Vec<_> = all.iter().map(|(name, value)| (*name, value.as_str())).collect();
        crate::run(&[&["products", "import"], arguments].concat(), &settings).await
    };
    let (code, stdout, stderr) = import(&[&bad]).await;
    assert_eq!((code, stderr.as_str()), (1, "1 fault: nothing was imported\n"));
    assert!(stdout.starts_with("line 2: `amountMinor` is `19.99`, should be a whole number"), "{stdout}");
    let (code, stdout, _) = import(&[&good, "--dry-run"]).await;
    assert_eq!((code, stdout.as_str()), (0, "2 would be added, 0 changed, 0 left as they are\n"));
    let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM products").fetch_one(&products.pool).await.unwrap();
    assert_eq!(stored, 0);

    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let settings = [("PRODUCT_DATABASE_URL", products.url.as_str()), ("RELAY_ADMIN_LISTEN", &listen)];
    let relay = installation.start(&["run", "relay", "--service", "product"], &settings, port).await;
    let (code, stdout, stderr) = import(&[&good, "--json"]).await;
    assert_eq!(code, 0, "{stderr}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report, json!({ "dryRun": false, "created": 2, "changed": 0, "unchanged": 0, "wrong": [] }));
    let worker_port = free_port();
    let worker_listen = format!("127.0.0.1:{worker_port}");
    let worker = [("WORKER_ADMIN_LISTEN", worker_listen.as_str())];
    let worker = installation.start(&["run", "user-worker"], &worker, worker_port).await;
    eventually("both are known to user-service", async || {
        let known = sqlx::query_scalar("SELECT string_agg(sku || ' ' || price_minor, ', ' ORDER BY sku) FROM products");
        let known: Option<String> = known.fetch_one(&installation.user.pool).await.unwrap();
        (known.as_deref() == Some("TEA-1 1999, TEA-2 2999")).then_some(())
    })
    .await;
    let (code, stdout, _) = import(&[&good]).await;
    assert_eq!((code, stdout.as_str()), (0, "0 added, 0 changed, 2 left as they were\n"));
    let piped = waypost(&["products", "import", "-"], &[]).envs(all.clone()).stdin(File::open(&good).unwrap()).output();
    let piped = piped.await.unwrap();
    assert_eq!(String::from_utf8_lossy(&piped.stdout), "0 added, 0 changed, 2 left as they were\n");
    let missing = Path::new(folder.path()).join("none.csv");
    let (code, _, stderr) = import(&[missing.to_str().unwrap()]).await;
    assert_eq!(code, 1);
    assert!(stderr.contains("none.csv can't be read"), "{stderr}");
    terminate(relay).await;
    terminate(worker).await;
}
