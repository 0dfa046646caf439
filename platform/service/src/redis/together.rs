//! Commands of requests that run at the same time travel together.
//!
//! A command to Redis costs little there and much on the way: four system calls, and a process that is woken at each end.
//! So while one answer is outstanding, what else is asked waits, and goes in one piece once it is there. Nobody waits where
//! nobody else asks; and the more ask, the fewer pieces there are.
//!
//! And a command that nobody waits for costs no way of its own: it goes with the next that somebody waits for, or after
//! [`COMPANY`].
//!
//! Invariant: a command whose sender gave up while it waited is never sent. So what was not counted within its deadline is
//! not counted after it.

use std::time::Duration;

use redis::{Cmd, Pipeline, RedisResult, Value, aio::MultiplexedConnection};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};

/// How to ask over one connection. The connection ends with its last clone.
#[derive(Clone)]
pub(super) struct Asking(mpsc::UnboundedSender<Asked>);

struct Asked {
    command: Cmd,
    hurry: Hurry,
    answer: oneshot::Sender<RedisResult<Value>>,
}

/// Whether somebody waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hurry {
    Now,
    /// Within [`COMPANY`] is soon enough.
    Soon,
}

const MOST_TOGETHER: usize = 64;
/// How long a command without hurry waits for one to go with.
const COMPANY: Duration = Duration::from_millis(10);

impl Asking {
    pub fn over(connection: MultiplexedConnection) -> Self {
        // Not bounded here: each request has one or two in it, and requests are.
        let (asking, asked) = mpsc::unbounded_channel();
        tokio::spawn(carry(connection, asked));
        Self(asking)
    }

    /// In the order in which this is called, not awaited. `None` where the connection has ended.
    pub fn ask(&self, command: Cmd, hurry: Hurry) -> impl Future<Output = Option<RedisResult<Value>>> + use<> {
        let (answer, answered) = oneshot::channel();
        let sent = self.0.send(Asked { command, hurry, answer });
        async move {
            sent.ok()?;
            answered.await.ok()
        }
    }
}

async fn carry(mut connection: MultiplexedConnection, mut asked: mpsc::UnboundedReceiver<Asked>) {
    let mut together = Vec::with_capacity(MOST_TOGETHER);
    while asked.recv_many(&mut together, MOST_TOGETHER).await > 0 {
        wait_for_company(&mut asked, &mut together).await;
        let mut pipeline = Pipeline::with_capacity(together.len());
        pipeline.ignore_errors();
        let mut waiting = Vec::with_capacity(together.len());
        for Asked { command, answer, .. } in together.drain(..).filter(|asked| !asked.answer.is_closed()) {
            pipeline.add_command(command);
            waiting.push(answer);
        }
        if waiting.is_empty() {
            continue;
        }
        match pipeline.query_async::<Vec<RedisResult<Value>>>(&mut connection).await {
            Ok(answers) => waiting.into_iter().zip(answers).for_each(|(waiting, answer)| drop(waiting.send(answer))),
            Err(error) => waiting.into_iter().for_each(|waiting| drop(waiting.send(Err(error.clone())))),
        }
    }
}

async fn wait_for_company(asked: &mut mpsc::UnboundedReceiver<Asked>, together: &mut Vec<Asked>) {
    let until = Instant::now() + COMPANY;
    let mut seen = 0;
    while together[seen..].iter().all(|asked| asked.hurry == Hurry::Soon) && together.len() < MOST_TOGETHER {
        seen = together.len();
        let more = asked.recv_many(together, MOST_TOGETHER - seen);
        if !matches!(timeout_at(until, more).await, Ok(1..)) {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    fn asked(hurry: Hurry) -> Asked {
        Asked { command: redis::cmd("PING"), hurry, answer: oneshot::channel().0 }
    }

    /// How many travel, and after how many milliseconds.
    async fn travel(first: Hurry, then: &[(u64, Hurry)]) -> (usize, u128) {
        let (asking, mut queue) = mpsc::unbounded_channel();
        let (begun, mut together) = (Instant::now(), vec![asked(first)]);
        let coming = async {
            for (after, hurry) in then {
                sleep(Duration::from_millis(*after)).await;
                asking.send(asked(*hurry)).unwrap();
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = coming => {}
            () = wait_for_company(&mut queue, &mut together) => {}
        }
        (together.len(), begun.elapsed().as_millis())
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_nothing_goes_with_the_next_who_does_or_soon() {
        use Hurry::{Now, Soon};
        assert_eq!(travel(Now, &[(1, Soon)]).await, (1, 0), "nobody who waits is kept");
        assert_eq!(travel(Soon, &[(2, Now), (1, Now)]).await, (2, 2));
        assert_eq!(travel(Soon, &[]).await, (1, 10));
        assert_eq!(travel(Soon, &[(4, Soon), (4, Soon), (4, Now)]).await, (3, 10), "none is waited for longer");
        assert_eq!(travel(Soon, &[(0, Soon); 100]).await.0, MOST_TOGETHER);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_asked_last_is_still_sent() {
        let (asking, mut queue) = mpsc::unbounded_channel();
        let mut together = vec![asked(Hurry::Soon)];
        drop::<mpsc::UnboundedSender<Asked>>(asking);
        wait_for_company(&mut queue, &mut together).await;
        assert_eq!(together.len(), 1);
    }
}
