//! `Queue` on a PGMQ queue.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use sqlx::PgPool;
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{measuring::measured, statements, waking::Waking};
use crate::{
    BusError, Counts, EntryError, MAX_BATCH_ENTRIES, MessageId, OutgoingMessage, Queue, RawMessage, Receipt,
    ReceiveRequest, check_sendable,
};

/// The guarantee behind notifications.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What is due and was not handed out is in another's hands at this moment, or on its way to the dead-letter queue.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// One statement is one COMMIT, whatever it settles: as many as a worker applies in one transaction.
const SETTLED_AT_ONCE: usize = 100;

pub struct PostgresQueue {
    name: String,
    pool: PgPool,
    woken: Arc<Notify>,
    /// Keeps the listening connection open as long as somebody may wait.
    _waking: Arc<Waking>,
}

impl PostgresQueue {
    pub(super) fn new(name: String, pool: PgPool, waking: Arc<Waking>) -> Self {
        let woken = waking.of(&name);
        Self { name, pool, woken, _waking: waking }
    }

    async fn take(&self, request: ReceiveRequest) -> Result<Vec<RawMessage>, sqlx::Error> {
        let most = request.max.clamp(1, MAX_BATCH_ENTRIES) as i32;
        let rows = sqlx::query!(
            r#"SELECT msg_id AS "msg_id!", read_ct AS "read_ct!", read_us AS "read_us!", id AS "id!", body, attributes,
                      sent_at
                 FROM bus.receive($1, $2, $3)"#,
            self.name,
            most,
            request.visibility.as_secs_f64(),
        )
        .fetch_all(&self.pool)
        .await?;
        let messages = rows.into_iter().map(|row| RawMessage {
            id: MessageId(row.id),
            receipt: Handle { msg_id: row.msg_id, read_ct: row.read_ct, read_us: row.read_us }.into(),
            body: row.body.unwrap_or_default(),
            // Put there by somebody else, attributes may be anything.
            attributes: row.attributes.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
            receive_count: row.read_ct.unsigned_abs(),
            sent_at: row.sent_at,
        });
        Ok(messages.collect())
    }

    async fn insert(&self, columns: &Columns) -> Result<Vec<MessageId>, EntryError> {
        let Columns { bodies, attributes, .. } = columns;
        let sending = sqlx::query_scalar!("SELECT bus.send($1, $2, $3)::text[]", self.name, bodies, attributes);
        let ids = measured("send", &self.name, sending.fetch_one(&self.pool))
            .await
            .map_err(|error| EntryError::unavailable("Database", error.to_string()))?;
        Ok(ids.unwrap_or_default().into_iter().map(MessageId).collect())
    }

    /// Looks until there is something, the wait is over, or `stop` says so.
    async fn wait_for_messages(
        &self,
        request: ReceiveRequest,
        stop: &CancellationToken,
    ) -> Result<Vec<RawMessage>, sqlx::Error> {
        let deadline = Instant::now() + request.wait;
        loop {
            // Registered before looking: what is sent between looking and waiting still wakes.
            let woken = self.woken.notified();
            let mut woken = std::pin::pin!(woken);
            woken.as_mut().enable();
            let messages = self.take(request).await?;
            if !messages.is_empty() || stop.is_cancelled() || Instant::now() >= deadline {
                return Ok(messages);
            }
            let next = self.next_look().await?;
            tokio::select! {
                () = woken => {}
                () = stop.cancelled() => return Ok(messages),
                () = tokio::time::sleep_until(next.min(deadline)) => {}
            }
        }
    }

    /// When to look again, unless woken before.
    async fn next_look(&self) -> Result<Instant, sqlx::Error> {
        let seconds = sqlx::query_scalar!("SELECT bus.next_visible($1)", self.name).fetch_one(&self.pool).await?;
        let visible = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or(LOOK_EVERY);
        Ok(Instant::now() + visible.clamp(LOOK_AGAIN, LOOK_EVERY))
    }

    fn error(&self, operation: &'static str, error: sqlx::Error) -> BusError {
        BusError::new(operation, &self.name, error)
    }
}

#[async_trait]
impl Queue for PostgresQueue {
    fn name(&self) -> &str {
        &self.name
    }

    fn system(&self) -> &'static str {
        "pgmq"
    }

    fn settles_at_once(&self) -> usize {
        SETTLED_AT_ONCE
    }

    async fn receive_until(
        &self,
        request: ReceiveRequest,
        stop: &CancellationToken,
    ) -> Result<Vec<RawMessage>, BusError> {
        let received = measured("receive", &self.name, self.wait_for_messages(request, stop)).await;
        received.map_err(|error| self.error("receiving", error))
    }

    async fn delete(&self, receipts: &[Receipt]) -> Vec<Result<(), EntryError>> {
        let handles: Vec<_> = receipts.iter().map(Handle::parse).collect();
        let Receipts { msg_ids, read_cts, read_us } = Receipts::of(&handles);
        let deleting =
            sqlx::query_scalar!("SELECT bus.delete($1, $2, $3, $4)", self.name, &msg_ids, &read_cts, &read_us);
        settled(&handles, measured("delete", &self.name, deleting.fetch_one(&self.pool)).await)
    }

    async fn change_visibility(&self, changes: &[(Receipt, Duration)]) -> Vec<Result<(), EntryError>> {
        let handles: Vec<_> = changes.iter().map(|(receipt, _)| Handle::parse(receipt)).collect();
        let Receipts { msg_ids, read_cts, read_us } = Receipts::of(&handles);
        let seconds: Vec<_> = handles
            .iter()
            .zip(changes)
            .filter(|(handle, _)| handle.is_some())
            .map(|(_, (_, visibility))| visibility.as_secs_f64())
            .collect();
        let updating = sqlx::query_scalar!(
            "SELECT bus.change_visibility($1, $2, $3, $4, $5)",
            self.name,
            &msg_ids,
            &read_cts,
            &read_us,
            &seconds
        );
        settled(&handles, measured("change_visibility", &self.name, updating.fetch_one(&self.pool)).await)
    }

    async fn send(&self, messages: &[OutgoingMessage]) -> Vec<Result<MessageId, EntryError>> {
        let mut results = Vec::with_capacity(messages.len());
        for range in statements(messages) {
            let columns = Columns::of(&messages[range]);
            let inserted = if columns.is_empty() { Ok(Vec::new()) } else { self.insert(&columns).await };
            results.extend(columns.results(inserted));
        }
        results
    }

    async fn counts(&self) -> Result<Counts, BusError> {
        let counted =
            sqlx::query!(r#"SELECT visible AS "visible!", in_flight AS "in_flight!" FROM bus.counts($1)"#, self.name);
        let row = measured("counts", &self.name, counted.fetch_one(&self.pool)).await;
        let row = row.map_err(|error| self.error("counting", error))?;
        Ok(Counts { visible: row.visible.unsigned_abs(), in_flight: row.in_flight.unsigned_abs() })
    }
}

impl fmt::Debug for PostgresQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresQueue").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What a receipt says: which message, and which of its deliveries.
#[derive(Debug, Clone, Copy)]
struct Handle {
    msg_id: i64,
    read_ct: i32,
    read_us: i64,
}

impl Handle {
    fn parse(receipt: &Receipt) -> Option<Self> {
        let mut parts = receipt.0.splitn(3, ':');
        let (msg_id, read_ct, read_us) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { msg_id: msg_id.parse().ok()?, read_ct: read_ct.parse().ok()?, read_us: read_us.parse().ok()? })
    }
}

impl From<Handle> for Receipt {
    fn from(handle: Handle) -> Self {
        Self(format!("{}:{}:{}", handle.msg_id, handle.read_ct, handle.read_us))
    }
}

/// Handles as columns, without those that could not be read.
struct Receipts {
    msg_ids: Vec<i64>,
    read_cts: Vec<i32>,
    read_us: Vec<i64>,
}

impl Receipts {
    fn of(handles: &[Option<Handle>]) -> Self {
        let known = || handles.iter().flatten();
        Self {
            msg_ids: known().map(|handle| handle.msg_id).collect(),
            read_cts: known().map(|handle| handle.read_ct).collect(),
            read_us: known().map(|handle| handle.read_us).collect(),
        }
    }
}

/// One result per receipt, from the answers for those that could be read.
fn settled(handles: &[Option<Handle>], answers: Result<Option<Vec<bool>>, sqlx::Error>) -> Vec<Result<(), EntryError>> {
    let mut answers = match answers {
        Ok(answers) => answers.unwrap_or_default().into_iter(),
        Err(error) => return vec![Err(EntryError::unavailable("Database", error.to_string())); handles.len()],
    };
    let gone = |code: &str| Err(EntryError::Gone { code: code.to_owned() });
    let results = handles.iter().map(|handle| match handle {
        None => gone("ReceiptIsInvalid"),
        Some(_) if answers.next() == Some(true) => Ok(()),
        Some(_) => gone("NotInFlight"),
    });
    results.collect()
}

/// Messages as columns, without those that no bus would take.
pub(super) struct Columns {
    pub bodies: Vec<String>,
    pub attributes: Vec<String>,
    refused: Vec<Option<EntryError>>,
}

impl Columns {
    pub fn of(messages: &[OutgoingMessage]) -> Self {
        let mut columns = Self { bodies: Vec::new(), attributes: Vec::new(), refused: Vec::new() };
        for message in messages {
            let checked = check_sendable(message).map_err(|error| error.to_string());
            match checked.and_then(|()| as_json(&message.attributes)) {
                Ok(attributes) => {
                    columns.bodies.push(message.body.clone());
                    columns.attributes.push(attributes);
                    columns.refused.push(None);
                }
                Err(error) => columns.refused.push(Some(EntryError::refused("InvalidParameter", error))),
            }
        }
        columns
    }

    pub fn is_empty(&self) -> bool {
        self.bodies.is_empty()
    }

    /// One result per message, at its position.
    pub fn results(self, inserted: Result<Vec<MessageId>, EntryError>) -> Vec<Result<MessageId, EntryError>> {
        let (mut ids, error) = match inserted {
            Ok(ids) => (ids.into_iter(), EntryError::unavailable("NoAnswer", "the answer does not mention the entry")),
            Err(error) => (Vec::new().into_iter(), error),
        };
        let results = self.refused.into_iter().map(|refused| match refused {
            Some(refused) => Err(refused),
            None => ids.next().ok_or_else(|| error.clone()),
        });
        results.collect()
    }
}

fn as_json(attributes: &BTreeMap<String, String>) -> Result<String, String> {
    serde_json::to_string(attributes).map_err(|error| error.to_string())
}
