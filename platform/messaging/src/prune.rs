//! What carries an installation's mark and is not in its topology, and which of it may go.
//!
//! Names can't tell whose a queue is: an installation without a prefix would own everything. So topics and queues are
//! marked when they are made or applied (tags on SNS and SQS, a column in PostgreSQL), and only what carries the mark of
//! this very installation is ever looked at. Nothing here deletes; a bus does, what [`decide`] lets go.

use std::{collections::BTreeSet, fmt, time::Duration};

use serde::{Serialize, Serializer};

use crate::{Counts, Names};

/// How much pruning may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prune {
    /// Also queues that hold messages, with those.
    pub with_messages: bool,
}

/// Consumers whose name begins like this are somebody's look at what passes, and go by themselves: see
/// [`ABANDONED_AFTER`].
pub const TEMPORARY_CONSUMER: &str = "tail-";

/// A temporary consumer's queue that is older than this was left behind. Until then pruning leaves it: somebody may be
/// reading it. From then on it goes whatever it holds, since that is copies.
pub const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Something of this installation that its topology doesn't have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Extra {
    pub resource: ExtraResource,
    /// It feeds a queue of the topology with what its consumer has no handler for.
    pub misdelivers: bool,
    /// Why pruning leaves it; `None`: it goes.
    pub kept: Option<Kept>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExtraResource {
    Subscription { topic: String, queue: String },
    Queue { name: String },
    Topic { name: String },
}

/// Why pruning leaves something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    HoldsMessages(Counts),
    /// Made for somebody's look at what passes, and not long ago.
    Temporary {
        age: Duration,
    },
    /// It belongs to a queue that is left.
    Serves {
        queue: String,
    },
    /// Others are subscribed: queues that are left, and endpoints that are not ours.
    HasSubscribers(usize),
}

/// What a bus found that carries the mark and is not in the topology.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Between topics and queues that are ours, topology or not.
    pub subscriptions: Vec<FoundSubscription>,
    pub queues: Vec<FoundQueue>,
    pub topics: Vec<FoundTopic>,
}

#[derive(Debug)]
pub(crate) struct FoundSubscription {
    pub topic: String,
    pub queue: String,
}

#[derive(Debug)]
pub(crate) struct FoundQueue {
    pub name: String,
    pub counts: Counts,
    pub age: Duration,
}

#[derive(Debug)]
pub(crate) struct FoundTopic {
    pub name: String,
    /// Subscriptions of endpoints that are not ours.
    pub foreign: usize,
}

/// In the order in which they can go: what delivers before what is delivered to, a queue before those that serve it.
pub(crate) fn decide(found: Found, names: &Names, prune: Prune) -> Vec<Extra> {
    let mut queues: Vec<_> = found
        .queues
        .iter()
        .map(|queue| Extra {
            resource: ExtraResource::Queue { name: queue.name.clone() },
            misdelivers: false,
            kept: keeps(queue, names, prune),
        })
        .collect();
    keep_what_serves(&mut queues);
    let left: BTreeSet<_> = queues.iter().filter(|queue| queue.kept.is_some()).filter_map(Extra::queue).collect();
    let extra: BTreeSet<_> = queues.iter().filter_map(Extra::queue).collect();

    let subscriptions: Vec<_> = found
        .subscriptions
        .into_iter()
        .map(|FoundSubscription { topic, queue }| Extra {
            misdelivers: !extra.contains(&queue),
            kept: left.contains(&queue).then(|| Kept::Serves { queue: queue.clone() }),
            resource: ExtraResource::Subscription { topic, queue },
        })
        .collect();
    let staying = |name: &str| {
        let is_of =
            |extra: &&Extra| matches!(&extra.resource, ExtraResource::Subscription { topic, .. } if topic == name);
        subscriptions.iter().filter(is_of).filter(|subscription| subscription.kept.is_some()).count()
    };
    let topics: Vec<_> = found
        .topics
        .into_iter()
        .map(|FoundTopic { name, foreign }| {
            let subscribers = foreign + staying(&name);
            let kept = (subscribers > 0).then_some(Kept::HasSubscribers(subscribers));
            Extra { resource: ExtraResource::Topic { name }, misdelivers: false, kept }
        })
        .collect();

    let mut all = [subscriptions, queues, topics].concat();
    // A queue's name begins the names of those that serve it.
    all.sort_by(|one, other| one.resource.cmp(&other.resource));
    all
}

fn keeps(queue: &FoundQueue, names: &Names, prune: Prune) -> Option<Kept> {
    if names.is_temporary(&queue.name) {
        return (queue.age < ABANDONED_AFTER).then_some(Kept::Temporary { age: queue.age });
    }
    let Counts { visible, in_flight } = queue.counts;
    (visible + in_flight > 0 && !prune.with_messages).then_some(Kept::HoldsMessages(queue.counts))
}

/// A queue that is left keeps those beside it, to which it sends.
pub(crate) fn keep_what_serves(extras: &mut [Extra]) {
    let left: Vec<_> = extras.iter().filter(|extra| extra.kept.is_some()).filter_map(Extra::queue).collect();
    for extra in extras.iter_mut().filter(|extra| extra.kept.is_none()) {
        let Some(name) = extra.queue() else { continue };
        let served = left.iter().find(|queue| Names::attendants(queue).contains(&name));
        extra.kept = served.map(|queue| Kept::Serves { queue: queue.clone() });
    }
}

impl Extra {
    fn queue(&self) -> Option<String> {
        match &self.resource {
            ExtraResource::Queue { name } => Some(name.clone()),
            _ => None,
        }
    }
}

impl fmt::Display for ExtraResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subscription { topic, queue } => write!(f, "subscription {topic} → {queue}"),
            Self::Queue { name } => write!(f, "queue {name}"),
            Self::Topic { name } => write!(f, "topic {name}"),
        }
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HoldsMessages(Counts { visible, in_flight }) => {
                write!(f, "holds messages: {visible} visible, {in_flight} in flight")
            }
            Self::Temporary { age } => {
                let (minutes, most) = (age.as_secs() / 60, ABANDONED_AFTER.as_secs() / 3600);
                write!(f, "temporary, and {minutes} minutes old: it counts as left behind after {most} hours")
            }
            Self::Serves { queue } => write!(f, "belongs to queue {queue}, which stays"),
            Self::HasSubscribers(count) => write!(f, "has subscribers that stay or are not ours: {count}"),
        }
    }
}

impl Serialize for ExtraResource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Kept {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(60 * 60);

    fn queue(name: &str, visible: u64, age: Duration) -> FoundQueue {
        FoundQueue { name: name.to_owned(), counts: Counts { visible, in_flight: 0 }, age }
    }

    fn decided(found: Found, prune: Prune) -> Vec<(String, Option<String>)> {
        let names = Names::with_prefix("dev-");
        let extras = decide(found, &names, prune).into_iter();
        extras.map(|extra| (extra.resource.to_string(), extra.kept.map(|kept| kept.to_string()))).collect()
    }

    #[test]
    fn a_queue_that_holds_messages_stays_with_everything_that_serves_it() {
        let found = || Found {
            subscriptions: vec![FoundSubscription { topic: "dev-a".to_owned(), queue: "dev-old".to_owned() }],
            queues: vec![queue("dev-old-dlq", 0, HOUR), queue("dev-old", 2, HOUR), queue("dev-older", 0, HOUR)],
            topics: vec![FoundTopic { name: "dev-a".to_owned(), foreign: 0 }],
        };
        let stays = Some("belongs to queue dev-old, which stays".to_owned());
        assert_eq!(
            decided(found(), Prune::default()),
            [
                ("subscription dev-a → dev-old".to_owned(), stays.clone()),
                ("queue dev-old".to_owned(), Some("holds messages: 2 visible, 0 in flight".to_owned())),
                ("queue dev-old-dlq".to_owned(), stays),
                ("queue dev-older".to_owned(), None),
                ("topic dev-a".to_owned(), Some("has subscribers that stay or are not ours: 1".to_owned())),
            ]
        );
        let all = decided(found(), Prune { with_messages: true });
        assert!(all.iter().all(|(_, kept)| kept.is_none()), "{all:?}");
    }

    #[test]
    fn a_temporary_queue_goes_only_when_it_was_left_behind_and_then_whatever_it_holds() {
        let queues = [queue("dev-tail-1", 5, HOUR), queue("dev-tail-2", 5, 25 * HOUR)];
        for prune in [Prune::default(), Prune { with_messages: true }] {
            let queues = queues.iter().map(|found| queue(&found.name, found.counts.visible, found.age)).collect();
            let decided = decided(Found { queues, ..Found::default() }, prune);
            let kept = "temporary, and 60 minutes old: it counts as left behind after 24 hours";
            assert_eq!(decided[0].1.as_deref(), Some(kept));
            assert_eq!(decided[1].1, None);
        }
    }

    #[test]
    fn a_topic_with_subscribers_that_are_not_ours_stays() {
        let topics = vec![FoundTopic { name: "dev-a".to_owned(), foreign: 1 }];
        let decided = decided(Found { topics, ..Found::default() }, Prune { with_messages: true });
        assert!(decided[0].1.is_some(), "{decided:?}");
    }
}
