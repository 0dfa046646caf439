use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};

use fixtures::{TestBus, eventually};
use messaging::{EntryError, OutgoingMessage, Queue, QueueSettings, ReceiveRequest, Subscriber, Topology};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

messaging::conformance_suite!(fixtures::embedded_bus());

const HIDDEN: Duration = Duration::from_secs(600);

async fn queue(max_receive_count: u32) -> (Arc<dyn Queue>, Arc<dyn Queue>) {
    let settings = QueueSettings { max_receive_count, ..QueueSettings::DEFAULT };
    fixtures::embedded_bus().await.subscribe("reader", &[], settings).await
}

fn messages(count: usize) -> Vec<OutgoingMessage> {
    (0..count).map(|n| OutgoingMessage { body: format!("m{n}"), ..OutgoingMessage::default() }).collect()
}

/// As SQS (`MessageNotInflight`), and unlike LocalStack, which is why the suite doesn't say so.
#[tokio::test]
async fn a_lease_that_ran_out_can_not_be_extended() {
    let (queue, _) = queue(20).await;
    queue.send(&messages(1)).await[0].as_ref().unwrap();
    let request = ReceiveRequest { max: 1, wait: Duration::ZERO, visibility: Duration::ZERO };
    let held = queue.receive(request).await.unwrap().remove(0);
    let extended = queue.change_visibility(&[(held.receipt, HIDDEN)]).await;
    assert!(matches!(extended.as_slice(), [Err(EntryError::Gone { .. })]), "{extended:?}");
    assert_eq!(queue.receive(request).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_waiting_receive_ends_when_it_is_told_to_with_what_is_there() {
    let (queue, _) = queue(20).await;
    let request = ReceiveRequest { max: 10, wait: Duration::from_secs(20), visibility: HIDDEN };
    let stop = CancellationToken::new();
    let asked = Instant::now();
    let (received, ()) = tokio::join!(queue.receive_until(request, &stop), async { stop.cancel() });
    assert!(received.unwrap().is_empty());
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());

    // What is there is handed out all the same: a stopped poll loses nothing.
    queue.send(&messages(1)).await[0].as_ref().unwrap();
    assert_eq!(queue.receive_until(request, &stop).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_and_crashed_readers_of_one_queue_share_its_messages_and_lose_none() {
    const COUNT: usize = 1_000;
    let (queue, dead_letters) = queue(1_000).await;
    assert!(queue.send(&messages(COUNT)).await.iter().all(Result::is_ok));
    let mut readers = JoinSet::new();
    for reader in 0..6 {
        let queue = queue.clone();
        readers.spawn(async move {
            let mut seen = Vec::new();
            for round in 0.. {
                // Every third poll is one whose reader dies with what it received.
                let dies = (round + reader) % 3 == 0;
                let visibility = if dies { Duration::from_secs(1) } else { HIDDEN };
                let request = ReceiveRequest { max: 10, wait: Duration::from_secs(3), visibility };
                let received = queue.receive(request).await.unwrap();
                if received.is_empty() {
                    return seen;
                }
                if dies {
                    continue;
                }
                let receipts: Vec<_> = received.iter().map(|message| message.receipt.clone()).collect();
                let deleted = queue.delete(&receipts).await;
                assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
                seen.extend(received.into_iter().map(|message| message.id));
            }
            seen
        });
    }
    let seen = readers.join_all().await.concat();
    assert_eq!(seen.len(), COUNT, "each message is settled by one reader");
    assert_eq!(seen.into_iter().collect::<HashSet<_>>().len(), COUNT);
    for queue in [queue, dead_letters] {
        let counts = queue.counts().await.unwrap();
        assert_eq!(counts.visible + counts.in_flight, 0);
    }
}

async fn connect(test: &TestBus) -> PgConnection {
    let (_, url) = test.environment.iter().find(|(name, _)| *name == "BUS_DATABASE_URL").unwrap();
    PgConnection::connect(url).await.unwrap()
}

/// Counts how often receives found nothing, by standing before the function that they then call.
struct Looks(PgConnection);

impl Looks {
    async fn count(test: &TestBus) -> Self {
        let mut connection = connect(test).await;
        let counting = "CREATE SEQUENCE bus.looks MINVALUE 0 START 0;
             SELECT nextval('bus.looks');
             ALTER FUNCTION bus.next_visible(text) RENAME TO really_next_visible;
             CREATE FUNCTION bus.next_visible(queue_name text) RETURNS double precision LANGUAGE sql AS
                 $$ SELECT nextval('bus.looks'); SELECT bus.really_next_visible(queue_name) $$";
        connection.execute(counting).await.unwrap();
        Self(connection)
    }

    async fn so_far(&mut self) -> i64 {
        sqlx::query_scalar("SELECT last_value FROM bus.looks").fetch_one(&mut self.0).await.unwrap()
    }
}

#[tokio::test]
async fn a_receive_that_waits_asks_little_of_the_server() {
    let test = fixtures::embedded_bus().await;
    let (queue, _) = test.subscribe("reader", &[], QueueSettings::DEFAULT).await;
    let mut looks = Looks::count(&test).await;
    let request = ReceiveRequest { max: 10, wait: Duration::from_secs(5), visibility: HIDDEN };
    assert!(queue.receive(request).await.unwrap().is_empty());
    // One a second, and what wakes it when listening begins.
    let looks = looks.so_far().await;
    assert!((3..12).contains(&looks), "{looks} looks in 5 s of waiting");
}

/// Were it not for notifications, each would wait for the second between two looks.
#[tokio::test]
async fn receives_are_woken_by_notifications_and_not_by_looking() {
    let test = fixtures::embedded_bus().await;
    let (queue, _) = test.subscribe("reader", &[], QueueSettings::DEFAULT).await;
    let mut looks = Looks::count(&test).await;
    let request = ReceiveRequest { max: 10, wait: Duration::from_secs(20), visibility: HIDDEN };
    let mut waited = Duration::ZERO;
    for _ in 0..20 {
        let before = looks.so_far().await;
        let waiting = tokio::spawn({
            let queue = queue.clone();
            async move { queue.receive(request).await.unwrap().len() }
        });
        eventually("it has looked, and found nothing", async || (looks.so_far().await > before).then_some(())).await;
        let sent = Instant::now();
        queue.send(&messages(1)).await[0].as_ref().unwrap();
        assert_eq!(waiting.await.unwrap(), 1);
        waited += sent.elapsed();
    }
    assert!(waited < Duration::from_secs(10), "{waited:?} for 20 messages");
}

#[tokio::test]
async fn a_queue_whose_table_is_gone_is_missed_and_made_again() {
    let test = fixtures::embedded_bus().await;
    let subscriber =
        Subscriber { consumer: "reader".to_owned(), events: BTreeSet::new(), settings: QueueSettings::DEFAULT };
    let topology = Topology { subscribers: vec![subscriber], ..Topology::default() };
    test.bus.apply(&topology).await.unwrap();
    let name = format!("{}reader", test.prefix);
    sqlx::query("SELECT pgmq.drop_queue($1)").bind(&name).execute(&mut connect(&test).await).await.unwrap();

    let differences = test.bus.verify(&topology).await.unwrap();
    assert_eq!(differences.len(), 1, "{differences:?}");
    assert_eq!(differences[0].resource, format!("queue {name}"));
    test.bus.apply(&topology).await.unwrap();
    assert_eq!(test.bus.verify(&topology).await.unwrap(), []);
    test.queue("reader").await.send(&messages(1)).await[0].as_ref().unwrap();
}

/// A crash of the server may take back what was not on disk yet: the count of a delivery, and with it the receipt.
#[tokio::test]
async fn a_receipt_from_before_a_crash_does_not_settle_the_delivery_after_it() {
    let test = fixtures::embedded_bus().await;
    let (queue, _) = test.subscribe("reader", &[], QueueSettings::DEFAULT).await;
    queue.send(&messages(1)).await[0].as_ref().unwrap();
    let request = ReceiveRequest { max: 1, wait: Duration::ZERO, visibility: HIDDEN };
    let before = queue.receive(request).await.unwrap().remove(0);
    let taken_back =
        format!("UPDATE pgmq.\"q_{}reader\" SET read_ct = 0, last_read_at = NULL, vt = now()", test.prefix);
    connect(&test).await.execute(AssertSqlSafe(taken_back)).await.unwrap();

    let after = queue.receive(request).await.unwrap().remove(0);
    assert_eq!(after.receive_count, before.receive_count);
    let late = queue.change_visibility(&[(before.receipt.clone(), Duration::ZERO)]).await;
    assert!(matches!(late.as_slice(), [Err(EntryError::Gone { .. })]), "{late:?}");
    assert!(matches!(queue.delete(&[before.receipt]).await.as_slice(), [Err(EntryError::Gone { .. })]));
    assert_eq!(queue.delete(&[after.receipt]).await, [Ok(())]);
}
