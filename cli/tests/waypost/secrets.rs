//! A secret on its whole way, and everything that is kept or printed of it.
//!
//! People register, verify, sign in and reset; one mail dies on its way. What they know (tokens by mail, access and refresh
//! tokens, passwords) is then looked for in every database, in the dead-letter queue, in the logs of all processes at
//! their most talkative, in traces, and in what tools print. The folder of mails is where the tokens are read from.

use std::{path::Path, process::Stdio, time::Duration};

use fixtures::{TestBus, eventually, on_both_buses};
use messaging::ReceiveRequest;
use reqwest::{Client, Method};
use sealing::{Context, OpeningKey, OpeningKeys, purpose};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sqlx::PgPool;
use tempfile::TempDir;
use tokio::process::Child;
use tokio_util::sync::CancellationToken;

use crate::{
    run,
    running::{Installation, free_port, terminate},
    traces::collector::{Collector, Mood},
    waypost,
};

const PASSWORD: &str = "correct horse battery staple";
const OTHER_PASSWORD: &str = "she hums along to trams";

struct Place {
    installation: Installation,
    mailer: fixtures::TestDatabase,
    collector: Collector,
    folder: TempDir,
    api: String,
}

impl Place {
    async fn make(bus: TestBus) -> Self {
        let (installation, mailer, collector) =
            tokio::join!(Installation::make(bus), fixtures::mailer_database(), Collector::start(Mood::Takes));
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        std::fs::create_dir(&keys).unwrap();
        let key = fixtures::mailer_key().text();
        std::fs::write(keys.join("20260101T000000Z.key"), key.expose_secret()).unwrap();
        Self { installation, mailer, collector, folder, api: format!("127.0.0.1:{}", free_port()) }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        let own = [
            ("MAILER_DATABASE_URL", self.mailer.url.clone()),
            ("MAILER_KEYS_DIR", self.path("keys")),
            ("MAIL_FOLDER", self.path("mails")),
            ("MAIL_FROM", "no-reply@shop.example.com".to_owned()),
            ("MAIL_LINK_BASE", "http://localhost:8000".to_owned()),
            ("AUTH_LISTEN", self.api.clone()),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", self.collector.endpoint.clone()),
            ("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned()),
            ("RUST_LOG", "trace".to_owned()),
            ("WORKER_MAX_ATTEMPTS", "1".to_owned()),
        ];
        self.installation.environment().into_iter().chain(own).collect()
    }

    /// With its log in a file.
    async fn start(&self, name: &str, listen: &str) -> Child {
        let log = std::fs::File::options().create(true).append(true).open(self.path(&format!("{name}.log"))).unwrap();
        let port = free_port();
        let child = waypost(&["run", name], &[])
            .envs(self.environment())
            .env(listen, format!("127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        eventually(&format!("{name} is ready"), async || {
            let answer = Client::new().get(format!("http://127.0.0.1:{port}/readyz")).send().await;
            answer.is_ok_and(|answer| answer.status().is_success()).then_some(())
        })
        .await;
        child
    }

    async fn run(&self, arguments: &[&str]) -> String {
        let environment = self.environment();
        let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let (code, stdout, stderr) = run(arguments, &environment).await;
        assert_eq!(code, 0, "{arguments:?}: {stderr}");
        stdout + &stderr
    }

    async fn call(&self, method: Method, path: &str, token: Option<&str>, body: &Value) -> (u16, Value) {
        let request = Client::new().request(method, format!("http://{}{path}", self.api)).json(body);
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.call(Method::POST, path, None, body).await;
        assert!(status < 300, "{path}: {status} {answer}");
        answer
    }

    /// The tokens of the mails to an address, once there are so many.
    async fn mailed_tokens(&self, to: &str, count: usize) -> Vec<String> {
        let list = ["mail", "list", "--to", to, "--json"];
        let environment = self.environment();
        let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        eventually(&format!("mails to {to}"), async || {
            // The folder comes with the first mail.
            let (code, stdout, _) = run(&list, &environment).await;
            let mails: Vec<Value> = if code == 0 { serde_json::from_str(&stdout).unwrap() } else { Vec::new() };
            let tokens: Vec<_> = mails.iter().filter_map(|mail| mail["token"].as_str()).map(str::to_owned).collect();
            (tokens.len() >= count).then_some(tokens)
        })
        .await
    }
}

/// Everything that the tables of a database hold, the queues of the embedded bus among them.
pub async fn dump(pool: &PgPool) -> String {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT format('%I.%I', table_schema, table_name) FROM information_schema.tables
          WHERE table_schema NOT IN ('pg_catalog', 'information_schema') AND table_type = 'BASE TABLE'",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let mut rows = Vec::new();
    for table in tables {
        let sql = sqlx::AssertSqlSafe(format!("SELECT coalesce(string_agg(t::text, E'\\n'), '') FROM {table} AS t"));
        let text: String = sqlx::query_scalar(sql).fetch_one(pool).await.unwrap();
        rows.push(format!("{table}: {text}"));
    }
    rows.join("\n")
}

/// As it is, and as a careless print would spell it.
fn spellings(secret: &str) -> Vec<String> {
    use base64::{
        Engine,
        engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
    };
    let hex = |bytes: &[u8]| {
        let halves = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        halves.map(|half| char::from_digit(half.into(), 16).unwrap()).collect::<String>()
    };
    let mut all = vec![
        secret.to_owned(),
        STANDARD.encode(secret).trim_end_matches('=').to_owned(),
        URL_SAFE_NO_PAD.encode(secret),
        hex(secret.as_bytes()),
    ];
    if let Some(random) = secret.split_once('_').and_then(|(_, rest)| rest.get(..43)) {
        all.push(random.to_owned());
        // Of what is a token of ours; a signature may hold an underscore as well.
        all.extend(URL_SAFE_NO_PAD.decode(random).map(|bytes| hex(&bytes)));
    }
    all
}

/// What tools print where there is a dead letter of the mailer, and what is exported of it.
async fn what_tools_print(place: &Place) -> (Vec<String>, String) {
    let with = |arguments: &[&'static str]| [arguments, &["--consumer", "mailer"]].concat();
    let export = place.path("export.jsonl");
    let exporting =
        [&with(&["dlq", "export"])[..], &["--all-matching", "--to", &export, "--reason", "a test"]].concat();
    let mut printed = vec![
        place.run(&with(&["dlq", "list"])).await,
        place.run(&with(&["dlq", "groups", "--json"])).await,
        place.run(&with(&["dlq", "browse", "--json"])).await,
        place.run(&["outbox", "list"]).await,
        place.run(&["events", "list"]).await,
        place.run(&exporting).await,
    ];
    let exported = std::fs::read_to_string(&export).unwrap();
    let dead: Value = serde_json::from_str(exported.lines().next().unwrap()).unwrap();
    let id = dead["id"].as_str().unwrap();
    printed.push(place.run(&["dlq", "show", id, "--consumer", "mailer"]).await);
    printed.push(place.run(&["event-log", "show", id, "--json", "--consumer", "mailer"]).await);
    (printed, exported)
}

on_both_buses!(a_token_is_found_nowhere_but_in_its_mail);

async fn a_token_is_found_nowhere_but_in_its_mail(bus: TestBus) {
    let place = Place::make(bus).await;
    let auth = place.start("auth-service", "AUTH_ADMIN_LISTEN").await;
    let worker = place.start("user-worker", "WORKER_ADMIN_LISTEN").await;
    let mailer = place.start("mailer", "MAILER_ADMIN_LISTEN").await;

    let email = "ada@example.com";
    let mut secrets = vec![PASSWORD.to_owned(), OTHER_PASSWORD.to_owned()];
    place.post("/v1/auth/register", &json!({"email": email, "password": PASSWORD})).await;
    let verification = place.mailed_tokens(email, 1).await.remove(0);
    // Wrong first, since errors talk more.
    let flipped = format!("{verification}x");
    let (status, _) = place.call(Method::POST, "/v1/auth/email/verify", None, &json!({"token": flipped})).await;
    assert_eq!(status, 400);
    place.post("/v1/auth/email/verify", &json!({"token": verification})).await;
    let tokens = place.post("/v1/auth/login", &json!({"email": email, "password": PASSWORD})).await;
    let next = place.post("/v1/auth/refresh", &json!({"refreshToken": tokens["refreshToken"]})).await;
    let access = next["accessToken"].as_str().unwrap();
    let (status, _) = place.call(Method::GET, &format!("/v1/me?token={verification}"), Some(access), &json!({})).await;
    assert_eq!(status, 200);
    place.post("/v1/auth/password/forgot", &json!({"email": email})).await;
    let reset = place.mailed_tokens(email, 2).await.remove(1);
    for answer in [&tokens, &next] {
        secrets.extend(["accessToken", "refreshToken"].map(|name| answer[name].as_str().unwrap().to_owned()));
    }
    terminate(mailer).await;

    // A mailer without the key: the event dies on its way, with the token in it.
    std::fs::remove_dir_all(place.folder.path().join("keys")).unwrap();
    std::fs::create_dir(place.folder.path().join("keys")).unwrap();
    let other = OpeningKey::generate().text();
    std::fs::write(place.folder.path().join("keys/20260101T000000Z.key"), other.expose_secret()).unwrap();
    let mailer = place.start("mailer", "MAILER_ADMIN_LISTEN").await;
    place.post("/v1/auth/register", &json!({"email": "bob@example.com", "password": PASSWORD})).await;
    let dead_letters = place.installation.bus.queue("mailer-dlq").await;
    eventually("the dead letter", async || (dead_letters.counts().await.unwrap().visible == 1).then_some(())).await;
    place.post("/v1/auth/password/reset", &json!({"token": reset, "password": OTHER_PASSWORD})).await;
    secrets.extend([verification, reset]);

    let (printed, exported) = what_tools_print(&place).await;
    let dead: Value = serde_json::from_str(exported.lines().next().unwrap()).unwrap();
    let body: Value = serde_json::from_str(dead["body"].as_str().unwrap()).unwrap();
    let id = body["id"].as_str().unwrap();
    // The dead one's token, opened as its mailer would have.
    let sealed = body["data"]["tokenSealed"].as_str().unwrap().parse().unwrap();
    let context = Context {
        event_id: id.parse().unwrap(),
        user_id: body["data"]["userId"].as_str().unwrap().parse().unwrap(),
        purpose: purpose::EMAIL_VERIFICATION,
    };
    let keys = OpeningKeys::from_iter([OpeningKey::parse(&fixtures::mailer_key().text()).unwrap()]);
    secrets.push(keys.open(&sealed, &context).unwrap().expose_secret().to_owned());
    let received = dead_letters
        .receive_until(
            ReceiveRequest { max: 10, wait: Duration::from_secs(5), visibility: Duration::from_secs(60) },
            &CancellationToken::new(),
        )
        .await
        .unwrap();
    assert_eq!(received.len(), 1);

    for child in [auth, worker, mailer] {
        terminate(child).await;
    }
    let mut places = vec![
        ("what tools print".to_owned(), printed.join("\n")),
        ("a dead letter".to_owned(), format!("{} {:?}", received[0].body, received[0].attributes)),
        ("an export".to_owned(), exported),
        ("traces".to_owned(), format!("{:?}", place.collector.spans())),
        ("auth_db".to_owned(), dump(&place.installation.auth.pool).await),
        ("user_db".to_owned(), dump(&place.installation.user.pool).await),
        ("mailer_db".to_owned(), dump(&place.mailer.pool).await),
    ];
    if let Some((_, url)) = place.installation.bus.environment.iter().find(|(name, _)| *name == "BUS_DATABASE_URL") {
        places.push(("bus_db".to_owned(), dump(&PgPool::connect(url).await.unwrap()).await));
    }
    for name in ["auth-service", "user-worker", "mailer"] {
        let log = std::fs::read_to_string(Path::new(&place.path(&format!("{name}.log")))).unwrap();
        assert!(log.lines().count() > 100, "{name} was to say all that it can");
        places.push((format!("the log of {name}"), log));
    }
    // And the keys that auth-service was started with.
    let keys = fixtures::auth_keys();
    secrets.extend([&keys[0].1["20260101T000000Z=".len()..], &keys[1].1].map(str::to_owned));
    assert_eq!(secrets.len(), 11);
    assert!(place.collector.spans().len() > 5, "{}", place.collector.spans().len());
    assert!(places[1].1.contains("tokenSealed"), "{}", places[1].1);
    for secret in &secrets {
        for spelling in spellings(secret) {
            for (name, text) in &places {
                let line = text.lines().find(|line| line.contains(&spelling));
                assert!(line.is_none(), "{spelling} is in {name}: {line:?}");
            }
        }
    }
}
