//! Commands of requests that run at the same time travel together.
//!
//! A command to Redis costs little there and much on the way: four system calls, and a process that is woken at each end.
//! So while one answer is outstanding, what else is asked waits, and goes in one piece once it is there. Nobody waits where
//! nobody else asks; and the more ask, the fewer pieces there are.
//!
//! Invariant: a command whose sender gave up while it waited is never sent. So what was not counted within its deadline is
//! not counted after it.

use redis::{Cmd, Pipeline, RedisResult, Value, aio::MultiplexedConnection};
use tokio::sync::{mpsc, oneshot};

/// How to ask over one connection. The connection ends with its last clone.
#[derive(Clone)]
pub(super) struct Asking(mpsc::UnboundedSender<Asked>);

struct Asked {
    command: Cmd,
    answer: oneshot::Sender<RedisResult<Value>>,
}

const MOST_TOGETHER: usize = 64;

impl Asking {
    pub fn over(connection: MultiplexedConnection) -> Self {
        // Not bounded here: each request has one or two in it, and requests are.
        let (asking, asked) = mpsc::unbounded_channel();
        tokio::spawn(carry(connection, asked));
        Self(asking)
    }

    /// `None` where the connection has ended.
    pub async fn ask(&self, command: Cmd) -> Option<RedisResult<Value>> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Asked { command, answer }).ok()?;
        answered.await.ok()
    }
}

async fn carry(mut connection: MultiplexedConnection, mut asked: mpsc::UnboundedReceiver<Asked>) {
    let mut together = Vec::with_capacity(MOST_TOGETHER);
    while asked.recv_many(&mut together, MOST_TOGETHER).await > 0 {
        let mut pipeline = Pipeline::with_capacity(together.len());
        pipeline.ignore_errors();
        let mut waiting = Vec::with_capacity(together.len());
        for Asked { command, answer } in together.drain(..).filter(|asked| !asked.answer.is_closed()) {
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
