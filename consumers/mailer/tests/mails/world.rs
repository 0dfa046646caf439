//! A mailer on a database and a mail server of one test's own.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use fixtures::{TestDatabase, mailer_database};
use mail_parser::{Message, MessageParser};
use mailer::{Mailer, MailerSettings, PRIVATE_KEY, PUBLIC_KEY, make_pair};
use messaging::RetryDelay;
use schemas::{
    Clock, Email, Envelope, Header, Sequence, UserEmailVerificationRequestedV1, UserPasswordChangedV1,
    UserPasswordResetRequestedV1,
};
use sealing::{Context, SealingKey, purpose};
use secrecy::ExposeSecret;
use service::{key_files::KeyFolder, settings::Env};
use sqlx::PgPool;
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::task::JoinHandle;
use uuid::Uuid;
use worker::{Outcome, WorkerSettings, testing::Harness};

use crate::server::{Delivered, SmtpServer};

pub const TOKEN: &str = "evt_planted-R7m2Qx0vTf1yNc8sLk4pZa6wEb9uHd3gJi5oKe";
pub const ADDRESS: &str = "ada.planted@example.com";
pub const FROM: &str = "Shop <no-reply@shop.example.com>";

pub struct World {
    pub database: TestDatabase,
    pub server: SmtpServer,
    pub harness: Arc<Harness>,
    pub clock: SetClock,
    pub key: SealingKey,
    /// Holds the folders `keys`, `pub` and `mails`.
    pub place: TempDir,
}

/// A clock that stands until it is moved.
#[derive(Clone)]
pub struct SetClock(Arc<Mutex<OffsetDateTime>>);

impl SetClock {
    pub fn now(&self) -> OffsetDateTime {
        *self.0.lock().unwrap()
    }

    pub fn advance(&self, by: time::Duration) {
        *self.0.lock().unwrap() += by;
    }

    pub fn clock(&self) -> Clock {
        let now = self.0.clone();
        Clock::reading(move || *now.lock().unwrap())
    }
}

pub fn key_folders(place: &Path) -> [KeyFolder; 2] {
    [KeyFolder::new(place.join("keys"), PRIVATE_KEY), KeyFolder::new(place.join("pub"), PUBLIC_KEY)]
}

/// Makes a pair of keys, and answers the public one.
pub fn make_key(place: &Path, made_at: OffsetDateTime) -> SealingKey {
    let [private, public] = key_folders(place);
    let id = make_pair(&private, &public, made_at).unwrap();
    let key = SealingKey::parse(public.read().unwrap().last().unwrap().contents.expose_secret()).unwrap();
    assert_eq!(key.id(), id);
    key
}

/// Everything short, so that tests are.
fn worker_settings() -> WorkerSettings {
    WorkerSettings {
        max_attempts: 2,
        retry: RetryDelay::new(Duration::from_millis(10), Duration::from_millis(50)),
        probe: RetryDelay::new(Duration::from_millis(20), Duration::from_millis(50)),
        ..WorkerSettings::new("test-worker", "0.0.0-test")
    }
}

pub async fn world() -> World {
    let server = SmtpServer::start().await;
    let url = format!("smtp://{}", server.address);
    world_with(server, &[("MAIL_TRANSPORT", "smtp"), ("SMTP_URL", &url)]).await
}

pub async fn world_with(server: SmtpServer, variables: &[(&str, &str)]) -> World {
    let (database, place) = (mailer_database().await, tempfile::tempdir().unwrap());
    let clock = SetClock(Arc::new(Mutex::new(Clock::system().now())));
    let key = make_key(place.path(), clock.now() - time::Duration::DAY);
    let harness = harness(&database.pool, place.path(), &clock, variables).await;
    World { database, server, harness, clock, key, place }
}

/// As a process starts it, from settings.
pub async fn harness(pool: &PgPool, place: &Path, clock: &SetClock, variables: &[(&str, &str)]) -> Arc<Harness> {
    let folder = |name| place.join(name).to_str().unwrap().to_owned();
    let (keys, mails) = (folder("keys"), folder("mails"));
    let usual = [
        ("MAILER_DATABASE_URL", "postgres://localhost/unused"),
        ("MAIL_FOLDER", &mails),
        ("MAIL_FROM", FROM),
        ("MAIL_LINK_BASE", "https://shop.example.com"),
        ("MAILER_KEYS_DIR", &keys),
    ];
    let env = Env::of(usual.into_iter().chain(variables.iter().copied()));
    let mailer = Mailer::open(MailerSettings::from_env(&env).unwrap(), clock.clock()).await.unwrap();
    let consumer = mailer::consumer(&mailer);
    Arc::new(Harness::with(consumer, pool.clone(), worker_settings(), clock.clock()).await.unwrap())
}

pub fn email(address: &str) -> Email {
    address.to_owned().try_into().unwrap()
}

impl World {
    /// The header of a new event.
    pub fn header(&self) -> Header {
        let now = self.clock.now();
        Header {
            id: schemas::event_id(now),
            source: "auth-service",
            time: now,
            sequence: Sequence::after(None, now),
            traceparent: None,
        }
    }

    pub fn verification(&self, to: &str) -> Envelope {
        self.verification_sealed(to, &self.key, |context| context)
    }

    /// Its token sealed in another context than the event's own.
    pub fn verification_sealed(
        &self,
        to: &str,
        key: &SealingKey,
        change: impl FnOnce(Context<'static>) -> Context<'static>,
    ) -> Envelope {
        let (header, user_id) = (self.header(), schemas::event_id(self.clock.now()));
        let context = Context { event_id: header.id, user_id, purpose: purpose::EMAIL_VERIFICATION };
        let event = UserEmailVerificationRequestedV1 {
            user_id,
            email: email(to),
            timestamp: self.clock.now(),
            source: "auth-service".parse().unwrap(),
            request_id: Uuid::from_u128(1),
            token_sealed: key.seal(&TOKEN.into(), &change(context)).unwrap(),
            expires_at: self.clock.now() + time::Duration::HOUR,
            locale: None,
        };
        Envelope::new(&event, header).unwrap()
    }

    pub fn reset(&self, to: &str, locale: Option<&str>) -> Envelope {
        let (header, user_id) = (self.header(), schemas::event_id(self.clock.now()));
        let context = Context { event_id: header.id, user_id, purpose: purpose::PASSWORD_RESET };
        let event = UserPasswordResetRequestedV1 {
            user_id,
            email: email(to),
            timestamp: self.clock.now(),
            source: "auth-service".parse().unwrap(),
            request_id: Uuid::from_u128(1),
            token_sealed: self.key.seal(&TOKEN.into(), &context).unwrap(),
            expires_at: self.clock.now() + time::Duration::HOUR,
            locale: locale.map(|locale| locale.parse().unwrap()),
        };
        Envelope::new(&event, header).unwrap()
    }

    pub fn password_changed(&self, to: &str) -> Envelope {
        let event = UserPasswordChangedV1 {
            user_id: Uuid::from_u128(2),
            email: email(to),
            timestamp: self.clock.now(),
            source: "auth-service".parse().unwrap(),
            min_token_version: serde_json::from_value(1.into()).unwrap(),
        };
        Envelope::new(&event, self.header()).unwrap()
    }

    /// Delivers an event alone.
    pub async fn deliver(&self, envelope: &Envelope) -> Outcome {
        self.harness.deliver(std::slice::from_ref(envelope)).await.pop().unwrap()
    }

    /// Delivers an event in a task of its own, for it may take long.
    pub fn delivering(&self, envelope: &Envelope) -> JoinHandle<Vec<Outcome>> {
        let (harness, envelope) = (self.harness.clone(), envelope.clone());
        tokio::spawn(async move { harness.deliver(&[envelope]).await })
    }

    pub async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.database.pool).await.unwrap()
    }

    /// Every row of a table of the inbox, as text.
    pub async fn rows(&self, sql: &'static str) -> String {
        let rows: Vec<String> = sqlx::query_scalar(sql).fetch_all(&self.database.pool).await.unwrap();
        rows.join("\n")
    }
}

pub fn parsed(mail: &Delivered) -> Message<'_> {
    MessageParser::default().parse(&mail.text).unwrap()
}

pub fn text_of(mail: &Delivered) -> String {
    parsed(mail).body_text(0).unwrap().into_owned()
}

pub fn html_of(mail: &Delivered) -> String {
    parsed(mail).body_html(0).unwrap().into_owned()
}
