//! What a snapshot holds: where each message lies in the [`Spool`], and which belong together. Some 40 bytes a message, and as
//! many again for telling copies while messages come in.

use std::{
    collections::{HashMap, HashSet},
    io,
};

use messaging::{MAX_BATCH_ENTRIES, MessageId, RawMessage, Receipt};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::{
    Stored,
    spool::{Place, Spool},
};

#[derive(Debug)]
pub(crate) struct Held {
    pub spool: Spool,
    pub messages: Vec<Message>,
    /// The first message of each letter.
    pub letters: Vec<u32>,
    /// While messages come in: whose copies are there already.
    pub known: HashMap<u128, u32>,
    /// That polls on their way may bring.
    pub asked_for: usize,
}

#[derive(Debug)]
pub(crate) struct Message {
    pub place: Place,
    /// The next copy of the same letter, or [`NONE`].
    next: u32,
    /// Until when it is hidden; `None` once it is deleted or handed back.
    pub until: Option<Instant>,
}

const NONE: u32 = u32::MAX;
impl Held {
    pub fn new() -> io::Result<Self> {
        let spool = Spool::new()?;
        Ok(Self { spool, messages: Vec::new(), letters: Vec::new(), known: HashMap::new(), asked_for: 0 })
    }

    /// How many messages a poll may bring, so that all polls together bring no more than `most`.
    pub fn ask_for(&mut self, most: usize) -> usize {
        let more = most.saturating_sub(self.messages.len() + self.asked_for).min(MAX_BATCH_ENTRIES);
        self.asked_for += more;
        more
    }

    pub fn keep(&mut self, message: RawMessage, until: Instant) -> io::Result<()> {
        let envelope = schemas::Envelope::read(messaging::unwrap_notification(&message.body).as_str());
        let key = match envelope {
            Ok((_, key)) => key.as_uuid().as_u128(),
            // What is no event may still come twice.
            Err(_) => hash(&message.id),
        };
        let place = self.spool.append(message)?;
        let new = self.messages.len() as u32;
        self.messages.push(Message { place, next: NONE, until: Some(until) });
        // Of a letter with copies, the last one that came.
        match self.known.insert(key, new) {
            Some(before) => self.messages[before as usize].next = new,
            None => self.letters.push(new),
        }
        Ok(())
    }

    pub fn chain(&self, letter: u32) -> impl Iterator<Item = u32> {
        let first = self.letters.get(letter as usize).copied();
        std::iter::successors(first, |at| Some(self.messages[*at as usize].next).filter(|next| *next != NONE))
    }

    pub fn copies(&self, letter: u32) -> io::Result<Vec<Stored>> {
        self.chain(letter).map(|message| self.spool.read(self.messages[message as usize].place)).collect()
    }

    /// What is held and hidden no longer than `until`, without `kept`, and no more than `most`.
    pub fn due(&self, until: Instant, most: usize, kept: &HashSet<u32>) -> io::Result<Vec<(u32, Receipt)>> {
        let all = (0u32..).zip(&self.messages);
        let due = all.filter(|(at, message)| message.until.is_some_and(|hidden| hidden <= until) && !kept.contains(at));
        due.take(most).map(|(at, message)| Ok((at, self.spool.receipt(message.place)?))).collect()
    }
}

fn hash(id: &MessageId) -> u128 {
    let mut half = [0; 16];
    half.copy_from_slice(&Sha256::digest(&id.0)[..16]);
    u128::from_be_bytes(half)
}
