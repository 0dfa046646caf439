//! What must not tell whether an address has an account: the answer to the byte, the statements, the hashes, the rows.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::json;
use time::Duration;

use crate::{PASSWORD, Service, described::Answer, recording};

/// On one thread, so that every statement is seen, and with nothing but the request itself that could send one.
fn seen(test: impl AsyncFnOnce()) {
    recording::begin();
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test());
}

/// An answer but for what is each request's own.
type Bytes = (u16, BTreeMap<String, String>, String);

/// Somebody of each kind that an address may belong to; the last one is nobody's.
async fn everybody(service: &Service) -> [&'static str; 5] {
    service.make_account("verified@example.com").await;
    service.register("unverified@example.com").await.expect(202);
    let deactivated = service.person("deactivated@example.com").await;
    service.by(&deactivated, Method::POST, "/v1/me/deactivate", None).await.expect(204);
    let erased = service.person("erased@example.com").await;
    service.by(&erased, Method::DELETE, "/v1/me", None).await.expect(202);
    [
        "verified@example.com",
        "unverified@example.com",
        "deactivated@example.com",
        "erased@example.com",
        "nobody@example.com",
    ]
}

/// What a request is answered, and the statements that it sends.
async fn cost(request: impl AsyncFnOnce() -> Answer) -> (Bytes, Vec<String>) {
    recording::statements();
    let answer = request().await;
    (answer.alike(), recording::statements())
}

/// The same, and the rows that are new after it; none may be gone.
async fn trace(service: &Service, request: impl AsyncFnOnce() -> Answer) -> (Bytes, Vec<String>, Vec<String>) {
    let before = service.rows().await;
    let (answer, statements) = cost(request).await;
    let after = service.rows().await;
    assert_eq!(before.difference(&after).collect::<Vec<_>>(), Vec::<&String>::new());
    (answer, statements, after.difference(&before).cloned().collect())
}

#[test]
fn asking_for_a_mail_writes_one_row_by_one_statement_whatever_the_address_is() {
    seen(async || {
        let service = Service::start_idle().await;
        let addresses = everybody(&service).await;
        let ask = async |path: &str, email: &str| {
            trace(&service, async || service.post(path, &json!({"email": email})).await).await
        };
        for path in ["/v1/auth/password/forgot", "/v1/auth/email/resend"] {
            // Opens what connections there are to be.
            ask(path, "somebody@example.com").await;
            let mut answers = Vec::new();
            // Each twice, since what was asked for before tells no more.
            for email in addresses.iter().chain(&addresses) {
                let (answer, statements, rows) = ask(path, email).await;
                let [statement] = statements.as_slice() else { panic!("{email}: {statements:?}") };
                assert!(statement.starts_with("INSERT INTO account_requests"), "{statement}");
                let [row] = rows.as_slice() else { panic!("{email}: {rows:?}") };
                assert!(row.starts_with("account_requests: ") && row.contains(email), "{row}");
                answers.push(answer);
            }
            assert_eq!(answers[0].0, 202);
            assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        }
    });
}

#[test]
fn asking_for_another_address_costs_the_same_whosever_it_is() {
    seen(async || {
        let service = Service::start_idle().await;
        let addresses = everybody(&service).await;
        let person = service.person("ada@example.com").await;
        let ask = async |email: &str| {
            let body = json!({"email": email});
            trace(&service, async || service.by(&person, Method::POST, "/v1/me/email", Some(&body)).await).await
        };
        ask("somebody@example.com").await;
        let mut all = Vec::new();
        for email in addresses.into_iter().chain(["ada@example.com"]) {
            let (answer, statements, rows) = ask(email).await;
            // Who is asking is looked up; whose the address is, is not.
            let [standing, statement] = statements.as_slice() else { panic!("{email}: {statements:?}") };
            assert!(standing.contains("JOIN sessions s"), "{standing}");
            assert!(statement.starts_with("INSERT INTO account_requests"), "{statement}");
            let [row] = rows.as_slice() else { panic!("{email}: {rows:?}") };
            assert!(row.starts_with("account_requests: ") && row.contains(email), "{row}");
            all.push((answer, statements));
        }
        assert_eq!(all[0].0.0, 202);
        assert!(all.iter().all(|one| *one == all[0]), "{all:?}");
    });
}

#[test]
fn whoever_is_not_let_in_costs_the_same_statements_and_one_hash_whatever_the_reason() {
    seen(async || {
        let service = Service::start_idle().await;
        let [verified, unverified, deactivated, erased, nobody] = everybody(&service).await;
        for email in ["locked@example.com", "nobody-locked@example.com"] {
            if email.starts_with("locked") {
                service.make_account(email).await;
            }
            for _ in 0..10 {
                service.log_in(email, "not the password").await.expect(401);
            }
        }
        let mut all = Vec::new();
        for (email, password, reason) in [
            (nobody, PASSWORD, "unknown-address"),
            (erased, PASSWORD, "unknown-address"),
            (verified, "not the password", "wrong-password"),
            (unverified, "not the password", "wrong-password"),
            (unverified, PASSWORD, "not-verified"),
            (deactivated, "not the password", "wrong-password"),
            (deactivated, PASSWORD, "deactivated"),
            ("locked@example.com", "not the password", "locked"),
            ("locked@example.com", PASSWORD, "locked"),
            ("nobody-locked@example.com", PASSWORD, "locked"),
        ] {
            let hashes = service.hasher.computed();
            let (answer, statements) = cost(async || service.log_in(email, password).await).await;
            assert_eq!(service.hasher.computed(), hashes + 1, "{email} {reason}");
            let newest = "SELECT reason FROM security_audit_logs ORDER BY at DESC, id DESC LIMIT 1";
            let newest: String = sqlx::query_scalar(newest).fetch_one(&service.pool).await.unwrap();
            assert_eq!(newest, reason, "{email}");
            all.push((answer, statements));
        }
        assert_eq!(all[0].0.0, 401);
        // The attempt is counted with a look at the account, the entry written.
        assert_eq!(all[0].1.len(), 2, "{:?}", all[0].1);
        assert!(all.iter().all(|one| *one == all[0]), "{all:#?}");
    });
}

/// Whoever tries an address makes it known, so the first try is the only one that could tell anything.
#[test]
fn the_first_registration_of_an_address_costs_as_many_statements_as_one_whose_owner_is_told() {
    seen(async || {
        let service = Service::start_idle().await;
        service.make_account("ada@example.com").await;
        service.clock.advance(Duration::hours(2));
        let register = async |email: &str| cost(async || service.register(email).await).await;
        let (known, new) = (register("ada@example.com").await, register("bob@example.com").await);
        assert_eq!(known.0, new.0);
        assert_eq!((known.1.len(), new.1.len()), (4, 4), "{known:#?} {new:#?}");
        // Within the hour nobody is told again, whoever registered it first.
        let (known, new) = (register("ada@example.com").await, register("bob@example.com").await);
        assert_eq!(known, new);
        assert_eq!(known.1.len(), 3, "{known:#?}");
    });
}
