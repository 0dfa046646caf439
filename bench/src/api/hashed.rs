//! The endpoints that compute a hash, as those in `endpoints` that do not: what clients ask of auth-service, what they ask of the bare
//! handler, and which statements that runs, before its hash and after.

use anyhow::Context;
use hyper::StatusCode;
use schemas::{
    Clock, Envelope, Event, Header, SchemaEntry, Sequence, UserCreatedV2, UserEmailVerificationRequestedV1, event_id,
};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{
    accounts::{Account, PASSWORD},
    bare::{
        Step,
        Value::{Bytes, Float, Fresh, Freshes, Given, Hash, In, Int, Ints, Long, NoText, Now, Text, Texts, Uuid},
    },
    client::{Ask, CLIENTS, Script},
    endpoints::{IP, Pair, REQUEST_ID, TRACEPARENT, USER_AGENT, give, statement},
    service, sql,
    tokens::random_bytes,
};
use crate::statements::ACCOUNT;

/// Of each client an account of its own.
/// `stored` is their hash.
pub fn log_in(accounts: &[Account], stored: &str) -> Pair {
    let ours = accounts.iter().map(|account| Script::same(service::log_in(account, PASSWORD, StatusCode::OK)));
    let bare = accounts.iter().cloned().map(|account| {
        Script::new(move |_| {
            let Account { id, email } = &account;
            let given = [Uuid(*id), Text(email.clone()), Text(key("login", email)), Bytes(random_bytes().to_vec())];
            give("api-login", &given, StatusCode::OK)
        })
    });
    let count = vec![Given(2), Now, In(-1), Int(10), Int(100), Float(60.0), Float(900.0), Given(1)];
    let open = vec![
        Given(0),
        Given(1),
        Text(stored.to_owned()),
        Given(2),
        Fresh,
        Now,
        In(30),
        Text(IP.to_owned()),
        Text(USER_AGENT.to_owned()),
        Given(3),
        In(14),
        Fresh,
        Text("log-in".to_owned()),
        Text(REQUEST_ID.to_owned()),
    ];
    let steps = vec![
        Step::Alone(statement(sql::COUNT_ATTEMPT, count, 1)),
        Step::Hash(PASSWORD.to_owned()),
        Step::Alone(statement(sql::OPEN_SESSION, open, 1)),
    ];
    Pair { name: "api-login", ours: ours.collect(), bare: bare.collect(), steps }
}

/// Addresses that have no account.
pub fn register() -> anyhow::Result<Pair> {
    let ours = (0..CLIENTS).map(|_| {
        Script::new(|_| {
            let body = json!({ "email": new_address(), "password": PASSWORD }).to_string();
            Ok(Ask::post("/v1/auth/register", body, StatusCode::ACCEPTED))
        })
    });
    let bare = (0..CLIENTS).map(|_| {
        Script::new(|_| {
            let email = new_address();
            let counted = ["email-verification", "registration-repeated"].map(|kind| key(kind, &email));
            let given = [
                Uuid(event_id(Clock::system().now())),
                Text(email),
                Texts(counted.to_vec()),
                Bytes(random_bytes().to_vec()),
            ];
            give("api-register", &given, StatusCode::ACCEPTED)
        })
    });
    let now = Clock::system().now();
    let sequence = Sequence::after(None, now);
    let [created, letter] =
        [envelope::<UserCreatedV2>(sequence)?, envelope::<UserEmailVerificationRequestedV1>(sequence)?];
    let make = vec![
        Given(0),
        Given(1),
        Hash,
        NoText,
        NoText,
        Long(sequence.get()),
        Now,
        Text("user".to_owned()),
        Given(2),
        Fresh,
        Text("register".to_owned()),
        Text(IP.to_owned()),
        Text(USER_AGENT.to_owned()),
        Text(REQUEST_ID.to_owned()),
    ];
    let both = |of: fn(&Envelope) -> String| Texts(vec![of(&created), of(&letter)]);
    let append = vec![
        Freshes(2),
        both(|envelope| envelope.event_type.clone()),
        Ints(vec![created.schemaversion as i32, letter.schemaversion as i32]),
        both(|envelope| envelope.source.clone()),
        both(|envelope| envelope.subject.clone().unwrap_or_default()),
        Texts(vec![serde_json::to_string(&created)?, serde_json::to_string(&letter)?]),
    ];
    let steps = vec![
        Step::Hash(PASSWORD.to_owned()),
        Step::Together(vec![
            statement(ACCOUNT, make, 1),
            statement(sql::ADD_VERIFICATION, vec![Given(3), Fresh, Given(0), Given(1), Now, In(1)], 1),
            statement(sql::APPEND_EVENTS, append, 2),
        ]),
    ];
    Ok(Pair { name: "api-register", ours: ours.collect(), bare: bare.collect(), steps })
}

fn new_address() -> String {
    format!("{}@example.org", &uuid::Uuid::new_v4().simple().to_string()[..16])
}

/// As what is counted for an address is called.
fn key(kind: &str, email: &str) -> String {
    format!("{kind}:{:x}", axum::body::Bytes::from_owner(Sha256::digest(email)))
}

/// Of the first example that the catalog has of the event.
fn envelope<E: Event>(sequence: Sequence) -> anyhow::Result<Envelope> {
    let entry = SchemaEntry::newest(E::TYPE.as_str()).context("the event is in no catalog")?;
    let example = entry.examples().find(|example| example.valid).context("the event has no example")?;
    let event: E = serde_json::from_str(example.text)?;
    let now = Clock::system().now();
    let traceparent = Some(TRACEPARENT.to_owned());
    let header = Header { id: event_id(now), source: auth_service::NAME, time: now, sequence, traceparent };
    Ok(Envelope::new(&event, header)?)
}
