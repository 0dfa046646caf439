//! What the facts say about what was promised.

use std::collections::{BTreeSet, HashSet};

use serde::Serialize;

use super::{Event, Facts, Letter, Waiting};
use crate::plan::{HEALTHY, Plan};

/// All of it by distinct events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    pub events: usize,
    pub lost: usize,
    pub applied_twice: usize,
    pub dead_lettered: usize,
    pub poisoned: usize,
    /// Everything that is not as it should be, in words.
    #[serde(skip)]
    pub wrong: Vec<String>,
}

/// Of the events of a complaint, as many are named.
const NAMED: usize = 5;

impl Verdict {
    pub fn of(facts: &Facts, plan: &Plan) -> Self {
        let (healthy, poisoned): (Vec<_>, Vec<_>) = facts.events.iter().partition(|event| is_healthy(event));
        let lost: Vec<_> = healthy.iter().filter(|event| !facts.is_applied(event)).map(|event| told(event)).collect();
        let applied_twice: Vec<_> = facts
            .applications
            .iter()
            .filter(|(_, times)| **times > 1)
            .map(|(account, _)| account.to_string())
            .collect();
        let letters = poisoned.iter().map(|event| Letter::Event(event.id.to_string()));
        let expected: BTreeSet<_> =
            letters.chain((0..plan.garbage).map(|number| Letter::Garbage(plan.garbage_body(number)))).collect();
        let Waiting { queued, undelivered, .. } = facts.waiting;

        let mut verdict = Self {
            events: facts.events.len(),
            lost: lost.len(),
            applied_twice: applied_twice.len(),
            dead_lettered: facts.dead_letters.len(),
            poisoned: expected.len(),
            wrong: Vec::new(),
        };
        let accounts: HashSet<_> = facts.events.iter().filter_map(|event| event.account).collect();
        let ids: HashSet<_> = facts.events.iter().map(|event| event.id).collect();
        verdict.complain("events were lost", lost);
        verdict.complain("accounts had an event applied more than once", applied_twice);
        verdict.complain(
            "events must die and were applied",
            poisoned.iter().filter(|it| facts.touches(it)).map(|it| told(it)),
        );
        let unknown = facts.logged.difference(&ids).map(ToString::to_string);
        verdict.complain("events were applied that nobody made", unknown);
        let strangers = facts.applications.keys().filter(|account| !accounts.contains(account));
        verdict.complain("events of unknown accounts were applied", strangers.map(ToString::to_string));
        let unpublished = facts.events.iter().filter(|event| !event.is_published);
        verdict.complain("events are in the outbox and not published", unpublished.map(told));
        let orphans = facts.events.iter().filter(|event| event.account.is_none());
        verdict.complain("events are of no account", orphans.map(told));
        let should_be = expected.difference(&facts.dead_letters).map(Letter::told);
        verdict.complain("should be dead letters and are not", should_be);
        let should_not = facts.dead_letters.difference(&expected).map(Letter::told);
        verdict.complain("are dead letters and should not be", should_not);
        for (what, found, planned) in [
            ("events were made", facts.events.len(), plan.events as usize),
            ("accounts with an event", accounts.len(), facts.accounts),
            ("events that must be applied", healthy.len(), plan.healthy() as usize),
            ("messages are left in the queue", queued as usize, 0),
            ("messages could not be delivered to the queue", undelivered as usize, 0),
        ] {
            if found != planned {
                verdict.wrong.push(format!("{found} {what}; it should be {planned}"));
            }
        }
        verdict
    }

    pub fn is_kept(&self) -> bool {
        self.wrong.is_empty()
    }

    fn complain(&mut self, what: &str, about: impl IntoIterator<Item = String>) {
        let about: Vec<_> = about.into_iter().collect();
        if !about.is_empty() {
            let named = about[..about.len().min(NAMED)].join(", ");
            let more = if about.len() > NAMED { ", …" } else { "" };
            self.wrong.push(format!("{} {what}: {named}{more}", about.len()));
        }
    }
}

impl Facts {
    /// By all three that know of it.
    fn is_applied(&self, event: &Event) -> bool {
        let Some(account) = event.account else { return false };
        self.applications.contains_key(&account) && self.profiles.contains(&account) && self.logged.contains(&event.id)
    }

    /// By any of the three.
    fn touches(&self, event: &Event) -> bool {
        let of_account = |account| self.applications.contains_key(&account) || self.profiles.contains(&account);
        event.account.is_some_and(of_account) || self.logged.contains(&event.id)
    }
}

impl Letter {
    fn told(&self) -> String {
        match self {
            Self::Event(id) => id.clone(),
            Self::Garbage(body) => format!("`{body}`"),
        }
    }
}

fn is_healthy(event: &Event) -> bool {
    event.address.as_deref().is_some_and(|address| address.starts_with(HEALTHY))
}

fn told(event: &Event) -> String {
    let address = event.address.as_deref().unwrap_or_default();
    format!("{} ({})", event.id, address.split('@').next().unwrap_or_default())
}
