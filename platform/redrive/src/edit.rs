//! Changing a letter before it is replayed.
//!
//! The event keeps its id: to the inbox it is the same event. What was changed is kept beside the original as a JSON Patch
//! (RFC 6902), and an edit that a worker would refuse is refused here.

use std::fmt::Write;

use messaging::unwrap_notification;
use schemas::Envelope;
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{DeadLetter, Inbox, Leave};

/// A change that a worker would accept.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// The event as it was, out of its notification if it came in one.
    pub original: String,
    pub body: String,
    pub patch: json_patch::Patch,
}

#[derive(Debug, thiserror::Error)]
pub enum EditError {
    #[error("nothing was changed")]
    Unchanged,
    #[error("the original is no JSON, so its change can't be told")]
    OriginalIsNoJson,
    #[error("what was written is no JSON")]
    NoJson(#[source] serde_json::Error),
    #[error("`{attribute}` has to stay as it was: it says which event this is")]
    AnotherEvent { attribute: &'static str },
    #[error("a worker would reject it as {reason}: {detail}")]
    WouldFail { reason: String, detail: String },
}

impl Edit {
    /// The letter's event as somebody is given it to edit.
    pub fn to_edit(letter: &DeadLetter) -> Result<String, EditError> {
        let original = original(letter);
        let value: Value = serde_json::from_str(&original).map_err(|_| EditError::OriginalIsNoJson)?;
        serde_json::to_string_pretty(&value).map_err(EditError::NoJson)
    }

    /// Compares what came back, and asks whether a worker would take it.
    pub fn of(letter: &DeadLetter, edited: &str, inbox: &Inbox) -> Result<Self, EditError> {
        let original = original(letter);
        let before: Value = serde_json::from_str(&original).map_err(|_| EditError::OriginalIsNoJson)?;
        let after: Value = serde_json::from_str(edited).map_err(EditError::NoJson)?;
        if before == after {
            return Err(EditError::Unchanged);
        }
        for attribute in ["id", "source"] {
            if before.get(attribute).is_some() && before.get(attribute) != after.get(attribute) {
                return Err(EditError::AnotherEvent { attribute });
            }
        }
        let body = after.to_string();
        let envelope = Envelope::read(&body)
            .map_err(|error| EditError::WouldFail { reason: "undecodable".to_owned(), detail: error.to_string() })?;
        // Without a UUID v7 as its id, an event's time is part of which event it is.
        if letter.event_key().is_some_and(|key| key != envelope.1) {
            return Err(EditError::AnotherEvent { attribute: "time" });
        }
        let changed =
            DeadLetter { envelope: Some(envelope), report: None, recorded: None, copies: letter.copies.clone() };
        if let Some(Leave::WouldFail { reason, detail }) = inbox.refusal(&changed) {
            return Err(EditError::WouldFail { reason, detail });
        }
        Ok(Self { original, body, patch: json_patch::diff(&before, &after) })
    }

    /// What was changed, without what it was changed to.
    pub fn changes(&self) -> Vec<String> {
        self.patch.iter().map(|change| format!("{} {}", operation(change), change.path())).collect()
    }

    pub(crate) fn sha256(&self) -> String {
        let mut text = String::new();
        for byte in Sha256::digest(&self.body) {
            // A text takes everything.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}

fn original(letter: &DeadLetter) -> String {
    unwrap_notification(&letter.copies[0].body).as_str().to_owned()
}

fn operation(change: &json_patch::PatchOperation) -> &'static str {
    match change {
        json_patch::PatchOperation::Add(_) => "add",
        json_patch::PatchOperation::Remove(_) => "remove",
        json_patch::PatchOperation::Replace(_) => "replace",
        json_patch::PatchOperation::Move(_) => "move",
        json_patch::PatchOperation::Copy(_) => "copy",
        json_patch::PatchOperation::Test(_) => "test",
    }
}

/// Keeps an edit, in the caller's transaction: before anything is sent.
pub(crate) async fn keep(
    connection: &mut PgConnection,
    operation: Uuid,
    letter: &DeadLetter,
    edit: &Edit,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO redrive_edits
             (operation_id, letter_key, letter_id, subject, original, patch, edited_sha256, edited_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        operation,
        letter.key(),
        letter.id(),
        letter.subject(),
        edit.original,
        serde_json::to_value(&edit.patch).unwrap_or_default(),
        edit.sha256(),
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// The body that an edit sends, made again from what was kept of it. `None` where the operation has no edit, or its subject
/// has been erased.
pub(crate) async fn body_of(pool: &PgPool, operation: Uuid) -> Result<Option<String>, sqlx::Error> {
    let kept = sqlx::query!("SELECT original, patch FROM redrive_edits WHERE operation_id = $1", operation)
        .fetch_optional(pool)
        .await?;
    let Some(kept) = kept else { return Ok(None) };
    let decode = |error: Box<dyn std::error::Error + Send + Sync>| sqlx::Error::Decode(error);
    let mut value: Value = serde_json::from_str(&kept.original).map_err(|error| decode(error.into()))?;
    let patch: json_patch::Patch = serde_json::from_value(kept.patch).map_err(|error| decode(error.into()))?;
    json_patch::patch(&mut value, &patch).map_err(|error| decode(error.into()))?;
    Ok(Some(value.to_string()))
}
