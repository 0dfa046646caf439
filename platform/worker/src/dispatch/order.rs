//! What waits for its handler, and in which order it may go. No IO.
//!
//! Standard queues reorder, and so do retries. Within a worker, though, events of one subject go one after the other,
//! whichever handlers they are for: an event waits while an earlier one of its subject is being applied, and those that
//! wait for the same handler go together in one batch. Where several of one source wait for a subject, those with an older
//! version go first. Across workers, the guard on `sequence` in the handlers' SQL decides.
//!
//! Invariant: a subject is in at most one batch at a time, and whatever arrived is handed out exactly once.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use tokio::time::Instant;

/// The subject of an event.
pub(crate) type Subject = Arc<str>;

/// What is known of an event's place among others.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    /// Without one, nothing has to wait for it.
    pub subject: Option<Subject>,
    /// Source and version. Versions of different sources don't compare.
    pub version: Option<(Arc<str>, i64)>,
}

/// Everything that waits, by lane: one for each handler.
pub(crate) struct Agenda<T> {
    /// What may go now.
    lanes: Vec<VecDeque<Waiting<T>>>,
    /// Of each subject that has something in a lane or in a batch: what has to wait for that.
    behind: HashMap<Subject, VecDeque<(usize, Waiting<T>)>>,
}

struct Waiting<T> {
    place: Place,
    since: Instant,
    item: T,
}

/// What goes to a handler together. Its subjects are taken until it is [finished](Agenda::finish).
#[derive(Debug)]
pub(crate) struct Batch<T> {
    pub items: Vec<T>,
    pub subjects: Vec<Subject>,
}

impl<T> Agenda<T> {
    pub fn with_lanes(lanes: usize) -> Self {
        Self { lanes: std::iter::repeat_with(VecDeque::new).take(lanes).collect(), behind: HashMap::new() }
    }

    pub fn arrive(&mut self, lane: usize, place: Place, since: Instant, item: T) {
        let waiting = Waiting { place, since, item };
        let Some(subject) = waiting.place.subject.clone() else {
            self.lanes[lane].push_back(waiting);
            return;
        };
        if let Some(behind) = self.behind.get_mut(&subject) {
            let newer = behind.iter().rev().take_while(|(_, other)| waiting.is_older_than(other)).count();
            behind.insert(behind.len() - newer, (lane, waiting));
        } else {
            self.behind.insert(subject, VecDeque::new());
            self.lanes[lane].push_back(waiting);
        }
    }

    /// How many may go to a lane's handler now. More may come along, which wait behind one of these.
    pub fn ready(&self, lane: usize) -> usize {
        self.lanes[lane].len()
    }

    /// Since when the first of a lane waits.
    pub fn first_since(&self, lane: usize) -> Option<Instant> {
        self.lanes[lane].front().map(|waiting| waiting.since)
    }

    /// Takes up to `most` of a lane.
    pub fn take(&mut self, lane: usize, most: usize) -> Batch<T> {
        let mut batch = Batch { items: Vec::new(), subjects: Vec::new() };
        // Of one subject; one vector for all of them, which nearly always holds one.
        let mut together = Vec::new();
        while batch.items.len() < most
            && let Some(first) = self.lanes[lane].pop_front()
        {
            let subject = first.place.subject.clone();
            together.push(first);
            if let Some(subject) = subject {
                if let Some(behind) = self.behind.get_mut(&subject) {
                    while batch.items.len() + together.len() < most
                        && behind.front().is_some_and(|(to, _)| *to == lane)
                        && let Some((_, next)) = behind.pop_front()
                    {
                        let newer = together.iter().rev().take_while(|other| next.is_older_than(other)).count();
                        together.insert(together.len() - newer, next);
                    }
                }
                batch.subjects.push(subject);
            }
            batch.items.extend(together.drain(..).map(|waiting| waiting.item));
        }
        batch
    }

    /// What waited for these subjects may go on.
    pub fn finish(&mut self, subjects: Vec<Subject>) {
        for subject in subjects {
            let next = self.behind.get_mut(&subject).and_then(VecDeque::pop_front);
            match next {
                // It has waited longer than what its lane holds.
                Some((lane, waiting)) => self.lanes[lane].push_front(waiting),
                None => drop(self.behind.remove(&subject)),
            }
        }
    }

    /// Everything that has not gone.
    pub fn clear(&mut self) -> Vec<T> {
        let lanes = self.lanes.iter_mut().flat_map(|lane| lane.drain(..));
        let behind = self.behind.values_mut().flat_map(|behind| behind.drain(..).map(|(_, waiting)| waiting));
        lanes.chain(behind).map(|waiting| waiting.item).collect()
    }
}

impl<T> Waiting<T> {
    fn is_older_than(&self, other: &Self) -> bool {
        match (&self.place.version, &other.place.version) {
            (Some((source, version)), Some((other_source, other_version))) => {
                source == other_source && version < other_version
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const LANES: usize = 3;

    impl<T> Agenda<T> {
        fn waiting(&self) -> usize {
            let lanes: usize = self.lanes.iter().map(VecDeque::len).sum();
            lanes + self.behind.values().map(VecDeque::len).sum::<usize>()
        }
    }

    fn place(subject: u8, version: Option<i64>) -> Place {
        // The last one stands for none.
        let subject = (subject < 4).then(|| subject.to_string().into());
        Place { subject, version: version.map(|version| ("auth-service".into(), version)) }
    }

    fn arrive(agenda: &mut Agenda<i64>, lane: usize, subject: u8, version: i64) {
        agenda.arrive(lane, place(subject, Some(version)), Instant::now(), version);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Arrive { lane: usize, subject: u8 },
        Take { lane: usize, most: usize },
        Finish { which: prop::sample::Index },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (0..LANES, 0u8..5).prop_map(|(lane, subject)| Step::Arrive { lane, subject }),
            2 => (0..LANES, 1usize..5).prop_map(|(lane, most)| Step::Take { lane, most }),
            2 => any::<prop::sample::Index>().prop_map(|which| Step::Finish { which }),
        ]
    }

    proptest! {
        /// Items are (subject, arrival), without versions: then arrival is the order.
        #[test]
        fn a_subject_is_in_one_batch_at_a_time_in_order_and_nothing_is_lost(steps in prop::collection::vec(step(), 1..200)) {
            let mut agenda = Agenda::with_lanes(LANES);
            let mut running: Vec<Batch<(u8, usize)>> = Vec::new();
            let (mut arrived, mut gone) = (0, Vec::new());
            let mut last: BTreeMap<u8, usize> = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Arrive { lane, subject } => {
                        agenda.arrive(lane, place(subject, None), Instant::now(), (subject, arrived));
                        arrived += 1;
                    }
                    Step::Take { lane, most } => {
                        let batch = agenda.take(lane, most);
                        prop_assert!(batch.items.len() <= most);
                        for (subject, arrival) in batch.items.iter().filter(|(subject, _)| *subject < 4) {
                            let is_taken = running.iter().flat_map(|batch| &batch.items).any(|(other, _)| other == subject);
                            prop_assert!(!is_taken, "{subject} is in two batches");
                            prop_assert!(last.insert(*subject, *arrival) < Some(*arrival), "{subject} is out of order");
                        }
                        gone.extend(batch.items.iter().map(|(_, arrival)| *arrival));
                        running.push(batch);
                    }
                    Step::Finish { which } if !running.is_empty() => {
                        let batch = running.swap_remove(which.index(running.len()));
                        agenda.finish(batch.subjects);
                    }
                    Step::Finish { .. } => {}
                }
                prop_assert_eq!(agenda.waiting(), arrived - gone.len());
            }
            // Whatever still waits goes, once nothing is in its way.
            for batch in running {
                agenda.finish(batch.subjects);
            }
            while agenda.waiting() > 0 {
                let before = agenda.waiting();
                for lane in 0..LANES {
                    let batch = agenda.take(lane, 2);
                    gone.extend(batch.items.iter().map(|(_, arrival)| *arrival));
                    agenda.finish(batch.subjects);
                }
                prop_assert!(agenda.waiting() < before, "what waits waits for nothing");
            }
            gone.sort_unstable();
            prop_assert_eq!(gone, (0..arrived).collect::<Vec<_>>());
            prop_assert!(agenda.behind.is_empty(), "subjects are forgotten when they are done");
        }
    }

    #[test]
    fn older_versions_go_first_among_what_waits() {
        let mut agenda = Agenda::with_lanes(2);
        for version in [9, 7, 8] {
            arrive(&mut agenda, 0, 1, version);
        }
        let batch = agenda.take(0, 10);
        assert_eq!(batch.items, [7, 8, 9]);
        // While they are applied, more arrive, for both handlers.
        for (lane, version) in [(0, 5), (1, 4), (0, 6)] {
            arrive(&mut agenda, lane, 1, version);
        }
        assert_eq!((agenda.ready(0), agenda.ready(1)), (0, 0));
        agenda.finish(batch.subjects);
        let first = agenda.take(1, 10);
        assert_eq!(first.items, [4]);
        assert!(agenda.take(0, 10).items.is_empty());
        agenda.finish(first.subjects);
        assert_eq!(agenda.take(0, 10).items, [5, 6]);
    }

    #[test]
    fn what_has_no_subject_or_another_one_waits_for_nobody() {
        let mut agenda = Agenda::with_lanes(1);
        arrive(&mut agenda, 0, 1, 1);
        let first = agenda.take(0, 10);
        arrive(&mut agenda, 0, 1, 2);
        arrive(&mut agenda, 0, 2, 3);
        arrive(&mut agenda, 0, 4, 4);
        assert_eq!(agenda.take(0, 10).items, [3, 4]);
        assert_eq!(first.items, [1]);
        assert_eq!(agenda.clear(), [2]);
        assert_eq!(agenda.waiting(), 0);
    }
}
