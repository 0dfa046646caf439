//! The mailer as a process: an event on its topic becomes a mail in its folder.

use std::path::Path;

use fixtures::{TestBus, TestDatabase, eventually, on_both_buses, until_empty};
use mailer::{MailFolder, PRIVATE_KEY, PUBLIC_KEY};
use messaging::OutgoingMessage;
use schemas::{AccountStatus, Clock, Envelope, Event, Header, Sequence, UserReactivatedV1, event_id};
use service::key_files::KeyFolder;
use tempfile::TempDir;
use uuid::Uuid;

use crate::running::{Installation, free_port, terminate};

/// What a mailer beside an installation works with.
pub struct Mailing {
    pub database: TestDatabase,
    folder: TempDir,
}

impl Mailing {
    pub async fn make() -> Self {
        let made = Self { database: fixtures::mailer_database().await, folder: tempfile::tempdir().unwrap() };
        let keys = |name, extension| KeyFolder::new(made.path(name), extension);
        let (private, public) = (keys("keys", PRIVATE_KEY), keys("public-keys", PUBLIC_KEY));
        mailer::make_pair(&private, &public, Clock::system().now()).unwrap();
        made
    }

    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("MAILER_DATABASE_URL", self.database.url.clone()),
            ("MAILER_KEYS_DIR", self.path("keys")),
            ("MAIL_FOLDER", self.path("mails")),
            ("MAIL_FROM", "no-reply@shop.example.com".to_owned()),
            ("MAIL_LINK_BASE", "http://localhost:8000".to_owned()),
        ]
    }

    /// What was written about an event.
    async fn mail_of(&self, event: Uuid) -> String {
        let folder = MailFolder::new(self.path("mails"));
        let path = eventually("the mail", async || {
            // The folder comes with the first mail.
            let mails = folder.read().unwrap_or_default();
            mails.into_iter().find(|mail| mail.key == event).map(|mail| mail.path)
        })
        .await;
        std::fs::read_to_string(path).unwrap()
    }

    async fn has_applied(&self, event: Uuid) -> bool {
        let applied = "SELECT EXISTS (SELECT FROM event_logs WHERE event_key = $1)";
        sqlx::query_scalar(applied).bind(event).fetch_one(&self.database.pool).await.unwrap()
    }
}

/// As auth-service sends it. Answers its id.
pub fn reactivated(email: &str) -> (Uuid, OutgoingMessage) {
    let now = Clock::system().now();
    let event = UserReactivatedV1 {
        user_id: event_id(now),
        email: email.to_owned().try_into().unwrap(),
        timestamp: now,
        source: "auth-service".to_owned().try_into().unwrap(),
        status: AccountStatus::Active,
    };
    let id = event_id(now);
    let header =
        Header { id, source: "auth-service", time: now, sequence: Sequence::after(None, now), traceparent: None };
    let body = serde_json::to_string(&Envelope::new(&event, header).unwrap()).unwrap();
    let attributes = [("type".to_owned(), UserReactivatedV1::TYPE.as_str().to_owned())].into();
    (id, OutgoingMessage { body, attributes })
}

on_both_buses!(
    an_event_on_its_topic_is_mailed_once_and_the_mailer_stops_cleanly,
    every_service_in_one_process_mails_as_well_and_knows_its_queues_apart,
);

async fn an_event_on_its_topic_is_mailed_once_and_the_mailer_stops_cleanly(bus: TestBus) {
    let (installation, mailing) = tokio::join!(Installation::make(bus), Mailing::make());
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let environment = mailing.environment();
    let mut settings: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    settings.push(("MAILER_ADMIN_LISTEN", &listen));
    let child = installation.start(&["run", "mailer"], &settings, port).await;

    let (event, message) = reactivated("ada@example.com");
    // Twice: the second is known as a copy.
    let published = installation.bus.bus.publisher().publish("user.reactivated", &[message.clone(), message]).await;
    assert!(published.iter().all(Result::is_ok), "{published:?}");
    let mail = mailing.mail_of(event).await;
    assert!(mail.contains("To: ada@example.com") && mail.contains("From: no-reply@shop.example.com"), "{mail}");
    eventually("the record", async || mailing.has_applied(event).await.then_some(())).await;
    let queue = installation.bus.queue("mailer").await;
    until_empty(&*queue).await;
    let folder = Path::new(&mailing.path("mails")).to_owned();
    assert_eq!(MailFolder::new(folder).read().unwrap().len(), 1, "a copy is not mailed again");

    let (code, stdout, stderr) = crate::run(&["healthcheck", "mailer"], &settings).await;
    assert_eq!(code, 0, "{stdout}{stderr}");
    terminate(child).await;
}

async fn every_service_in_one_process_mails_as_well_and_knows_its_queues_apart(bus: TestBus) {
    let (installation, mailing) = tokio::join!(Installation::make(bus), Mailing::make());
    let ports = [free_port(), free_port(), free_port()];
    let listens = ports.map(|port| format!("127.0.0.1:{port}"));
    let environment = mailing.environment();
    let mut settings: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let names = ["AUTH_LISTEN", "WORKER_ADMIN_LISTEN", "MAILER_ADMIN_LISTEN"];
    settings.extend(names.into_iter().zip(listens.iter().map(String::as_str)));
    settings.push(("AUTH_WORKER_ADMIN_LISTEN", "127.0.0.1:0"));
    let child = installation.start(&["run", "all"], &settings, ports[2]).await;

    let (event, message) = reactivated("ada@example.com");
    let published = installation.bus.bus.publisher().publish("user.reactivated", &[message]).await;
    published[0].as_ref().unwrap();
    mailing.mail_of(event).await;
    let user_id = installation.send_an_event_of_version_1(None).await;
    installation.see_the_profile_of(user_id).await;

    // One process, and one page of metrics: what is set is told apart.
    for consumer in ["mailer", "user-service", "auth-service"] {
        let gauge = format!("waypost_worker_polls_wanted{{messaging_consumer_group_name=\"{consumer}\"}}");
        eventually(&gauge, async || {
            let metrics = crate::running::metrics_of(&listens[2]).await;
            metrics.contains(&gauge).then_some(())
        })
        .await;
    }
    terminate(child).await;
}
