//! The keys of an issuer elsewhere: a new one, an issuer that is away, one that answers nonsense.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, http::StatusCode, routing::get};
use secrecy::ExposeSecret;
use service::{
    access_token::{KeySet, PublishedAt, PublishedKeys, SigningKey, TokenError, Untaken, Verifier},
    settings::Env,
};
use time::OffsetDateTime;
use tokio::{net::TcpListener, task::JoinSet, time::Duration};
use tokio_util::sync::CancellationToken;

use crate::access_tokens::{NOON, claims, verifier};

/// An issuer that answers what it is told to, and counts how often.
struct Issuer {
    answer: Arc<Mutex<(StatusCode, String)>>,
    asked: Arc<AtomicUsize>,
    url: String,
    stop: CancellationToken,
}

impl Issuer {
    async fn start() -> Self {
        let answer = Arc::new(Mutex::new((StatusCode::OK, String::new())));
        let (asked, stop) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let (told, counted) = (answer.clone(), asked.clone());
        let keys = get(async move || {
            counted.fetch_add(1, Ordering::Relaxed);
            told.lock().unwrap().clone()
        });
        let settings = service::http::HttpSettings::default();
        let app = service::http::app(Router::new().route("/keys", keys), &settings);
        tokio::spawn(service::http::serve(listener, app, settings, stop.clone(), stop.clone()));
        Self { answer, asked, url, stop }
    }

    fn publishes(&self, keys: &[&SigningKey]) {
        let set = KeySet::of(keys.iter().map(|key| key.public())).to_jwk_set();
        self.answers(StatusCode::OK, serde_json::to_string(&set).unwrap());
    }

    fn answers(&self, status: StatusCode, body: String) {
        *self.answer.lock().unwrap() = (status, body);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    fn keys(&self) -> PublishedKeys {
        let env = Env::of([("AUTH_JWKS_URL", self.url.as_str())]);
        PublishedKeys::at(PublishedAt::from_env(&env, "AUTH_JWKS_URL").unwrap()).unwrap()
    }
}

struct Reader {
    keys: PublishedKeys,
    verifier: Verifier,
}

impl Reader {
    fn of(issuer: &Issuer) -> Self {
        Self { keys: issuer.keys(), verifier: verifier() }
    }

    async fn take_at(&self, key: &SigningKey, now: OffsetDateTime) -> Result<(), Untaken> {
        let token = key.sign(&claims()).unwrap();
        self.keys.verify(&self.verifier, token.expose_secret(), now).await.map(drop)
    }

    async fn take(&self, key: &SigningKey) -> Result<(), Untaken> {
        self.take_at(key, NOON).await
    }
}

fn key() -> SigningKey {
    SigningKey::generate().unwrap().0
}

async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

const UNKNOWN: Result<(), Untaken> = Err(Untaken::Refused(TokenError::UnknownKey));

#[tokio::test]
async fn a_key_that_is_not_known_is_asked_for_at_once_and_then_no_more_often_than_in_half_a_minute() {
    let (issuer, first, second) = (Issuer::start().await, key(), key());
    let reader = Reader::of(&issuer);
    issuer.publishes(&[&first]);
    assert_eq!(reader.take(&first).await, Ok(()));
    assert_eq!(reader.take(&first).await, Ok(()));
    assert_eq!(issuer.asked(), 1);

    issuer.publishes(&[&first, &second]);
    for _ in 0..10 {
        assert_eq!(reader.take(&second).await, UNKNOWN);
        assert_eq!(reader.take(&key()).await, UNKNOWN);
    }
    assert_eq!(issuer.asked(), 1);
    pass(Duration::from_secs(30)).await;
    assert_eq!(reader.take(&second).await, Ok(()));
    assert_eq!(issuer.asked(), 2);
}

#[tokio::test]
async fn many_that_name_a_key_at_once_ask_once() {
    let (issuer, new) = (Issuer::start().await, key());
    issuer.publishes(&[&new]);
    let (reader, new) = (Arc::new(Reader::of(&issuer)), Arc::new(new));
    let mut asking = JoinSet::new();
    for _ in 0..50 {
        let (reader, new) = (reader.clone(), new.clone());
        asking.spawn(async move { reader.take(&new).await });
    }
    assert_eq!(asking.join_all().await, vec![Ok(()); 50]);
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn while_the_issuer_is_away_tokens_of_known_keys_are_taken_and_others_are_not() {
    let (issuer, known, withdrawn) = (Issuer::start().await, key(), key());
    let reader = Reader::of(&issuer);
    issuer.publishes(&[&known, &withdrawn]);
    assert_eq!(reader.take(&known).await, Ok(()));
    issuer.publishes(&[&known]);
    pass(Duration::from_secs(30)).await;
    assert_eq!(reader.take(&key()).await, UNKNOWN);
    assert_eq!(reader.take(&withdrawn).await, UNKNOWN, "it was let in before");

    issuer.stop.cancel();
    pass(Duration::from_secs(30)).await;
    assert_eq!(reader.take(&key()).await, UNKNOWN);
    assert_eq!(reader.take(&known).await, Ok(()));
    let late = reader.take_at(&known, NOON + time::Duration::minutes(11)).await;
    assert_eq!(late, Err(Untaken::Refused(TokenError::Expired)));
}

#[tokio::test]
async fn what_is_no_set_of_keys_changes_nothing() {
    let (issuer, known) = (Issuer::start().await, key());
    let reader = Reader::of(&issuer);
    issuer.answers(StatusCode::OK, "{}".to_owned());
    assert_eq!(reader.take(&known).await, Err(Untaken::NoKeys));
    assert!(!reader.keys.are_there());

    issuer.publishes(&[&known]);
    pass(Duration::from_secs(30)).await;
    assert_eq!(reader.take(&known).await, Ok(()));
    let long = format!(r#"{{"keys": [], "padding": "{}"}}"#, "x".repeat(100_000));
    for (status, body) in [
        (StatusCode::OK, "<html>"),
        (StatusCode::OK, r#"{"keys": []}"#),
        (StatusCode::OK, r#"{"keys": [{"kty": "RSA", "kid": "1"}]}"#),
        (StatusCode::OK, &long),
        (StatusCode::INTERNAL_SERVER_ERROR, r#"{"keys": []}"#),
        (StatusCode::FOUND, ""),
    ] {
        let before = issuer.asked();
        issuer.answers(status, body.to_owned());
        pass(Duration::from_secs(30)).await;
        assert_eq!(reader.take(&key()).await, UNKNOWN, "{status} {body:.30}");
        assert_eq!((issuer.asked(), reader.take(&known).await), (before + 1, Ok(())), "{status} {body:.30}");
    }
}

#[tokio::test]
async fn the_keys_are_asked_for_again_without_being_needed() {
    let (issuer, first, second) = (Issuer::start().await, key(), key());
    let (reader, soft) = (Reader::of(&issuer), CancellationToken::new());
    issuer.publishes(&[&first]);
    let keeping = tokio::spawn(reader.keys.clone().keep_fresh(soft.clone()));
    fixtures::eventually("the keys are there", async || reader.keys.are_there().then_some(())).await;
    issuer.publishes(&[&second]);
    pass(Duration::from_mins(5)).await;
    fixtures::eventually("they are read again", async || (issuer.asked() == 2).then_some(())).await;
    fixtures::eventually("the new one is known", async || reader.take(&second).await.ok()).await;
    assert_eq!(reader.take(&first).await, UNKNOWN);
    soft.cancel();
    keeping.await.unwrap().unwrap();
}
