//! Services as processes of their own, stopped as an orchestrator stops them.

use std::{
    net::TcpListener,
    process::Stdio,
    sync::atomic::{AtomicU16, Ordering},
};

use fixtures::{TestBus, TestDatabase, eventually, on_both_buses};
use messaging::OutgoingMessage;
use reqwest::{Client, StatusCode};
use schemas::{Clock, Envelope, Header, Sequence, UserCreatedV1, event_id};
use serde_json::json;
use tokio::process::{Child, Command};
use uuid::Uuid;

use crate::{run, waypost};

pub struct Installation {
    pub bus: TestBus,
    pub auth: TestDatabase,
    pub user: TestDatabase,
}

impl Installation {
    pub async fn make(bus: TestBus) -> Self {
        let (auth, user) = tokio::join!(fixtures::auth_database(), fixtures::user_database());
        let made = Self { bus, auth, user };
        let (code, _, stderr) = made.run(&["topology", "apply"]).await;
        assert_eq!(code, 0, "{stderr}");
        made
    }

    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let own = [
            ("AUTH_DATABASE_URL", self.auth.url.clone()),
            ("USER_DATABASE_URL", self.user.url.clone()),
            ("WORKER_WAIT_SECONDS", "1".to_owned()),
            // Where a test doesn't ask, any port.
            ("AUTH_ADMIN_LISTEN", "127.0.0.1:0".to_owned()),
            ("USER_LISTEN", "127.0.0.1:0".to_owned()),
            ("USER_ADMIN_LISTEN", "127.0.0.1:0".to_owned()),
        ];
        self.bus.environment.iter().cloned().chain(own).chain(fixtures::auth_keys()).collect()
    }

    pub async fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let environment = self.environment();
        let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        run(arguments, &environment).await
    }

    async fn register_and_see_the_profile(&self, api_listen: &str) {
        let body = json!({ "email": "ada@example.com", "password": "correct horse battery staple" });
        let url = format!("http://{api_listen}/v1/auth/register");
        let answer = Client::new().post(url).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        eventually("the profile", async || {
            let profile = sqlx::query_scalar("SELECT email FROM user_profiles");
            let email: Option<String> = profile.fetch_optional(&self.user.pool).await.unwrap();
            email
        })
        .await;
    }

    /// As a producer of an older release sends it. Answers whose account it is.
    pub async fn send_an_event_of_version_1(&self, traceparent: Option<String>) -> Uuid {
        let now = Clock::system().now();
        let event = UserCreatedV1 {
            user_id: event_id(now),
            email: "bob@example.com".to_owned().try_into().unwrap(),
            timestamp: now,
            source: "auth-service".to_owned(),
        };
        let sequence = Sequence::after(None, now);
        let header = Header { id: event_id(now), source: "auth-service", time: now, sequence, traceparent };
        let body = serde_json::to_string(&Envelope::new(&event, header).unwrap()).unwrap();
        let sent = self.bus.queue("user-service").await.send(&[OutgoingMessage { body, ..Default::default() }]).await;
        sent[0].as_ref().unwrap();
        event.user_id
    }

    pub async fn see_the_profile_of(&self, user_id: Uuid) {
        eventually("the profile", async || {
            let profile = sqlx::query_scalar("SELECT email FROM user_profiles WHERE user_id = $1").bind(user_id);
            let email: Option<String> = profile.fetch_optional(&self.user.pool).await.unwrap();
            email
        })
        .await;
    }

    /// Starts a process and waits until it is ready on `port`.
    pub async fn start(&self, arguments: &[&str], settings: &[(&str, &str)], port: u16) -> Child {
        let mut child = waypost(arguments, &[])
            .envs(self.environment())
            .envs(settings.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        eventually(&format!("{arguments:?} is ready"), async || {
            assert_eq!(child.try_wait().unwrap(), None, "{arguments:?} ended");
            let answer = Client::new().get(format!("http://127.0.0.1:{port}/readyz")).send().await;
            answer.is_ok_and(|answer| answer.status() == StatusCode::OK).then_some(())
        })
        .await;
        child
    }
}

pub async fn metrics_of(listen: &str) -> String {
    Client::new().get(format!("http://{listen}/metrics")).send().await.unwrap().text().await.unwrap()
}

/// A port that nobody else is given. It lies below those that the kernel gives away: to a client, or to a process of another
/// test that takes any, which would then answer for one that could not start.
pub fn free_port() -> u16 {
    const FIRST: u16 = 10_000;
    const COUNT: u16 = 20_000;
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    // Another checkout's tests begin elsewhere.
    let offset = (std::process::id() % u32::from(COUNT)) as u16;
    loop {
        let port = FIRST + (offset + GIVEN.fetch_add(1, Ordering::Relaxed)) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

pub async fn signal(child: &Child, name: &str) {
    let id = child.id().unwrap().to_string();
    assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().await.unwrap().success());
}

pub async fn terminate(mut child: Child) {
    signal(&child, "TERM").await;
    let status = tokio::time::timeout(fixtures::DEADLINE, child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0), "a process that is asked to stop exits with 0");
}

on_both_buses!(
    the_services_with_a_relay_of_its_own_deliver_a_registration_and_stop_cleanly,
    every_service_in_one_process_delivers_a_registration_and_stops_cleanly,
);

async fn the_services_with_a_relay_of_its_own_deliver_a_registration_and_stop_cleanly(bus: TestBus) {
    let installation = Installation::make(bus).await;
    let (admin, relay, worker) = (free_port(), free_port(), free_port());
    let (api_listen, admin_listen) = (format!("127.0.0.1:{}", free_port()), format!("127.0.0.1:{admin}"));
    let (relay_listen, worker_listen) = (format!("127.0.0.1:{relay}"), format!("127.0.0.1:{worker}"));
    let settings = [
        ("OUTBOX_RELAY", "standalone"),
        ("AUTH_LISTEN", api_listen.as_str()),
        ("AUTH_ADMIN_LISTEN", admin_listen.as_str()),
    ];
    let children = [
        installation.start(&["run", "auth-service"], &settings, admin).await,
        installation
            .start(&["run", "relay", "--service", "auth"], &[("RELAY_ADMIN_LISTEN", &relay_listen)], relay)
            .await,
        installation.start(&["run", "user-worker"], &[("WORKER_ADMIN_LISTEN", &worker_listen)], worker).await,
    ];

    installation.register_and_see_the_profile(&api_listen).await;
    let user_id = installation.send_an_event_of_version_1(None).await;
    installation.see_the_profile_of(user_id).await;
    let metrics = metrics_of(&worker_listen).await;
    let applied = "waypost_worker_events_total{handler=\"record_profile\",outcome=\"applied\"} 2";
    assert!(metrics.contains(applied), "{metrics}");
    let upcast = "waypost_worker_upcasts_total{event_type=\"user.created\",version=\"1\"} 1";
    assert!(metrics.contains(upcast), "{metrics}");
    assert!(metrics.contains("# HELP messaging_client_operation_duration_seconds How long"), "{metrics}");
    let receives = if installation.bus.is_embedded() { "receive" } else { "ReceiveMessage" };
    let queue = format!("{}user-service", installation.bus.prefix);
    for label in [receives, queue.as_str()] {
        assert!(metrics.contains(&format!("=\"{label}\"")), "{label} is not in {metrics}");
    }
    let metrics = metrics_of(&relay_listen).await;
    let topic = installation.bus.bus.names().topic("user.created");
    let sent = format!("messaging_operation_name=\"send\",messaging_destination_name=\"{topic}\"}} 1");
    assert!(metrics.contains(&sent), "{sent} in {metrics}");
    assert!(metrics.contains("# HELP messaging_client_sent_messages_total"), "{metrics}");
    for child in children {
        terminate(child).await;
    }
}

async fn every_service_in_one_process_delivers_a_registration_and_stops_cleanly(bus: TestBus) {
    let installation = Installation::make(bus).await;
    let worker = free_port();
    let [api_listen, admin_listen, worker_listen] =
        [free_port(), free_port(), worker].map(|port| format!("127.0.0.1:{port}"));
    let settings = [
        ("AUTH_LISTEN", api_listen.as_str()),
        ("AUTH_ADMIN_LISTEN", admin_listen.as_str()),
        ("AUTH_WORKER_ADMIN_LISTEN", "127.0.0.1:0"),
        ("WORKER_ADMIN_LISTEN", &worker_listen),
    ];
    let child = installation.start(&["run", "all"], &settings, worker).await;
    installation.register_and_see_the_profile(&api_listen).await;
    for (service, listen) in [("auth-service", "AUTH_ADMIN_LISTEN"), ("user-worker", "WORKER_ADMIN_LISTEN")] {
        let listen = settings.iter().find(|(name, _)| *name == listen).unwrap();
        let (code, stdout, stderr) = run(&["healthcheck", service], &[*listen]).await;
        assert_eq!(code, 0, "{stdout}{stderr}");
    }
    terminate(child).await;
    let (code, _, stderr) = run(&["healthcheck", "auth-service"], &settings).await;
    assert_eq!(code, 1);
    assert!(stderr.contains(&format!("http://{admin_listen}/readyz does not answer")), "{stderr}");
}
