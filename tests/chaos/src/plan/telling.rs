//! A plan, and each fault on it, as people read it.

use std::fmt;

use super::{Cluster, Due, Fault, Plan, Request, Role, Stage, Through, What};

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, events, garbage, faults, .. } = self;
        let dying = self.poison.len();
        writeln!(
            f,
            "seed {seed}: {events} events, {dying} of which must die, and {garbage} messages that are no event"
        )?;
        faults.iter().try_for_each(|fault| writeln!(f, "  {fault}"))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Due { count, stage } = self.due;
        write!(f, "{count:>7} {:<10} {}", stage.name(), self.what)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill { role, number, pause } => {
                write!(f, "kill -9 of {}, back after {} ms", name(*role, *number), pause.as_millis())
            }
            Self::RestartPostgres(cluster) => write!(f, "kill -9 of PostgreSQL ({}), and a start", cluster.server()),
            Self::Cut => f.write_str("all connections to LocalStack are cut"),
            Self::Refuse(during) => write!(f, "nobody reaches LocalStack for {} ms", during.as_millis()),
            Self::Swallow { request, count } => write!(f, "{count} answers to {} get lost", request.operation()),
            Self::Delay { each, during } => {
                write!(f, "requests are held up by {} ms each, for {} ms", each.as_millis(), during.as_millis())
            }
            Self::Duplicate { through, count } => {
                let place = match through {
                    Through::Topic => "on the topic",
                    Through::Queue => "in the queue",
                };
                write!(f, "{count} published events are sent once more, {place}")
            }
            Self::Garbage { up_to } => write!(f, "{up_to} messages in all that are not JSON, straight into the queue"),
        }
    }
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Published => "published",
            Self::Applied => "applied",
        }
    }
}

impl Cluster {
    /// As `./dev status` calls it.
    pub fn server(self) -> &'static str {
        match self {
            Self::Auth => "pg-auth",
            Self::User => "pg-user",
        }
    }
}

impl Request {
    /// As SNS and SQS call it.
    pub fn operation(self) -> &'static str {
        match self {
            Self::Publish => "PublishBatch",
            Self::Receive => "ReceiveMessage",
            Self::Delete => "DeleteMessageBatch",
            Self::ChangeVisibility => "ChangeMessageVisibilityBatch",
            Self::Send => "SendMessageBatch",
        }
    }
}

/// Of one process.
pub fn name(role: Role, number: usize) -> String {
    let role = match role {
        Role::Producer => "producer",
        Role::Relay => "relay",
        Role::Worker => "worker",
    };
    format!("{role}-{}", number + 1)
}
