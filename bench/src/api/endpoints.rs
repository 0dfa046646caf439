//! The endpoints that are measured: what clients ask of auth-service, what they ask of the bare handler, and which
//! statements that runs.

use std::sync::Arc;

use anyhow::Context;
use hyper::StatusCode;
use schemas::{Clock, Envelope, Header, Sequence, ServiceName, UserEmailVerifiedV1, event_id};
use serde_json::json;

use super::{
    accounts::{self, Account, Session},
    bare::{
        Statement, Step,
        Value::{self, Bytes, Fresh, Given, In, Int, Long, NoBytes, NoText, NoTime, NoUuid, Now, Text, Uuid},
    },
    client::{Ask, CLIENTS, Script, warm_up},
    service::{AuthService, SignedIn},
    sql,
    tokens::{EMAIL_VERIFICATION, REFRESH, random_bytes},
};
use crate::ground::Ground;

/// One endpoint, ready to be measured once.
pub struct Pair {
    pub name: &'static str,
    pub ours: Vec<Script>,
    pub bare: Vec<Script>,
    pub steps: Vec<Step>,
}

/// Who is signed in.
#[derive(Debug)]
pub struct Reader {
    pub account: Account,
    pub signed_in: SignedIn,
}

/// In the lists, of which a page has fifty.
const ACCOUNTS: usize = 100;
pub(super) const IP: &str = "10.0.0.1";
pub(super) const USER_AGENT: &str = "bench";
pub(super) const REQUEST_ID: &str = "0af7651916cd43dd8448eb211c80319c";
pub(super) const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const NO_CONTENT: StatusCode = StatusCode::NO_CONTENT;

/// Accounts of whom some are signed in, the first of them an administrator.
pub async fn readers(ground: &Ground, service: &AuthService) -> anyhow::Result<Vec<Reader>> {
    let accounts = accounts::make(&ground.auth, "reader", ACCOUNTS, true).await?;
    accounts::make_administrator(&ground.auth, accounts.first().context("there are no accounts")?).await?;
    let accounts = &accounts[..CLIENTS];
    let signed_in = service.sign_in_all(accounts).await?;
    Ok(accounts.iter().cloned().zip(signed_in).map(|(account, signed_in)| Reader { account, signed_in }).collect())
}

pub fn me(name: &'static str, readers: &[Reader], is_kept: bool) -> Pair {
    let profile =
        statement(sql::PROFILES, vec![Uuid(readers[0].account.id), NoText, NoText, NoText, NoUuid, Long(1)], 1);
    let more = if is_kept { vec![] } else { vec![profile] };
    read(name, "/v1/me", readers, more)
}

pub fn own_sessions(readers: &[Reader]) -> Pair {
    let Reader { account, signed_in } = &readers[0];
    let list = statement(sql::SESSIONS, vec![Uuid(account.id), Uuid(signed_in.session_id), Now, In(-14)], 1);
    read("api-sessions", "/v1/me/sessions", readers, vec![list])
}

pub fn users(readers: &[Reader]) -> Pair {
    let list = statement(sql::PROFILES, vec![NoUuid, NoText, NoText, NoText, NoUuid, Long(50)], 50);
    read("api-users", "/v1/admin/users", administrators(readers), vec![list])
}

pub fn audit(readers: &[Reader]) -> Pair {
    let list = statement(sql::AUDIT_TRAIL, vec![NoUuid, NoText, NoText, NoTime, NoTime, NoUuid, Long(50)], 1);
    read("api-audit", "/v1/admin/audit", administrators(readers), vec![list])
}

pub fn keys() -> Pair {
    let ask = Ask::get("/.well-known/jwks.json");
    let ours = (0..CLIENTS).map(|_| Script::same(ask.clone())).collect();
    Pair { name: "api-keys", ours, bare: bare_readers("api-keys"), steps: vec![] }
}

pub fn refresh(readers: &[Reader], sessions: Vec<Session>) -> Pair {
    let ours = readers.iter().map(|reader| {
        let first = reader.signed_in.refresh_token.clone();
        Script::new(move |last| {
            let token = match last {
                [] => first.clone(),
                last => serde_json::from_slice::<SignedIn>(last)?.refresh_token,
            };
            Ok(Ask::post("/v1/auth/refresh", json!({ "refreshToken": token }).to_string(), StatusCode::OK))
        })
    });
    let bare = sessions.into_iter().map(|session| {
        let (mut hash, mut generation) = (session.token.hash, 0);
        Script::new(move |_| {
            let next = random_bytes().to_vec();
            generation += 1;
            let given = [
                Bytes(std::mem::replace(&mut hash, next.clone())),
                Uuid(session.id),
                Uuid(session.account),
                Int(generation),
                Bytes(next),
                Bytes(random_bytes().to_vec()),
            ];
            give("api-refresh", &given, StatusCode::OK)
        })
    });
    let steps = vec![
        Step::Alone(statement(sql::KNOWN_REFRESH_TOKEN, vec![Given(0)], 1)),
        Step::Together(vec![
            statement(sql::LOCK_ACCOUNT, vec![Given(2)], 1),
            statement(sql::SHOWN_SESSION, vec![Given(0)], 1),
            statement(sql::SHOWN_TOKEN, vec![Given(0)], 1),
            statement(sql::ADD_REFRESH_TOKEN, vec![Given(4), Given(1), Given(3), Now, In(14)], 1),
            statement(sql::USE_REFRESH_TOKEN, vec![Given(0), Given(4), Now, Given(5)], 1),
            statement(sql::TOUCH_SESSION, vec![Given(1), Now], 1),
            statement(sql::ROLES, vec![Given(2)], 1),
        ]),
    ];
    Pair { name: "api-refresh", ours: ours.collect(), bare: bare.collect(), steps }
}

/// Needs [`asked`] sessions for each side: each is ended once.
pub fn log_out(ours: &[Session], bare: &[Session]) -> Pair {
    let ask = |session: &Session| {
        let body = json!({ "refreshToken": session.token.text }).to_string();
        Ok(Ask::post("/v1/auth/logout", body, NO_CONTENT))
    };
    let bare_ask = |session: &Session| {
        let given = [Bytes(session.token.hash.clone()), Uuid(session.id), Uuid(session.account)];
        give("api-logout", &given, NO_CONTENT)
    };
    let steps = vec![Step::Together(vec![
        statement(sql::SESSION_OF_REFRESH_TOKEN, vec![Given(0)], 1),
        statement(sql::LOCK_ACCOUNT, vec![Given(2)], 1),
        statement(sql::END_SESSIONS, vec![Given(2), Given(1), Now, Text("log-out".to_owned())], 1),
        entry("log-out", Given(2)),
    ])];
    Pair { name: "api-logout", ours: shared_out(ours, ask), bare: shared_out(bare, bare_ask), steps }
}

/// Needs [`asked`] accounts for each side that are not verified.
pub async fn verify(ground: &Ground, ours: &[Account], bare: &[Account]) -> anyhow::Result<Pair> {
    let tokens = accounts::ask_for_verification(&ground.auth, ours, EMAIL_VERIFICATION).await?;
    let ask = |token: &super::tokens::Token| {
        Ok(Ask::post("/v1/auth/email/verify", json!({ "token": token.text }).to_string(), NO_CONTENT))
    };
    let bare_tokens = accounts::ask_for_verification(&ground.auth, bare, EMAIL_VERIFICATION).await?;
    let bare: Vec<_> = bare.iter().zip(bare_tokens).collect();
    let bare_ask = |(account, token): &(&Account, super::tokens::Token)| {
        give("api-verify", &[Bytes(token.hash.clone()), Uuid(account.id)], NO_CONTENT)
    };
    let now = Clock::system().now();
    let sequence = Sequence::after(Some(Sequence::after(None, now)), now);
    let some = ours.first().context("there are no accounts")?;
    let event = UserEmailVerifiedV1 {
        user_id: some.id,
        email: some.email.clone().try_into().context("an address for a benchmark")?,
        timestamp: now,
        source: ServiceName::AUTH_SERVICE,
        email_verified: true,
    };
    let traceparent = Some(TRACEPARENT.to_owned());
    let header = Header { id: event_id(now), source: auth_service::NAME, time: now, sequence, traceparent };
    let envelope = Envelope::new(&event, header)?;
    let steps = vec![Step::Together(vec![
        statement(sql::OWNER_OF_VERIFICATION, vec![Given(0)], 1),
        statement(sql::LOCK_ACCOUNT, vec![Given(1)], 1),
        statement(sql::USE_VERIFICATION, vec![Given(0), Now], 1),
        statement(sql::MARK_VERIFIED, vec![Given(1), Now], 1),
        statement(sql::RAISE_SEQUENCE, vec![Given(1), Long(sequence.get()), Now], 1),
        statement(
            sql::APPEND_EVENT,
            vec![
                Fresh,
                Text(envelope.event_type.clone()),
                Int(envelope.schemaversion as i32),
                Text(envelope.source.clone()),
                Text(envelope.subject.clone().unwrap_or_default()),
                Text(serde_json::to_string(&envelope)?),
                NoTime,
            ],
            1,
        ),
        entry("verify-email", Given(1)),
    ])];
    Ok(Pair { name: "api-verify", ours: shared_out(&tokens, ask), bare: shared_out(&bare, bare_ask), steps })
}

/// Addresses that have no account.
pub fn forgot() -> Pair {
    let ours = (0..CLIENTS).map(|client| {
        let mut number = 0;
        Script::new(move |_| {
            number += 1;
            let body = json!({ "email": format!("nobody-{client}-{number}@example.org") }).to_string();
            Ok(Ask::post("/v1/auth/password/forgot", body, StatusCode::ACCEPTED))
        })
    });
    let bare = (0..CLIENTS).map(|client| {
        let mut number = 0;
        Script::new(move |_| {
            number += 1;
            give("api-forgot", &[Text(format!("nobody-{client}-{number}@example.com"))], StatusCode::ACCEPTED)
        })
    });
    let values = vec![
        Fresh,
        Text("password-reset".to_owned()),
        Given(0),
        NoUuid,
        Text(TRACEPARENT.to_owned()),
        Text(REQUEST_ID.to_owned()),
        Text(IP.to_owned()),
        Text(USER_AGENT.to_owned()),
        Now,
    ];
    let steps = vec![Step::Alone(statement(sql::ASK, values, 1))];
    Pair { name: "api-forgot", ours: ours.collect(), bare: bare.collect(), steps }
}

/// How many a side asks in all where each client asks so many that are counted: also the first, for the answer's length.
pub const fn asked(each: usize) -> usize {
    CLIENTS * (each + warm_up(each) + 1)
}

/// What is asked of the bare handler that only reads.
pub(super) fn bare_readers(name: &str) -> Vec<Script> {
    (0..CLIENTS).map(|_| Script::same(Ask::get(&format!("/{name}")))).collect()
}

fn read(name: &'static str, path: &str, readers: &[Reader], more: Vec<Statement>) -> Pair {
    let Reader { account, signed_in } = &readers[0];
    let standing = statement(sql::STANDING, vec![Uuid(account.id), Uuid(signed_in.session_id), Now], 1);
    let steps = std::iter::once(standing).chain(more).map(Step::Alone).collect();
    let asks = readers.iter().map(|reader| Ask::get(path).by(&reader.signed_in.access_token));
    let ours = asks.cycle().take(CLIENTS).map(Script::same).collect();
    Pair { name, ours, bare: bare_readers(name), steps }
}

fn administrators(readers: &[Reader]) -> &[Reader] {
    &readers[..1]
}

/// Each of these once, a share for each client.
fn shared_out<T>(all: &[T], ask: impl Fn(&T) -> anyhow::Result<Ask>) -> Vec<Script> {
    let share = all.len() / CLIENTS;
    let script = |some: &[T]| {
        let mut asks = some.iter().map(&ask).collect::<Vec<_>>().into_iter();
        Script::new(move |_| asks.next().context("more is asked than there is")?)
    };
    all.chunks(share).take(CLIENTS).map(script).collect()
}

pub(super) fn give(name: &str, given: &[Value], expected: StatusCode) -> anyhow::Result<Ask> {
    Ok(Ask::post(&format!("/{name}"), serde_json::to_vec(given)?, expected))
}

pub(super) fn statement(sql: &str, values: Vec<Value>, rows: u64) -> Statement {
    Statement { sql: Arc::from(sql), values, rows }
}

/// In the audit trail.
fn entry(action: &str, subject: Value) -> Statement {
    let values = vec![
        Fresh,
        Now,
        Text(action.to_owned()),
        Text("success".to_owned()),
        NoText,
        NoUuid,
        subject,
        NoBytes,
        Text(IP.to_owned()),
        Text(USER_AGENT.to_owned()),
        Text(REQUEST_ID.to_owned()),
    ];
    statement(sql::AUDIT, values, 1)
}

/// For both sides of [`refresh`] and [`log_out`].
pub async fn sessions(ground: &Ground, accounts: &[Account]) -> anyhow::Result<Vec<Session>> {
    accounts::open_sessions(&ground.auth, accounts, REFRESH).await
}
