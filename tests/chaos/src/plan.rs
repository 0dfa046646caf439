//! What will happen in a run, all of it decided before it begins, by the seed and nothing else.

mod drawing;
mod telling;

use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

use mutants::Dice;

pub use self::telling::name;

/// A run: which of its events must die, and what is done to it when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub seed: u64,
    pub events: u32,
    /// By their numbers. All others must be applied.
    poison: BTreeMap<u32, Poison>,
    /// Messages beside the events, which are not even JSON.
    pub garbage: u32,
    /// In the order in which they are to fall due.
    pub faults: Vec<Fault>,
}

/// Why an event can't be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Poison {
    /// Its payload breaks its schema.
    Broken(Breakage),
    /// A constraint in `user_db` refuses its row.
    Refused,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breakage {
    NoAddress,
    NoId,
    NoObject,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    pub due: Due,
    pub what: What,
}

/// As soon as this many events have come this far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    pub count: u32,
    pub stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    Committed,
    Published,
    Applied,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// kill -9; the process is started again after the pause.
    Kill { role: Role, number: usize, pause: Duration },
    /// kill -9 of a server of PostgreSQL and all its processes, and a start.
    RestartPostgres(Cluster),
    /// All connections to LocalStack at once, whatever is on its way in them.
    Cut,
    /// The same, and nobody gets a new one for a while.
    Refuse(Duration),
    /// The next requests of this kind reach LocalStack, and their answers nobody.
    Swallow { request: Request, count: u32 },
    /// For a while, each request is held up before it reaches LocalStack.
    Delay { each: Duration, during: Duration },
    /// Events that were published already are sent once more.
    Duplicate { through: Through, count: u32 },
    /// Messages that are not JSON, straight into the queue: all before this number, and so some for a second time.
    Garbage { up_to: u32 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    Producer,
    Relay,
    Worker,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cluster {
    Auth,
    User,
}

/// Requests whose answer matters to somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Request {
    /// What was published is published again.
    Publish,
    /// What was handed out comes back after its lease.
    Receive,
    /// What was deleted is deleted again.
    Delete,
    /// A lease was extended, or a message handed back, without its worker's knowing.
    ChangeVisibility,
    /// What was dead-lettered is dead-lettered again.
    Send,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Through {
    Topic,
    Queue,
}

impl Role {
    pub const ALL: [Self; 3] = [Self::Producer, Self::Relay, Self::Worker];

    /// How many processes there are of it.
    pub const fn processes(self) -> usize {
        match self {
            Self::Producer | Self::Relay => 2,
            Self::Worker => 3,
        }
    }

    /// What goes on while it has something to do.
    const fn stage(self) -> Stage {
        match self {
            Self::Producer => Stage::Committed,
            Self::Relay => Stage::Published,
            Self::Worker => Stage::Applied,
        }
    }
}

impl Request {
    pub const ALL: [Self; 5] = [Self::Publish, Self::Receive, Self::Delete, Self::ChangeVisibility, Self::Send];

    const fn stage(self) -> Stage {
        match self {
            Self::Publish => Stage::Published,
            _ => Stage::Applied,
        }
    }
}

impl Plan {
    /// How many events a plan can be made for: enough for faults to fall between them.
    pub const EVENTS: RangeInclusive<i64> = 100..=1_000_000;

    pub fn poison(&self, event: u32) -> Option<Poison> {
        self.poison.get(&event).copied()
    }

    /// Events that must die, and what is no event.
    pub fn poisoned(&self) -> u32 {
        self.poison.len() as u32 + self.garbage
    }

    /// Events that must be applied.
    pub fn healthy(&self) -> u32 {
        self.events - self.poison.len() as u32
    }

    /// By which an account, and so its event, is known in every database.
    pub fn address(&self, event: u32) -> String {
        let kind = match self.poison(event) {
            None => HEALTHY,
            Some(Poison::Broken(_)) => BROKEN,
            Some(Poison::Refused) => REFUSED,
        };
        format!("{kind}{event}@example.com")
    }

    pub fn number_of(address: &str) -> Option<u32> {
        address.strip_suffix("@example.com")?.split_once('-')?.1.parse().ok()
    }

    /// The body of a message that is not JSON.
    pub fn garbage_body(&self, number: u32) -> String {
        format!("message {number} of run {}, which is not JSON", self.seed)
    }

    /// The dice that one part of a run has to itself.
    pub fn dice(&self, part: u64) -> Dice {
        let mut dice = Dice::seeded(self.seed ^ part.rotate_left(32));
        dice.roll();
        dice
    }
}

/// What an address begins with that is to be applied.
pub const HEALTHY: &str = "healthy-";
const BROKEN: &str = "broken-";
/// What the address of an event begins with whose row is refused.
pub const REFUSED: &str = "refused-";

#[cfg(test)]
mod tests;
