use messaging::{TooLarge, Unsendable};
use outbox::{AppendError, append, append_all};
use schemas::Envelope;
use serde_json::value::to_raw_value;

use crate::{
    buses::Bus,
    world::{Outbox, event, id, outbox, outbox_without_weeks, settings},
};

const MAX_BYTES: usize = 256 * 1024;

/// Names, types and values of the attributes: `type`, `schemaversion`, `source`.
const ATTRIBUTE_BYTES: usize = (4 + 6 + "user.created".len()) + (13 + 6 + "1".len()) + (6 + 6 + "auth-service".len());

/// An event whose body has that many bytes.
fn event_of(bytes: usize) -> Envelope {
    let empty = Envelope { data: to_raw_value("").unwrap(), ..event() };
    let padding = bytes - serde_json::to_string(&empty).unwrap().len();
    Envelope { data: to_raw_value(&"x".repeat(padding)).unwrap(), ..empty }
}

/// Appends in a transaction that commits all the same, along with another event.
async fn refusal(outbox: &Outbox, refused: &Envelope) -> AppendError {
    let mut tx = outbox.pool().begin().await.unwrap();
    let error = append(&mut tx, refused).await.unwrap_err();
    append(&mut tx, &event()).await.unwrap();
    tx.commit().await.unwrap();
    error
}

#[tokio::test]
async fn an_event_that_the_bus_would_refuse_is_refused_and_leaves_no_row() {
    let outbox = outbox().await;

    let bytes = MAX_BYTES + 1;
    let error = refusal(&outbox, &event_of(bytes - ATTRIBUTE_BYTES)).await;
    let AppendError::Unsendable(error) = error else { panic!("{error:?}") };
    assert_eq!(error, Unsendable::TooLarge(TooLarge { bytes }));

    let forbidden = Envelope { data: to_raw_value("not\u{ffff}this").unwrap(), ..event() };
    let error = refusal(&outbox, &forbidden).await;
    let AppendError::Unsendable(error) = error else { panic!("{error:?}") };
    assert_eq!(error, Unsendable::Character { character: '\u{ffff}' });

    let error = refusal(&outbox, &Envelope { source: String::new(), ..event() }).await;
    let AppendError::Unsendable(error) = error else { panic!("{error:?}") };
    assert_eq!(error, Unsendable::Empty { part: "the attribute `source`".to_owned() });

    assert_eq!(outbox.count("true").await, 3, "only the other events have rows");
}

#[tokio::test]
async fn many_events_are_appended_at_once_as_each_would_be_or_none_is() {
    let outbox = outbox().await;
    let events: Vec<_> = (0..1_500).map(|_| event()).collect();
    let mut tx = outbox.pool().begin().await.unwrap();
    append_all(&mut tx, &[]).await.unwrap();
    append_all(&mut tx, &events[1..]).await.unwrap();
    append(&mut tx, &events[0]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(outbox.count("status = 'pending' AND not_before IS NULL AND due_at <= now()").await, 1_500);
    let same = "SELECT count(*) FROM outbox
                 WHERE event_id::text = envelope::jsonb ->> 'id' AND event_type = envelope::jsonb ->> 'type'
                   AND schema_version::text = envelope::jsonb ->> 'schemaversion'
                   AND source = envelope::jsonb ->> 'source' AND subject = envelope::jsonb ->> 'subject'";
    let same: i64 = sqlx::query_scalar(same).fetch_one(outbox.pool()).await.unwrap();
    assert_eq!(same, 1_500, "a row says what its envelope says");

    let bytes = MAX_BYTES + 1;
    let mut tx = outbox.pool().begin().await.unwrap();
    let refused = append_all(&mut tx, &[event(), event_of(bytes - ATTRIBUTE_BYTES), event()]).await.unwrap_err();
    assert!(matches!(refused, AppendError::Unsendable(Unsendable::TooLarge(_))), "{refused:?}");
    tx.commit().await.unwrap();
    assert_eq!(outbox.count("true").await, 1_500);
}

#[tokio::test]
async fn an_id_that_is_no_uuid_v7_is_refused_and_leaves_no_row() {
    let outbox = outbox().await;
    for bad in ["order-17", "", "9b2f8a4e-6c1d-4f6e-8a57-0d5b9c3e7f21", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"] {
        let error = refusal(&outbox, &Envelope { id: bad.to_owned(), ..event() }).await;
        assert!(matches!(&error, AppendError::Id(id) if id == bad), "{bad}: {error:?}");
    }
    assert_eq!(outbox.count("true").await, 4, "only the other events have rows");
}

#[tokio::test]
async fn the_largest_event_that_fits_is_appended_and_published() {
    let outbox = outbox().await;
    let largest = event_of(MAX_BYTES - ATTRIBUTE_BYTES);
    outbox.commit(std::slice::from_ref(&largest)).await;
    let bus = Bus::open();
    assert_eq!(outbox.relay(&bus, settings()).relay_once().await.unwrap().published, 1);
    assert_eq!(bus.delivered()[0].1.body.len(), MAX_BYTES - ATTRIBUTE_BYTES);
}

#[tokio::test]
async fn an_event_without_a_week_fails_the_callers_transaction() {
    let outbox = outbox_without_weeks().await;
    let mut tx = outbox.pool().begin().await.unwrap();
    let error = append(&mut tx, &event()).await.unwrap_err();
    let AppendError::Database(sqlx::Error::Database(error)) = error else { panic!("{error:?}") };
    assert_eq!(error.code().as_deref(), Some("23514"), "{error}");
}

#[tokio::test]
async fn the_same_event_is_appended_once() {
    let outbox = outbox().await;
    let event = event();
    outbox.commit(std::slice::from_ref(&event)).await;
    let mut tx = outbox.pool().begin().await.unwrap();
    let error = append(&mut tx, &event).await.unwrap_err();
    assert!(matches!(&error, AppendError::Database(sqlx::Error::Database(error)) if error.is_unique_violation()));
    tx.rollback().await.unwrap();
    assert_eq!(outbox.row(id(&event)).await.status, "pending");
}
