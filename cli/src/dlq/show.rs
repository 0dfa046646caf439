use std::{io, process::ExitCode};

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};
use service::settings::Env;

use super::{
    Source, connect,
    letters::{DeadLetter, Letters},
};
use crate::outln;

#[derive(Debug, Args)]
pub struct Show {
    /// The event's id, or the message's where it is no event
    id: String,
    #[command(flatten)]
    source: Source,
    /// Print the body as it is, personal data included
    #[arg(long)]
    reveal: bool,
    #[arg(long)]
    json: bool,
}

impl Show {
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        let consumer = self.source.consumer()?;
        let (bus, pool) = connect(env).await?;
        let read = Letters::read(&*bus, &pool, consumer.name()).await?;
        let shown = read.letters.iter().find(|letter| letter.id() == self.id).map(|letter| self.describe(letter));
        read.hand_back().await;
        match shown {
            Some(shown) if self.json => outln!("{}", serde_json::to_string_pretty(&shown)?),
            Some(shown) => print(&shown)?,
            None => bail!("no dead letter `{}` among {}", self.id, read.letters.len()),
        }
        Ok(ExitCode::SUCCESS)
    }

    fn describe(&self, letter: &DeadLetter) -> Value {
        let message = &letter.copies[0];
        let body = if self.reveal { Value::from(message.body.as_str()) } else { redacted(letter) };
        let sent_at = message.sent_at.and_then(|at| at.format(&time::format_description::well_known::Rfc3339).ok());
        json!({
            "id": letter.id(),
            "eventType": letter.event_type(),
            "messageId": message.id.0,
            "copies": letter.copies.len(),
            "firstSent": sent_at,
            "failure": letter.reason(),
            "report": letter.report,
            "body": body,
        })
    }
}

/// The envelope's attributes are open; of the payload, what its schema says. A body that can't be read has no schema.
fn redacted(letter: &DeadLetter) -> Value {
    let message = &letter.copies[0];
    let Some((envelope, _)) = &letter.envelope else {
        let bytes = message.body.len();
        return Value::from(format!("[redacted: unclassified, {bytes} bytes; --reveal prints them]"));
    };
    envelope.redacted()
}

fn print(shown: &Value) -> io::Result<()> {
    let Some(fields) = shown.as_object() else { return Ok(()) };
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
        match value {
            Value::String(text) => outln!("{name}: {text}"),
            Value::Object(_) | Value::Array(_) => {
                let text = serde_json::to_string_pretty(value).unwrap_or_default();
                outln!("{name}: {}", text.replace('\n', "\n  "));
            }
            other => outln!("{name}: {other}"),
        }
    }
    Ok(())
}
