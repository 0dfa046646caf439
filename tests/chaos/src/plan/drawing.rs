//! Drawing a plan.

use std::{collections::BTreeMap, time::Duration};

use mutants::Dice;

use super::{Breakage, Cluster, Due, Fault, Plan, Poison, Request, Role, Stage, Through, What};

/// Of a hundred events; and never fewer than the least.
const POISONED_PERCENT: u32 = 1;
const LEAST_POISONED: u32 = 3;
/// Nothing is done before or after so many of the events: before, not all processes are at work; after, some have
/// nothing left to do.
const FROM_PERCENT: u64 = 5;
const TO_PERCENT: u64 = 90;
/// The clients of SNS and SQS try three times by themselves, and wait for up to one and two seconds in between. Past
/// that, a relay has to back off, and a worker to find out that it could not settle.
const OUTLASTS_RETRIES: u64 = 3_200;

impl Plan {
    /// The one plan of this seed.
    pub fn draw(seed: u64, events: u32, kills: u32) -> Self {
        let mut drawing = Drawing { dice: Dice::seeded(seed), events, faults: Vec::new() };
        let poisoned = (events * POISONED_PERCENT / 100).max(LEAST_POISONED);
        let garbage = poisoned / 3;
        let poison = drawing.poison(poisoned - garbage);
        drawing.kills(kills);
        let some = (kills / 5).max(1);
        drawing.outages(some);
        drawing.lost_answers(some);
        drawing.copies(some + 1);
        drawing.garbage(garbage);
        let mut faults = drawing.faults;
        faults.sort_by_key(|fault| (fault.due.count, fault.due.stage));
        Self { seed, events, poison, garbage, faults }
    }
}

struct Drawing {
    dice: Dice,
    events: u32,
    faults: Vec<Fault>,
}

impl Drawing {
    fn poison(&mut self, count: u32) -> BTreeMap<u32, Poison> {
        let mut poison = BTreeMap::new();
        while poison.len() < count as usize {
            let event = self.dice.below(self.events as usize) as u32;
            let breakages = [Breakage::NoAddress, Breakage::NoId, Breakage::NoObject];
            let kind = match poison.len() % 2 {
                0 => Poison::Refused,
                _ => Poison::Broken(*self.one_of(&breakages)),
            };
            poison.entry(event).or_insert(kind);
        }
        poison
    }

    /// Everybody in turn, so that a few kills meet all roles.
    fn kills(&mut self, count: u32) {
        for role in Role::ALL.into_iter().cycle().take(count as usize) {
            let number = self.dice.below(role.processes());
            let pause = self.millis(0, 1_500);
            self.add(role.stage(), What::Kill { role, number, pause });
        }
    }

    fn outages(&mut self, count: u32) {
        for at in 0..count {
            let first = self.dice.below(2) as u32;
            let cluster = if (at + first).is_multiple_of(2) { Cluster::User } else { Cluster::Auth };
            let stage = self.stage();
            self.add(stage, What::RestartPostgres(cluster));
            let (short, long) = (self.millis(1_000, 3_000), self.millis(OUTLASTS_RETRIES, 4_500));
            let stage = self.stage();
            self.add(stage, What::Refuse(short));
            self.add(Stage::Published, What::Refuse(long));
            let (each, during) = (self.millis(50, 800), self.millis(1_000, 4_000));
            let stage = self.stage();
            self.add(stage, What::Delay { each, during });
        }
        for _ in 0..=count {
            let stage = self.stage();
            self.add(stage, What::Cut);
        }
    }

    fn lost_answers(&mut self, count: u32) {
        for request in Request::ALL {
            for _ in 0..count {
                let count = 1 + self.dice.below(3) as u32;
                self.add(request.stage(), What::Swallow { request, count });
            }
        }
    }

    fn copies(&mut self, count: u32) {
        for at in 0..count {
            let through = if at.is_multiple_of(2) { Through::Topic } else { Through::Queue };
            let most = (self.events / 50).max(10) as usize;
            let count = 5 + self.dice.below(most) as u32;
            self.add(Stage::Applied, What::Duplicate { through, count });
        }
    }

    fn garbage(&mut self, count: u32) {
        for up_to in [count.div_ceil(2), count] {
            self.add(Stage::Published, What::Garbage { up_to });
        }
    }

    fn add(&mut self, stage: Stage, what: What) {
        let [from, to] = [FROM_PERCENT, TO_PERCENT].map(|percent| u64::from(self.events) * percent / 100);
        let count = (from + self.dice.below((to - from) as usize) as u64) as u32;
        self.faults.push(Fault { due: Due { count, stage }, what });
    }

    fn stage(&mut self) -> Stage {
        *self.one_of(&[Stage::Committed, Stage::Published, Stage::Applied])
    }

    fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.dice.below((to - from) as usize) as u64)
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.dice.below(all.len())]
    }
}
