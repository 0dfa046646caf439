//! Messages on disk, in a file that has no name: nobody else can open it, and it is gone with the process, killed or not.
//! Dead letters hold personal data, and there may be more of them than memory should hold.

use std::{collections::BTreeMap, fs::File, io, os::unix::fs::FileExt};

use messaging::{MessageId, OutgoingMessage, RawMessage, Receipt};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// A message as it lies in the file, and as `export` writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stored {
    pub message_id: String,
    pub receive_count: u32,
    #[serde(with = "time::serde::rfc3339::option")]
    pub sent_at: Option<OffsetDateTime>,
    pub attributes: BTreeMap<String, String>,
    pub body: String,
    /// Worth nothing to anybody but the process that received it.
    #[serde(skip)]
    pub receipt: String,
}

/// Where one message is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    offset: u64,
    receipt: u32,
    message: u32,
}

#[derive(Debug)]
pub(crate) struct Spool {
    file: File,
    end: u64,
}

impl Spool {
    pub fn new() -> io::Result<Self> {
        Ok(Self { file: tempfile::tempfile()?, end: 0 })
    }

    pub fn append(&mut self, message: RawMessage) -> io::Result<Place> {
        let RawMessage { id, receipt, body, attributes, receive_count, sent_at } = message;
        let stored = Stored { message_id: id.0, receive_count, sent_at, attributes, body, receipt: String::new() };
        let mut bytes = receipt.0.into_bytes();
        let receipt = bytes.len() as u32;
        serde_json::to_writer(&mut bytes, &stored)?;
        self.file.write_all_at(&bytes, self.end)?;
        let place = Place { offset: self.end, receipt, message: bytes.len() as u32 - receipt };
        self.end += bytes.len() as u64;
        Ok(place)
    }

    pub fn receipt(&self, place: Place) -> io::Result<Receipt> {
        Ok(Receipt(self.text(place.offset, place.receipt)?))
    }

    pub fn read(&self, place: Place) -> io::Result<Stored> {
        let text = self.text(place.offset + u64::from(place.receipt), place.message)?;
        let mut stored: Stored = serde_json::from_str(&text)?;
        stored.receipt = self.receipt(place)?.0;
        Ok(stored)
    }

    fn text(&self, offset: u64, bytes: u32) -> io::Result<String> {
        let mut buffer = vec![0; bytes as usize];
        self.file.read_exact_at(&mut buffer, offset)?;
        String::from_utf8(buffer).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

impl Stored {
    pub fn id(&self) -> MessageId {
        MessageId(self.message_id.clone())
    }

    pub fn to_outgoing(&self) -> OutgoingMessage {
        OutgoingMessage { body: self.body.clone(), attributes: self.attributes.clone() }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn what_is_spooled_comes_back_as_it_was() {
        let mut spool = Spool::new().unwrap();
        let messages: Vec<_> = (0..3)
            .map(|n| RawMessage {
                id: MessageId(format!("m{n}")),
                receipt: Receipt("ü".repeat(n)),
                body: format!("{{\"a\":\"\u{1F980}\n{n}\"}}"),
                attributes: [("type".to_owned(), "t".to_owned())].into(),
                receive_count: n as u32,
                sent_at: (n > 0).then_some(datetime!(2026-11-26 04:00:00.123456 UTC)),
            })
            .collect();
        let places: Vec<_> = messages.iter().map(|message| spool.append(message.clone()).unwrap()).collect();
        for (message, place) in messages.iter().zip(places) {
            let stored = spool.read(place).unwrap();
            assert_eq!(stored.to_outgoing(), message.to_outgoing());
            assert_eq!(
                (stored.id(), stored.receive_count, stored.sent_at),
                (message.id.clone(), message.receive_count, message.sent_at)
            );
            assert_eq!(Receipt(stored.receipt), message.receipt);
        }
    }
}
