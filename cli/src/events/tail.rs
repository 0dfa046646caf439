//! Events as they pass.
//!
//! The look goes through a queue of its own, which is subscribed for the time of it and removed again, so nobody else
//! gets an event less. What is left behind by a kill -9 is named `tail-…`, and `waypost topology apply --prune` takes it
//! away after a day.

use std::{collections::BTreeSet, pin::pin, process::ExitCode, sync::Arc, time::Duration};

use anyhow::bail;
use clap::Args;
use messaging::{Bus, Queue, QueueSettings, RawMessage, ReceiveRequest, Subscriber, TEMPORARY_CONSUMER, Topology};
use schemas::{Envelope, EventType};
use serde_json::{Value, json};
use service::{ErrorChain, settings::Env};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::entry;
use crate::{bus::BusSettings, landscape::topology, outln};

#[derive(Debug, Args)]
pub struct Tail {
    /// Only these events; may be given several times [default: all that anybody sends]
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// Go on until Ctrl-C, however long nothing comes
    #[arg(long)]
    follow: bool,
    /// Without --follow: end when nothing has come for so many seconds
    #[arg(long, default_value_t = 10, value_name = "SECONDS", conflicts_with = "follow")]
    idle: u64,
    /// End after so many events
    #[arg(long)]
    count: Option<usize>,
    /// Print payloads as they are, personal data included
    #[arg(long)]
    reveal: bool,
    /// Print whole events, one a line, as JSON
    #[arg(long)]
    json: bool,
}

/// Long enough to print ten events, and short enough that one whose printing failed is seen again.
const LEASE: Duration = Duration::from_secs(30);
/// Nobody comes back for what was not printed.
const RETENTION: Duration = Duration::from_secs(60 * 60);
const WAIT: Duration = Duration::from_secs(5);

impl Tail {
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        let types: BTreeSet<EventType> = match self.types.is_empty() {
            true => topology().topics(),
            false => {
                self.types.iter().map(|name| entry(name).map(|entry| entry.event_type)).collect::<Result<_, _>>()?
            }
        };
        let bus = BusSettings::from_env(env)?.connect().await?;
        let topics = Topology { subscribers: Vec::new(), published: types.clone() };
        if let Some(missing) = bus.verify(&topics).await?.iter().find(|difference| difference.is_missing()) {
            bail!("{} is not there; `waypost topology apply` makes it, once something sends to it", missing.resource);
        }
        let settings = QueueSettings { visibility: LEASE, retention: RETENTION, ..QueueSettings::DEFAULT };
        // Short: a queue in PostgreSQL has a name of at most 47 characters, and 30 of them may be the prefix.
        let consumer = format!("{TEMPORARY_CONSUMER}{:08x}", Uuid::new_v4().as_fields().0);
        let subscriber = Subscriber { consumer, events: types, settings };
        let stop = stop_on_signals()?;
        let looked = self.look(&*bus, &subscriber, &stop).await;
        let removed = bus.remove_subscriber(&subscriber).await;
        if let Err(error) = &removed {
            let queue = bus.names().queue(&subscriber.consumer);
            eprintln!(
                "{queue} is left behind: {}; `waypost topology apply --prune` removes it after a day",
                ErrorChain(error)
            );
        }
        let seen = looked?;
        removed?;
        eprintln!("{seen} {}", if seen == 1 { "event" } else { "events" });
        Ok(ExitCode::SUCCESS)
    }

    async fn look(&self, bus: &dyn Bus, subscriber: &Subscriber, stop: &CancellationToken) -> anyhow::Result<usize> {
        bus.apply(&Topology { subscribers: vec![subscriber.clone()], published: BTreeSet::new() }).await?;
        let queue = bus.queue(&bus.names().queue(&subscriber.consumer)).await?;
        let names: Vec<_> = subscriber.events.iter().map(|event| event.as_str()).collect();
        eprintln!("from now on, events of: {}", names.join(", "));
        self.print_all(&queue, stop).await
    }

    async fn print_all(&self, queue: &Arc<dyn Queue>, stop: &CancellationToken) -> anyhow::Result<usize> {
        let (mut seen, mut last) = (0, Instant::now());
        let idle = Duration::from_secs(self.idle);
        loop {
            let left = self.count.map_or(usize::MAX, |count| count - seen);
            let quiet_for = last.elapsed();
            if left == 0 || stop.is_cancelled() || (!self.follow && quiet_for >= idle) {
                return Ok(seen);
            }
            let wait =
                if self.follow { WAIT } else { idle.saturating_sub(quiet_for).min(WAIT).max(Duration::from_secs(1)) };
            let request = ReceiveRequest { max: left.min(10), wait, visibility: LEASE };
            let messages = pin!(queue.receive_until(request, stop)).await?;
            for message in &messages {
                self.print(message)?;
            }
            if !messages.is_empty() {
                let receipts: Vec<_> = messages.iter().map(|message| message.receipt.clone()).collect();
                queue.delete(&receipts).await;
                (seen, last) = (seen + messages.len(), Instant::now());
            }
        }
    }

    fn print(&self, message: &RawMessage) -> anyhow::Result<()> {
        let body = messaging::unwrap_notification(&message.body);
        let Ok((envelope, _)) = Envelope::read(body.as_str()) else {
            let bytes = message.body.len();
            match self.json {
                true => outln!("{}", json!({ "messageId": message.id.0, "bytes": bytes, "error": "not an event" })),
                false => outln!("{} is not an event, {bytes} bytes", message.id),
            }
            return Ok(());
        };
        let shown = if self.reveal { serde_json::to_value(&envelope)? } else { envelope.redacted() };
        if self.json {
            outln!("{}", printable(&shown));
            return Ok(());
        }
        let text = |name: &str| shown[name].as_str().unwrap_or("-").to_owned();
        let (time, version) = (text("time"), envelope.schemaversion);
        let data = shown.get("data").unwrap_or(&Value::Null);
        outln!("{time} {} v{version} {} {} {}", envelope.event_type, envelope.source, envelope.id, printable(data));
        Ok(())
    }
}

/// JSON leaves the control characters from U+007F to U+009F as they are, and a terminal obeys them. They can only be within
/// strings, where an escape says the same.
fn printable(value: &Value) -> String {
    let escaped = |letter: char| match letter.is_control() {
        true => format!("\\u{:04x}", letter as u32),
        false => letter.to_string(),
    };
    value.to_string().chars().map(escaped).collect()
}

/// Ctrl-C, SIGTERM and SIGHUP end the look, after which its queue goes.
fn stop_on_signals() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    // A terminal that is closed.
    let mut hang_up = signal(SignalKind::hangup())?;
    let token = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
        token.cancel();
    });
    Ok(stop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_not_told_what_to_do() {
        let value = json!({"note": "a\u{9b}31mb\u{7f}é"});
        let text = printable(&value);
        assert!(!text.contains(char::is_control), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
