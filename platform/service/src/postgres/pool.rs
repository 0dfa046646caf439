//! A pool in front of the driver's.
//!
//! The driver's pool asks every connection a question before it takes it back, since it can't know how its last use ended: a
//! task and a round trip for each statement. Whoever used it does know. One who saw their last statement answered, or their
//! transaction committed, gives the connection straight back, and it is kept here for the next one. A use that failed, broke
//! off or was rolled back ends at the driver's pool as it always did, and is not over before the server says so.
//!
//! Invariant: nobody is given a connection that the driver's pool, which looks whether it is too old or gone, did not see within
//! the last second. And no more are out of it, in hand and kept together, than there are permits; so one is left for whoever
//! uses it directly, as a relay beside an API does.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use futures_util::{TryStreamExt, future::BoxFuture, stream, stream::BoxStream};
use sqlx::{
    Connection as _, Either, Execute, Executor, PgConnection, PgPool, PgTransaction, Postgres, SqlSafeStr, SqlStr,
    pool::PoolConnection,
    postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, timeout},
};

use super::settings::TRUSTED_FOR;

/// As an [`Executor`], it gives each statement a connection and has all of its rows before it gives the first. Cheap to clone;
/// clones share the connections.
#[derive(Clone)]
pub struct Pool(Arc<Inner>);

struct Inner {
    driver: PgPool,
    lent_for: Duration,
    permits: Arc<Semaphore>,
    kept: Mutex<Kept>,
}

/// What was given back, the last on top.
#[derive(Default)]
struct Kept {
    connections: Vec<Lent>,
    /// Whether a task takes from it what was lent for too long.
    is_swept: bool,
}

/// A connection of the driver's pool.
struct Lent {
    connection: PoolConnection<Postgres>,
    since: Instant,
}

/// A connection in hand. Dropped, it goes to the driver's pool, unless its last use was a transaction that was committed.
pub struct PooledConnection {
    /// There until it is dropped.
    lent: Option<Lent>,
    is_settled: bool,
    pool: Arc<Inner>,
    // Last, so that the connection is there for whoever is let in by it.
    _permit: OwnedSemaphorePermit,
}

/// Dropped without [`commit`](Self::commit), nothing happened.
pub struct Transaction<'c> {
    inner: PgTransaction<'c>,
    is_settled: &'c mut bool,
}

/// What the driver's pool always has for others, where it has more than one.
const LEFT_TO_OTHERS: usize = 1;

impl Pool {
    pub fn new(driver: PgPool) -> Self {
        Self::lent_for(TRUSTED_FOR, driver)
    }

    /// One whose connections the driver's pool sees that often.
    pub fn lent_for(lent_for: Duration, driver: PgPool) -> Self {
        let most = driver.options().get_max_connections() as usize;
        let permits = Arc::new(Semaphore::new(most.saturating_sub(LEFT_TO_OTHERS).max(1)));
        Self(Arc::new(Inner { driver, lent_for, permits, kept: Mutex::default() }))
    }

    /// Waits for one for as long as the driver's pool would. Whoever came first is served first.
    pub async fn acquire(&self) -> Result<PooledConnection, sqlx::Error> {
        let pool = &self.0;
        if pool.driver.is_closed() {
            return Err(sqlx::Error::PoolClosed);
        }
        let permit = match Arc::clone(&pool.permits).try_acquire_owned() {
            Ok(permit) => match pool.take() {
                Some(lent) => return Ok(pool.hand_out(lent, permit)),
                None => Some(permit),
            },
            Err(_) => None,
        };
        let waiting = async {
            let permit = match permit {
                Some(permit) => permit,
                None => Arc::clone(&pool.permits).acquire_owned().await.map_err(|_| sqlx::Error::PoolClosed)?,
            };
            let lent = match pool.take() {
                Some(lent) => lent,
                None => Lent { connection: pool.driver.acquire().await?, since: Instant::now() },
            };
            Ok(pool.hand_out(lent, permit))
        };
        let limit = pool.driver.options().get_acquire_timeout();
        timeout(limit, waiting).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }
}

impl Inner {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_due(&self, lent: &Lent) -> bool {
        lent.since.elapsed() >= self.lent_for
    }

    /// One that was given back; those that are due go to the driver's pool.
    fn take(&self) -> Option<Lent> {
        loop {
            let lent = self.kept().connections.pop()?;
            if !self.is_due(&lent) {
                return Some(lent);
            }
        }
    }

    fn hand_out(self: &Arc<Self>, lent: Lent, permit: OwnedSemaphorePermit) -> PooledConnection {
        PooledConnection { lent: Some(lent), is_settled: false, pool: Arc::clone(self), _permit: permit }
    }

    fn keep(self: &Arc<Self>, lent: Lent) {
        let Ok(runtime) = Handle::try_current() else { return lent.close() };
        let mut kept = self.kept();
        kept.connections.push(lent);
        if !kept.is_swept {
            kept.is_swept = true;
            runtime.spawn(sweep(Arc::downgrade(self), self.lent_for));
        }
    }

    /// Answers what is due, and whether anything is left.
    fn sweep(&self) -> (Vec<Lent>, bool) {
        let is_closed = self.driver.is_closed();
        let mut kept = self.kept();
        let due = kept.connections.extract_if(.., |lent| is_closed || self.is_due(lent)).collect();
        kept.is_swept = !kept.connections.is_empty();
        (due, kept.is_swept)
    }
}

/// Gives the driver's pool what nobody took for a while, until nothing is kept.
async fn sweep(pool: Weak<Inner>, lent_for: Duration) {
    loop {
        sleep(lent_for).await;
        let Some(pool) = pool.upgrade() else { return };
        let (due, is_more_left) = pool.sweep();
        drop(due);
        if !is_more_left {
            return;
        }
    }
}

/// The driver's pool takes back by a task, and so needs a runtime.
impl Drop for Inner {
    fn drop(&mut self) {
        if Handle::try_current().is_err() {
            let kept = self.kept.get_mut().unwrap_or_else(PoisonError::into_inner);
            kept.connections.drain(..).for_each(Lent::close);
        }
    }
}

impl Lent {
    fn close(self) {
        drop(self.connection.leak());
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("driver", &self.0.driver).finish_non_exhaustive()
    }
}

impl PooledConnection {
    /// Gives it straight back. For whoever saw what they asked for answered: what goes on, the next one would wait for, and what
    /// was begun would be theirs.
    pub fn release(mut self) {
        self.is_settled = true;
    }

    pub async fn begin(&mut self) -> Result<Transaction<'_>, sqlx::Error> {
        self.begin_with("BEGIN").await
    }

    /// Begins by a statement that does something beside it.
    pub async fn begin_with(&mut self, statement: impl SqlSafeStr) -> Result<Transaction<'_>, sqlx::Error> {
        let Self { lent, is_settled, .. } = self;
        *is_settled = false;
        let inner = in_hand(lent.as_mut()).connection.begin_with(statement).await?;
        Ok(Transaction { inner, is_settled })
    }
}

#[expect(clippy::expect_used, reason = "only dropping takes it away")]
fn in_hand<T>(lent: Option<T>) -> T {
    lent.expect("a connection in hand")
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        if let Some(lent) = self.lent.take()
            && self.is_settled
        {
            self.pool.keep(lent);
        }
    }
}

impl Deref for PooledConnection {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &in_hand(self.lent.as_ref()).connection
    }
}

impl DerefMut for PooledConnection {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.is_settled = false;
        &mut in_hand(self.lent.as_mut()).connection
    }
}

impl Transaction<'_> {
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        self.inner.commit().await?;
        *self.is_settled = true;
        Ok(())
    }
}

impl Deref for Transaction<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.inner
    }
}

impl DerefMut for Transaction<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.inner
    }
}

impl<'p> Executor<'p> for &'_ Pool {
    type Database = Postgres;

    fn execute<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<PgQueryResult, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let pool = self.clone();
        Box::pin(async move {
            let mut connection = pool.acquire().await?;
            let done = connection.execute(query).await?;
            connection.release();
            Ok(done)
        })
    }

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let pool = self.clone();
        let answers = async move {
            let mut connection = pool.acquire().await?;
            let answers: Vec<_> = connection.fetch_many(query).try_collect().await?;
            connection.release();
            Ok::<_, sqlx::Error>(stream::iter(answers.into_iter().map(Ok)))
        };
        Box::pin(stream::once(answers).try_flatten())
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let pool = self.clone();
        Box::pin(async move {
            let mut connection = pool.acquire().await?;
            let row = connection.fetch_optional(query).await?;
            connection.release();
            Ok(row)
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'p: 'e,
    {
        let pool = self.clone();
        Box::pin(async move { pool.acquire().await?.prepare_with(sql, parameters).await })
    }

    // A build without the macros' offline data has no such method to implement.
    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<sqlx::Describe<Postgres>, sqlx::Error>>
    where
        'p: 'e,
    {
        let pool = self.clone();
        Box::pin(async move { pool.acquire().await?.describe(sql).await })
    }
}
