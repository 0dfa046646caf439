//! A write and an erasure at the same moment: whichever is first, nothing of the user is left.

use std::pin::pin;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::{
    Service,
    described::Answer,
    world::{Person, card, home},
};

const WRITES: [&str; 5] = ["address", "payment method", "preferences", "wish", "name"];

async fn write(service: &Service, person: &Person, what: &str) -> Answer {
    let preferences = json!({
        "locale": "de", "currency": "CHF", "timeZone": "Europe/Zurich", "marketingEmails": true, "priceDropEmails": true,
    });
    match what {
        "address" => service.post(person, "/v1/me/addresses", &home()).await,
        "payment method" => service.post(person, "/v1/me/payment-methods", &card()).await,
        "preferences" => service.change(person, Method::PUT, "/v1/me/preferences", "*", &preferences).await,
        "wish" => service.wish(person, Uuid::new_v4()).await,
        _ => service.change(person, Method::PATCH, "/v1/me/profile", "*", &json!({"displayName": "Countess"})).await,
    }
}

/// Makes whoever writes into these tables wait, with all that they hold, as long as `gate` is held. However long that is: a
/// worker's transaction waits for five seconds elsewhere, and would begin again, behind whoever came meanwhile.
async fn build_gate(service: &Service, tables: &[(&str, &str)]) {
    service
        .execute(
            "CREATE FUNCTION pass_gate() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS
             $$ BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NULL; END $$",
        )
        .await;
    for (table, events) in tables {
        service
            .execute(&format!(
                "CREATE TRIGGER pass_gate AFTER {events} ON {table} FOR EACH ROW EXECUTE FUNCTION pass_gate()"
            ))
            .await;
    }
}

struct Gate(PgConnection);

impl Gate {
    async fn shut(service: &Service) -> Self {
        let options = service.pool.connect_options();
        let mut connection = PgConnection::connect_with(&options).await.unwrap();
        sqlx::query("SELECT pg_advisory_lock(7)").execute(&mut connection).await.unwrap();
        Self(connection)
    }

    async fn open(mut self) {
        sqlx::query("SELECT pg_advisory_unlock_all()").execute(&mut self.0).await.unwrap();
        self.0.close().await.unwrap();
    }
}

/// Only the tombstone, with nothing in it.
async fn assert_nothing_is_left(service: &Service, person: &Person, what: &str) {
    let rows: Vec<_> = service.written().await.into_iter().filter(|row| row.contains(&person.id.to_string())).collect();
    assert!(matches!(rows.as_slice(), [row] if row.starts_with("user_profiles")), "{what}: {rows:?}");
    let tombstone: Value = sqlx::query_scalar("SELECT to_jsonb(p) FROM user_profiles p WHERE user_id = $1")
        .bind(person.id)
        .fetch_one(&service.pool)
        .await
        .unwrap();
    assert_eq!(tombstone["status"], "deleted", "{what}");
    assert_eq!((&tombstone["display_name"], &tombstone["edit_version"]), (&Value::Null, &json!(0)), "{what}");
    let page = service.get(person, "/v1/me/addresses").await;
    assert_eq!(page.expect(410).problem(), "account-erased", "{what}");
}

#[tokio::test]
async fn what_is_written_just_before_an_erasure_is_erased_with_the_rest() {
    let service = Service::start().await;
    let tables = [
        ("addresses", "INSERT"),
        ("payment_methods", "INSERT"),
        ("user_preferences", "INSERT"),
        ("wishlist_items", "INSERT"),
        ("user_profiles", "UPDATE OF edit_version"),
    ];
    build_gate(&service, &tables).await;
    for what in WRITES {
        for person in [service.person().await, service.stranger()] {
            // An erasure sets that column as well; it gets as far as that when the write is through.
            let gate = Gate::shut(&service).await;
            let erase = async {
                service.until_waiting(1).await;
                service.erase(person.id).await;
            };
            let release = async {
                service.until_waiting(2).await;
                gate.open().await;
            };
            let (answer, (), ()) = tokio::join!(write(&service, &person, what), erase, release);
            assert!(matches!(answer.status, 200 | 201), "{what}: {answer:?}");
            assert_nothing_is_left(&service, &person, what).await;
        }
    }
}

#[tokio::test]
async fn what_is_written_just_after_an_erasure_is_refused() {
    let service = Service::start().await;
    build_gate(&service, &[("outbox", "INSERT")]).await;
    for what in WRITES {
        for person in [service.person().await, service.stranger()] {
            let gate = Gate::shut(&service).await;
            // It was let in when nothing was heard of the erasure yet.
            let late = async {
                service.until_waiting(1).await;
                let mut late = pin!(write(&service, &person, what));
                tokio::select! {
                    answer = &mut late => panic!("{what}: answered beside the erasure: {answer:?}"),
                    () = service.until_waiting(2) => gate.open().await,
                }
                late.await
            };
            let (answer, ()) = tokio::join!(late, service.erase(person.id));
            assert_eq!(answer.expect(410).problem(), "account-erased", "{what}");
            assert_nothing_is_left(&service, &person, what).await;
        }
    }
}

/// Its status and its token's version are asked again under the lock.
#[tokio::test]
async fn who_was_let_in_and_is_deactivated_meanwhile_writes_nothing() {
    let service = Service::start().await;
    for (revokes, status, kind) in [(false, 403, "account-deactivated"), (true, 401, "unauthenticated")] {
        for what in WRITES {
            let person = service.person().await;
            let before = service.written().await;
            let mut event = service.pool.begin().await.unwrap();
            let change = match revokes {
                true => "UPDATE user_profiles SET min_token_version = 2 WHERE user_id = $1",
                false => "UPDATE user_profiles SET status = 'deactivated' WHERE user_id = $1",
            };
            sqlx::query(change).bind(person.id).execute(&mut *event).await.unwrap();
            let release = async {
                service.until_waiting(1).await;
                event.commit().await.unwrap();
            };
            let (answer, ()) = tokio::join!(write(&service, &person, what), release);
            assert_eq!((answer.status, answer.problem().as_str()), (status, kind), "{what}");
            let others = |rows: Vec<String>| -> Vec<String> {
                rows.into_iter().filter(|row| !row.starts_with("user_profiles")).collect()
            };
            assert_eq!(others(service.written().await), others(before), "{what}");
        }
    }
}
