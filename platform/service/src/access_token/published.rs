//! The keys of an issuer elsewhere, from where it publishes them.
//!
//! They are asked for again every few minutes, twice as often as the set says it may be kept; and at once when a token names
//! a key that is not among them, because it may be new. A stranger can name any key, so that is done once in half a minute,
//! whoever asks, and those who ask meanwhile wait for the same answer.
//!
//! Invariant: an issuer that is away changes nothing for tokens of keys that are known.

use std::{
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::http::{HeaderMap, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use metrics::{counter, describe_counter};
use time::OffsetDateTime;
use tokio::{
    sync::Mutex,
    time::{Instant, interval, timeout},
};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{Claims, JwkSet, KeySet, TokenError, Verifier, bearer_token, refused};
use crate::{
    ErrorChain, Problem,
    settings::{AppEnv, Env, SettingError, is_this_machine},
};

/// Where an issuer publishes its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedAt(Url);

/// The keys there. Cheap to clone; the clones share them.
#[derive(Clone)]
pub struct PublishedKeys(Arc<Shared>);

struct Shared {
    place: PublishedAt,
    address: Uri,
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    known: RwLock<Arc<KeySet>>,
    /// When they were last asked for, whatever came of it.
    asked_at: Mutex<Option<Instant>>,
    is_failing: AtomicBool,
}

/// Why a token can't be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Untaken {
    #[error(transparent)]
    Refused(#[from] TokenError),
    /// Trying again later helps.
    #[error("the keys to check tokens with were not there yet")]
    NoKeys,
}

#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error("the issuer can't be reached")]
    Unreachable(#[source] hyper_util::client::legacy::Error),
    #[error("the issuer does not answer within {} s", ANSWERS_WITHIN.as_secs())]
    Late,
    #[error("the answer is {0}")]
    Status(StatusCode),
    #[error("the answer is longer than {LONGEST} bytes")]
    TooLong,
    #[error("the answer broke off")]
    BrokeOff,
    #[error("the answer is no set of keys")]
    Malformed(#[source] serde_json::Error),
    #[error("no key of the set is one that access tokens are signed with")]
    NoKey,
}

const ASK_EVERY: Duration = Duration::from_mins(5);
/// Where nothing is known yet, and after a failure.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// When a request comes again that came before there were any.
const AGAIN_SOON: Duration = Duration::from_secs(1);
const COOL_DOWN: Duration = Duration::from_secs(30);
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
const LONGEST: usize = 64 * 1_024;

impl PublishedAt {
    /// From this variable; in development, where auth-service listens there.
    pub fn from_env(env: &Env, name: &str) -> Result<Self, SettingError> {
        let app_env = AppEnv::from_env(env)?;
        let should_be = "a URL such as https://auth.example.com/.well-known/jwks.json";
        let text = match (env.optional(name)?, app_env) {
            (Some(text), _) => text,
            (None, AppEnv::Development) => "http://127.0.0.1:3001/.well-known/jwks.json",
            (None, _) => return Err(SettingError::unset(name, should_be)),
        };
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let url = url.ok_or_else(|| SettingError::wrong(name, text, should_be))?;
        let is_here = url.host_str().is_some_and(is_this_machine);
        // Whoever can change the answer on its way can sign in as anybody.
        if app_env == AppEnv::Production && url.scheme() == "http" && !is_here {
            return Err(SettingError::wrong(name, text, "https in production, unless it is this machine"));
        }
        Ok(Self(url))
    }
}

impl PublishedKeys {
    /// Asks nobody yet: [`keep_fresh`](Self::keep_fresh) does.
    pub fn at(place: PublishedAt) -> std::io::Result<Self> {
        let connector = HttpsConnectorBuilder::new().with_native_roots()?.https_or_http().enable_http1().build();
        let address = place.0.as_str().parse().map_err(std::io::Error::other)?;
        Ok(Self(Arc::new(Shared {
            place,
            address,
            // Minutes pass between two requests: a connection that is kept would be one that was closed at the other end.
            client: Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector),
            known: RwLock::default(),
            asked_at: Mutex::default(),
            is_failing: AtomicBool::new(false),
        })))
    }

    /// Whose token it is. Where its key is not known, the issuer is asked for it.
    pub async fn verify(&self, verifier: &Verifier, token: &str, now: OffsetDateTime) -> Result<Arc<Claims>, Untaken> {
        let known = self.known();
        match verifier.verify(token, &known, now) {
            Err(TokenError::UnknownKey) => {}
            answer => return Ok(answer?),
        }
        self.ask_unless_asked_lately().await;
        let known = self.known();
        if known.is_empty() {
            return Err(Untaken::NoKeys);
        }
        Ok(verifier.verify(token, &known, now)?)
    }

    /// Whose token a request shows, if the issuer signed it for here and it is still good by itself. Who shows none, or one that
    /// is no good, is answered 401; where there are no keys yet, 503.
    pub async fn claims(
        &self,
        verifier: &Verifier,
        headers: &HeaderMap,
        now: OffsetDateTime,
    ) -> Result<Arc<Claims>, Problem> {
        let Some(token) = bearer_token(headers) else { return Err(Problem::unauthenticated(false)) };
        self.verify(verifier, token, now).await.map_err(|untaken| match untaken {
            Untaken::Refused(error) => refused(error),
            Untaken::NoKeys => Problem::unavailable(AGAIN_SOON),
        })
    }

    /// Whether there are keys to check tokens with.
    pub fn are_there(&self) -> bool {
        !self.known().is_empty()
    }

    /// Asks at once, and again every few minutes, until `soft`.
    pub async fn keep_fresh(self, soft: CancellationToken) -> Result<(), std::convert::Infallible> {
        let mut ticks = interval(ASK_AGAIN_AFTER);
        let mut due = Instant::now();
        while soft.run_until_cancelled(ticks.tick()).await.is_some() {
            if due > Instant::now() {
                continue;
            }
            let mut asked_at = self.0.asked_at.lock().await;
            let succeeded = self.ask().await;
            *asked_at = Some(Instant::now());
            due = Instant::now() + if succeeded { ASK_EVERY } else { Duration::ZERO };
        }
        Ok(())
    }

    fn known(&self) -> Arc<KeySet> {
        Arc::clone(&self.0.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whoever comes while another asks waits for that answer.
    async fn ask_unless_asked_lately(&self) {
        let mut asked_at = self.0.asked_at.lock().await;
        if asked_at.is_none_or(|asked_at| asked_at.elapsed() >= COOL_DOWN) {
            self.ask().await;
            *asked_at = Some(Instant::now());
        }
    }

    async fn ask(&self) -> bool {
        let answer = timeout(ANSWERS_WITHIN, self.read()).await.unwrap_or(Err(Unread::Late));
        let outcome = if answer.is_ok() { "read" } else { "failed" };
        counter!("published_keys_reads_total", "outcome" => outcome).increment(1);
        let was_failing = self.0.is_failing.swap(answer.is_err(), Ordering::Relaxed);
        match answer {
            Ok(keys) => {
                if was_failing {
                    tracing::info!("the keys of access tokens can be read again");
                }
                *self.0.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
                true
            }
            Err(error) => {
                // Said once, and not every few seconds.
                if !was_failing {
                    let (known, error) = (self.known().len(), ErrorChain(&error));
                    tracing::warn!(known, %error, "the keys of access tokens can't be read; those that are known stay");
                }
                false
            }
        }
    }

    async fn read(&self) -> Result<KeySet, Unread> {
        let answer = self.0.client.get(self.0.address.clone()).await.map_err(Unread::Unreachable)?;
        if answer.status() != StatusCode::OK {
            return Err(Unread::Status(answer.status()));
        }
        let body = Limited::new(answer.into_body(), LONGEST).collect().await;
        let body =
            body.map_err(|error| if error.is::<LengthLimitError>() { Unread::TooLong } else { Unread::BrokeOff })?;
        let published: JwkSet = serde_json::from_slice(&body.to_bytes()).map_err(Unread::Malformed)?;
        let keys = KeySet::read(&published);
        if keys.is_empty() { Err(Unread::NoKey) } else { Ok(keys) }
    }
}

impl fmt::Debug for PublishedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublishedKeys").field(&self.0.place).finish()
    }
}

pub(super) fn describe_metrics() {
    describe_counter!(
        "published_keys_reads_total",
        "Times that the keys of access tokens were asked for, and what came of it"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_over_tls_in_production_unless_from_this_machine() {
        let read = |app_env: &str, url: &str| {
            let env = Env::of([("APP_ENV", app_env), ("AUTH_JWKS_URL", url)]);
            PublishedAt::from_env(&env, "AUTH_JWKS_URL").map_err(|error| error.to_string())
        };
        for (app_env, url) in [
            ("development", ""),
            ("development", "http://auth:3001/.well-known/jwks.json"),
            ("production", "https://auth.example.com/.well-known/jwks.json"),
            ("production", "http://127.0.0.1:3001/.well-known/jwks.json"),
        ] {
            assert!(read(app_env, url).is_ok(), "{app_env} {url}");
        }
        let unset = read("production", "").unwrap_err();
        assert!(unset.starts_with("AUTH_JWKS_URL is not set, should be a URL such as https://"), "{unset}");
        for wrong in ["auth.example.com", "ftp://auth.example.com/keys", "http://"] {
            assert!(read("development", wrong).unwrap_err().starts_with(&format!("AUTH_JWKS_URL is `{wrong}`")));
        }
        let plain = read("production", "http://auth.example.com/keys").unwrap_err();
        assert!(plain.ends_with("should be https in production, unless it is this machine"), "{plain}");
    }
}
