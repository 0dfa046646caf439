//! What is told of products: with the change or not at all, and so that every reader ends with what is stored.

use product_service::current_state;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use schemas::{BackfillRun, Clock};
use serde_json::{Value, json};
use sqlx::Executor;
use time::Duration;

use crate::{
    Service,
    world::{path, tea},
};

#[tokio::test]
async fn a_change_whose_event_can_not_be_written_does_not_happen() {
    let service = Service::start().await;
    let id = service.product("TEA-0042").await;
    let tag = service.tag(id).await;
    let before = service.stored().await;
    service
        .pool
        .execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$;
             CREATE TRIGGER refuse BEFORE INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        .await
        .unwrap();
    let both = json!({"name": "Assam", "price": {"amountMinor": 1, "currency": "EUR"}});
    service.create(&tea("TEA-0043")).await.expect(500);
    service.change_seen(id, &tag, &both).await.expect(500);
    service.discontinue(id).await.expect(500);
    assert_eq!(service.stored().await, before);

    service.pool.execute("DROP TRIGGER refuse ON outbox").await.unwrap();
    service.create(&tea("TEA-0043")).await.expect(201);
    service.change_seen(id, &tag, &both).await.expect(200);
    service.discontinue(id).await.expect(204);
    assert_eq!(service.stored().await.1, before.1 + 4);
}

#[tokio::test]
async fn of_a_change_whose_row_can_not_be_written_nothing_is_told() {
    let service = Service::start().await;
    let id = service.product("TEA-0042").await;
    let tag = service.tag(id).await;
    let before = service.stored().await;
    service
        .pool
        .execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$;
             CREATE CONSTRAINT TRIGGER refuse AFTER INSERT OR UPDATE ON products DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        .await
        .unwrap();
    // Refused by COMMIT, after the events were written.
    service.create(&tea("TEA-0043")).await.expect(500);
    service.change_seen(id, &tag, &json!({"name": "Assam"})).await.expect(500);
    service.discontinue(id).await.expect(500);
    assert_eq!(service.stored().await, before);
}

#[tokio::test]
async fn events_go_on_with_the_trace_of_the_request() {
    let service = Service::start().await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let request = service.by_administrator(reqwest::Method::POST, "/v1/products").json(&tea("TEA-0042"));
    let added =
        service.send(request.header("traceparent", format!("00-{trace}-b7ad6b7169203331-01"))).await.expect(201);
    let events = service.envelopes_of(crate::world::id_of(&added)).await;
    let traceparent = events[0].0.traceparent.clone().unwrap();
    assert!(traceparent.starts_with(&format!("00-{trace}-")), "{traceparent}");
    assert_eq!(added.header("x-request-id"), Some(trace));
}

/// One change; each part of it may be what is there already.
#[derive(Debug, Clone)]
struct Step {
    name: Option<u8>,
    describes: Option<bool>,
    amount: Option<u8>,
    is_available: Option<bool>,
    /// What the clock does meanwhile: it may go back, too.
    milliseconds: i64,
}

impl Step {
    fn body(&self) -> Value {
        let mut body = json!({});
        if let Some(name) = self.name {
            body["name"] = json!(format!("Tea {name}"));
        }
        if let Some(describes) = self.describes {
            body["description"] = if describes { json!("Good") } else { Value::Null };
        }
        if let Some(amount) = self.amount {
            body["price"] = json!({"amountMinor": amount, "currency": "EUR"});
        }
        if let Some(is_available) = self.is_available {
            body["status"] = json!(if is_available { "available" } else { "unavailable" });
        }
        body
    }
}

fn step() -> impl Strategy<Value = Step> {
    let parts = (
        prop::option::of(0u8..3),
        prop::option::of(any::<bool>()),
        prop::option::of(0u8..3),
        prop::option::of(any::<bool>()),
        // All of them together go back less than the leeway that an access token has.
        -4_000i64..4_000,
    );
    parts.prop_map(|(name, describes, amount, is_available, milliseconds)| Step {
        name,
        describes,
        amount,
        is_available,
        milliseconds,
    })
}

/// The last writer wins, by version: whoever applies all of them in any order, and any of them more than once, ends there.
fn applied(events: &[(i64, Value)]) -> Value {
    let mut kept: Option<&(i64, Value)> = None;
    for event in events {
        if kept.is_none_or(|kept| kept.0 < event.0) {
            kept = Some(event);
        }
    }
    kept.unwrap().1.clone()
}

#[test]
fn whatever_is_done_in_whatever_order_it_is_heard_readers_end_with_what_is_stored() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let service = runtime.block_on(Service::start());
    let strategy = (prop::collection::vec(step(), 0..7), any::<bool>(), any::<u64>());
    let mut runner = TestRunner::new(Config { cases: 16, failure_persistence: None, ..Config::default() });
    let tested = runner.run(&strategy, |(steps, discontinues, seed)| {
        let (product, mut events, told) = runtime.block_on(async {
            let id = service.product(&uuid::Uuid::new_v4().to_string()).await;
            let mut told = 1;
            for step in &steps {
                service.clock.advance(Duration::milliseconds(step.milliseconds));
                let before = service.get(&path(id)).await.json();
                let after = service.change(id, &step.body()).await.expect(200).json();
                let differs = |fields: &[&str]| fields.iter().any(|field| before[*field] != after[*field]);
                told += usize::from(differs(&["name", "description", "status"])) + usize::from(differs(&["price"]));
            }
            if discontinues {
                service.discontinue(id).await.expect(204);
                told += 1;
            }
            let moved: i64 = steps.iter().map(|step| step.milliseconds).sum();
            service.clock.advance(Duration::milliseconds(-moved));
            let events = service.envelopes_of(id).await.into_iter();
            let events: Vec<_> = events.map(|(event, data)| (event.sequence.unwrap().get(), data)).collect();
            (service.get(&path(id)).await.json(), events, told)
        });
        prop_assert_eq!(events.len(), told);
        prop_assert!(events.is_sorted_by(|one, next| one.0 < next.0), "a version is told twice: {events:?}");
        for turn in 0..events.len() {
            let by_chance = |version: i64| (version as u64 ^ turn as u64).wrapping_mul(seed | 1).rotate_left(17);
            events.sort_by_key(|event| by_chance(event.0));
            events.push(events[turn].clone());
            let state = applied(&events);
            for field in ["productId", "sku", "name", "price", "status"] {
                prop_assert_eq!(&state[field], &product[field], "{}", field);
            }
            prop_assert_eq!(state.get("description").unwrap_or(&Value::Null), &product["description"]);
        }
        Ok(())
    });
    tested.unwrap();
}

#[tokio::test]
async fn what_is_told_of_now_is_what_the_last_event_of_each_product_said() {
    let service = Service::start().await;
    let [kept, changed, gone] =
        [service.product("TEA-1").await, service.product("TEA-2").await, service.product("TEA-3").await];
    let (name_and_price, tag) =
        (json!({"name": "Assam", "price": {"amountMinor": 1, "currency": "EUR"}}), service.tag(changed).await);
    service.change_seen(changed, &tag, &name_and_price).await.expect(200);
    service.discontinue(gone).await.expect(204);
    let run = BackfillRun::begin(Clock::system().now());
    let told = current_state::page(&service.pool, run, None, 10).await.unwrap();
    let last: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT ON (subject) envelope FROM outbox ORDER BY subject, envelope::jsonb ->> 'sequence' DESC",
    )
    .fetch_all(&service.pool)
    .await
    .unwrap();
    assert_eq!((told.len(), last.len()), (3, 3));
    let names = ["product.created", "product.created", "product.discontinued"];
    for (((id, events), said), name) in told.iter().zip(&last).zip(names) {
        let ([event], said) = (&events[..], serde_json::from_str::<Value>(said).unwrap()) else { panic!("{events:?}") };
        assert_eq!((event.subject.as_deref(), &*event.event_type), (Some(&*id.to_string()), name));
        let (sequence, data) = (serde_json::to_value(event.sequence).unwrap(), event.data.get());
        assert_eq!(
            (sequence, serde_json::from_str::<Value>(data).unwrap()),
            (said["sequence"].clone(), said["data"].clone())
        );
    }
    let after = current_state::page(&service.pool, run, Some(kept), 1).await.unwrap();
    assert_eq!(after.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [changed]);
    assert_eq!(after[0].1[0].id, told[1].1[0].id, "the same run sends the same events");
    assert_eq!(current_state::count_after(&service.pool, Some(changed)).await.unwrap(), 1);
}
