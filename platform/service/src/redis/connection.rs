use std::{
    fmt, io,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use redis::{
    AsyncConnectionConfig, Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult, ServerErrorKind, Value,
    aio::MultiplexedConnection, from_redis_value,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    RedisSettings, Script,
    together::{Asking, Hurry},
};
use crate::{ErrorChain, health::Condition};

/// So many failures in a row, and the connection is dropped: one slow answer is no outage.
const FAILURES: u32 = 3;
/// How long making a connection may take; nobody's request waits for it.
const CONNECT_DEADLINE: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// A connection that was lost sooner than this was none: the next one is waited for longer.
const LASTING: Duration = Duration::from_secs(5);

/// There is no answer from Redis now. What is done instead is the caller's to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Redis is away")]
pub struct Away;

/// A connection that all requests share, while there is one. Cheap to clone.
#[derive(Clone)]
pub struct Redis(Arc<Shared>);

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Redis").field(&self.0.settings).finish()
    }
}

struct Shared {
    settings: RedisSettings,
    current: RwLock<Option<Current>>,
    lost: Notify,
}

#[derive(Clone)]
struct Current {
    asking: Asking,
    failures: Arc<AtomicU32>,
}

impl Redis {
    /// Tries once to connect. Where that fails it is away, until [`Self::keep`] finds it.
    pub async fn connect(settings: RedisSettings) -> Self {
        let redis = Self(Arc::new(Shared { settings, current: RwLock::new(None), lost: Notify::new() }));
        match redis.try_connect().await {
            Ok(connection) => redis.take_up(connection),
            Err(error) => {
                let place = &redis.0.settings;
                tracing::warn!(%place, error = %ErrorChain(&error), "Redis is away: going on without it");
                gauge!("redis_up").set(0.0);
            }
        }
        redis
    }

    /// Looks for Redis whenever it is away. To be run as long as the process lives.
    pub async fn keep(self, soft: CancellationToken) {
        let mut pause = FIRST_PAUSE;
        let keeping = async {
            loop {
                if self.current().is_some() {
                    let begun = Instant::now();
                    self.0.lost.notified().await;
                    if begun.elapsed() > LASTING {
                        pause = FIRST_PAUSE;
                    }
                    continue;
                }
                match self.try_connect().await {
                    Ok(connection) => {
                        tracing::info!(place = %self.0.settings, "Redis is there again");
                        self.take_up(connection);
                    }
                    Err(error) => tracing::debug!(error = %ErrorChain(&error), "Redis is still away"),
                }
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        };
        soft.run_until_cancelled(keeping).await;
    }

    /// One command. `call` names it in metrics.
    pub async fn ask<T: FromRedisValue>(&self, call: &'static str, command: &Cmd) -> Result<T, Away> {
        let current = self.current().ok_or(Away)?;
        self.within_deadline(call, &current, async { read(current.asking.ask(command.clone(), Hurry::Now).await) })
            .await
    }

    /// One script, as [`Script::with`] has it. It is sent whole only where Redis has not seen it yet.
    pub async fn run<T: FromRedisValue>(&self, call: &'static str, script: &Script, command: &Cmd) -> Result<T, Away> {
        let current = self.current().ok_or(Away)?;
        let asking = &current.asking;
        let answer = async {
            match asking.ask(command.clone(), Hurry::Now).await {
                Some(Err(error)) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                    read::<String>(asking.ask(script.load(), Hurry::Now).await)?;
                    read(asking.ask(command.clone(), Hurry::Now).await)
                }
                answer => read(answer),
            }
        };
        self.within_deadline(call, &current, answer).await
    }

    /// One command whose answer nobody waits for. Redis does it before whatever it is asked from now on over this connection; it
    /// travels with the next command that somebody waits for, or some milliseconds later, and is lost where Redis is away. To be
    /// called within a runtime.
    pub fn tell(&self, call: &'static str, command: Cmd) {
        let Some(current) = self.current() else { return };
        let answer = current.asking.ask(command, Hurry::Soon);
        let redis = self.clone();
        tokio::spawn(async move {
            // What became of it is in the metrics.
            let _ = redis.within_deadline(call, &current, async { read::<Value>(answer.await) }).await;
        });
    }

    /// Whether there is an answer now.
    pub async fn check(&self) -> Condition {
        match self.ask::<String>("ping", &redis::cmd("PING")).await {
            Ok(_) => Condition::Ok,
            Err(Away) => {
                Condition::Degraded("Redis is away: limits count in each process, data comes from the database")
            }
        }
    }

    fn current(&self) -> Option<Current> {
        self.0.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn within_deadline<T>(
        &self,
        call: &'static str,
        current: &Current,
        answer: impl Future<Output = RedisResult<T>>,
    ) -> Result<T, Away> {
        let begun = Instant::now();
        let answer = timeout(self.0.settings.deadline, answer).await;
        histogram!("redis_call_duration_seconds", "call" => call).record(begun.elapsed());
        let (reason, is_gone) = match answer {
            Ok(Ok(answer)) => {
                current.failures.store(0, Ordering::Relaxed);
                return Ok(answer);
            }
            Ok(Err(error)) => {
                tracing::debug!(call, error = %ErrorChain(&error), "Redis did not do it");
                ("error", is_gone(&error))
            }
            Err(_) => ("deadline", false),
        };
        counter!("redis_failures_total", "call" => call, "reason" => reason).increment(1);
        if current.failures.fetch_add(1, Ordering::Relaxed) + 1 >= FAILURES || is_gone {
            self.drop_connection(current);
        }
        Err(Away)
    }

    /// Only this one: another may have taken its place since.
    fn drop_connection(&self, failed: &Current) {
        let mut current = self.0.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(&current.failures, &failed.failures)) {
            *current = None;
            gauge!("redis_up").set(0.0);
            tracing::warn!(place = %self.0.settings, "Redis is away: going on without it");
            self.0.lost.notify_one();
        }
    }

    fn take_up(&self, connection: MultiplexedConnection) {
        let current = Current { asking: Asking::over(connection), failures: Arc::default() };
        *self.0.current.write().unwrap_or_else(PoisonError::into_inner) = Some(current);
        gauge!("redis_up").set(1.0);
    }

    async fn try_connect(&self) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_DEADLINE))
            .set_response_timeout(Some(CONNECT_DEADLINE));
        let connecting = async {
            let client = &self.0.settings.client;
            let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
            redis::cmd("PING").query_async::<()>(&mut connection).await?;
            Ok(connection)
        };
        // Resolving a name and shaking hands over TLS count as well.
        timeout(CONNECT_DEADLINE * 2, connecting)
            .await
            .unwrap_or_else(|_| Err(RedisError::from(io::Error::from(io::ErrorKind::TimedOut))))
    }
}

fn read<T: FromRedisValue>(answer: Option<RedisResult<Value>>) -> RedisResult<T> {
    let broken = || RedisError::from(io::Error::from(io::ErrorKind::BrokenPipe));
    Ok(from_redis_value(answer.ok_or_else(broken)??)?)
}

/// Whether asking this server again is of no use: the connection broke, or another server is the primary by now.
fn is_gone(error: &RedisError) -> bool {
    let is_no_primary = || {
        matches!(
            error.kind(),
            ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown | ServerErrorKind::BusyLoading)
        )
    };
    error.is_connection_dropped() || error.is_io_error() || is_no_primary()
}

/// Tells metrics what those of this module are.
pub fn describe_metrics() {
    describe_gauge!("redis_up", "1 while there is a connection to Redis, 0 while there is none");
    describe_histogram!("redis_call_duration_seconds", Unit::Seconds, "What a call to Redis took, its failures too");
    describe_counter!("redis_failures_total", Unit::Count, "Calls to Redis that had no answer in time, or an error");
}
