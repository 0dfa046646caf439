//! From single messages to batches: one loop decides what begins, and everything it decides by is its own.
//!
//! Which event may go, `order` knows; when a batch of them begins, `filling` does.
//!
//! Suspects (see `suspects`) run alone: when one is due, nothing else begins until it is done; then others have their turn.

mod filling;
pub(crate) mod order;
pub(crate) mod suspects;
pub(crate) mod work;

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, task::JoinSet, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    dispatch::{
        filling::Filling,
        order::{Agenda, Batch, Place, Subject},
        suspects::{SUSPECT_FROM, acquit},
        work::Work,
    },
    message::{decode::Delivery, lease::Held},
    registry::Shape,
    settings::WorkerSettings,
    status::Status,
};

const TICK: Duration = Duration::from_millis(500);

/// A delivery, and the line that it is for.
pub(crate) type Addressed = (usize, Delivery);

/// Where received messages go in. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Inlet {
    work: Arc<Work>,
    ordinary: mpsc::UnboundedSender<Addressed>,
    unproven: mpsc::UnboundedSender<Vec<Addressed>>,
    /// What is settled without a handler.
    aside: TaskTracker,
}

impl Inlet {
    /// Reads messages and passes each on. Suspicious ones go on together: which of them runs first is drawn from all that
    /// have come, and a killer that came first must not be all there is to draw from.
    pub fn deliver(&self, messages: Vec<Held>) {
        let mut suspicious = Vec::new();
        for held in messages {
            match self.work.read(held) {
                Ok(addressed) if addressed.1.held.message.receive_count >= SUSPECT_FROM => suspicious.push(addressed),
                Ok(addressed) => {
                    if let Err(refused) = self.ordinary.send(addressed) {
                        self.hand_back(vec![refused.0]);
                    }
                }
                Err(unreadable) => {
                    let work = self.work.clone();
                    self.aside.spawn(async move { work.reject(*unreadable).await });
                }
            }
        }
        if !suspicious.is_empty()
            && let Err(refused) = self.unproven.send(suspicious)
        {
            self.hand_back(refused.0);
        }
    }

    /// The loop has ended: the worker is stopping.
    fn hand_back(&self, addressed: Vec<Addressed>) {
        let settler = self.work.settlements.settler.clone();
        let held = addressed.into_iter().map(|(_, delivery)| (delivery.held, Duration::ZERO)).collect();
        self.aside.spawn(async move { settler.release(held).await });
    }

    /// Waits for what was settled aside. Call when nothing is delivered any more.
    pub async fn finish(self) {
        self.aside.close();
        self.aside.wait().await;
    }
}

pub(crate) struct Dispatcher {
    work: Arc<Work>,
    status: Status,
    concurrency: usize,
    most: usize,
    /// To wait for a batch larger than this would be to wait for what there may be no credit to receive.
    enough: usize,
    last_arrival: Instant,
    agenda: Agenda<Delivery>,
    suspects: Vec<Addressed>,
    running: JoinSet<Ended>,
    /// Batches that run, by line.
    busy: Vec<usize>,
    /// Where to look first for the next batch, so that no handler is always last.
    turn: usize,
    /// Whether it is a suspect's turn, as soon as nothing runs.
    suspect_next: bool,
    /// A suspect that is running.
    alone: bool,
    ordinary: mpsc::UnboundedReceiver<Addressed>,
    proven: mpsc::UnboundedReceiver<Proven>,
}

/// What came of a look into the records of failures.
#[derive(Default)]
pub(crate) struct Proven {
    /// They have failed, but killed nobody.
    pub ordinary: Vec<Addressed>,
    pub suspects: Vec<Addressed>,
}

/// A batch that is done, and what may go on for that.
struct Ended {
    line: usize,
    subjects: Vec<Subject>,
}

impl Dispatcher {
    /// The loop, where its messages go in, and the task that looks at suspicious ones. `stop` ends all of it.
    pub fn new(
        work: Arc<Work>,
        status: Status,
        settings: &WorkerSettings,
        stop: CancellationToken,
    ) -> (Self, Inlet, impl Future<Output = ()> + Send + 'static) {
        let (ordinary_in, ordinary) = mpsc::unbounded_channel();
        let (unproven_in, unproven) = mpsc::unbounded_channel();
        let (proven_in, proven) = mpsc::unbounded_channel();
        let inlet =
            Inlet { work: work.clone(), ordinary: ordinary_in, unproven: unproven_in, aside: TaskTracker::new() };
        let acquitting = acquit(work.clone(), unproven, proven_in, stop);
        let WorkerSettings { concurrency, batch: most, most_held, .. } = *settings;
        let dispatcher = Self {
            agenda: Agenda::with_lanes(work.lines.len()),
            busy: vec![0; work.lines.len()],
            work,
            status,
            concurrency,
            most,
            enough: most.min(most_held / 2),
            last_arrival: Instant::now(),
            suspects: Vec::new(),
            running: JoinSet::new(),
            turn: 0,
            suspect_next: false,
            alone: false,
            ordinary,
            proven,
        };
        (dispatcher, inlet, acquitting)
    }

    /// Begins what may begin until `stop`; then finishes what runs, and hands back the rest.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !stop.is_cancelled() {
            self.status.dispatching();
            let due = self.begin_what_may(Instant::now());
            tokio::select! {
                () = stop.cancelled() => {}
                Some(ended) = self.running.join_next() => self.ended(ended),
                Some(addressed) = self.ordinary.recv() => {
                    self.arrive(addressed);
                    // All that a poll has brought goes together.
                    while let Ok(more) = self.ordinary.try_recv() {
                        self.arrive(more);
                    }
                }
                Some(proven) = self.proven.recv() => {
                    proven.ordinary.into_iter().for_each(|addressed| self.arrive(addressed));
                    self.suspects.extend(proven.suspects);
                }
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
                _ = tick.tick() => {}
            }
        }
        self.hand_back_and_finish(tick).await;
    }

    fn arrive(&mut self, (line, delivery): Addressed) {
        let place = place(&delivery);
        self.last_arrival = Instant::now();
        self.agenda.arrive(line, place, self.last_arrival, delivery);
    }

    fn ended(&mut self, ended: Result<Ended, tokio::task::JoinError>) {
        match ended {
            Ok(Ended { line, subjects }) => {
                self.alone = false;
                self.busy[line] -= 1;
                self.agenda.finish(subjects);
            }
            // Handlers are fenced, so this is a mistake of the worker's own: it must not go on as if nothing were.
            Err(died) if died.is_panic() => std::panic::resume_unwind(died.into_panic()),
            Err(_) => {}
        }
    }

    /// Answers when to look again, if that is to be without any other reason.
    fn begin_what_may(&mut self, now: Instant) -> Option<Instant> {
        if self.alone {
            return None;
        }
        if self.suspect_next && !self.suspects.is_empty() {
            if self.running.is_empty() {
                self.begin_a_suspect();
            }
            return None;
        }
        let mut due = None;
        for at in 0..self.busy.len() {
            let line = (self.turn + at) % self.busy.len();
            while self.has_room(line) {
                match self.when(line, now) {
                    When::Now => self.begin(line),
                    When::At(then) => {
                        due = due.into_iter().chain([then]).min();
                        break;
                    }
                    When::NotYet => break,
                }
            }
        }
        self.turn += 1;
        // Everybody had a turn.
        self.suspect_next = !self.suspects.is_empty();
        if self.suspect_next && self.running.is_empty() {
            self.begin_a_suspect();
        }
        due
    }

    fn has_room(&self, line: usize) -> bool {
        match self.work.lines[line].handler.shape() {
            Shape::Perform { at_a_time } => self.busy[line] < at_a_time,
            Shape::Apply => self.transactions() < self.concurrency,
        }
    }

    fn transactions(&self) -> usize {
        let lines = self.work.lines.iter().zip(&self.busy);
        lines.filter(|(line, _)| line.handler.shape() == Shape::Apply).map(|(_, busy)| busy).sum()
    }

    fn when(&self, line: usize, now: Instant) -> When {
        let Some(since) = self.agenda.first_since(line) else { return When::NotYet };
        if self.work.lines[line].handler.shape() != Shape::Apply {
            return When::Now;
        }
        let filling = Filling {
            since,
            ready: self.agenda.ready(line),
            enough: self.enough,
            last_arrival: self.last_arrival,
            beside_another: self.busy[line] > 0,
            since_full_poll: self.status.since_last_full_poll(),
        };
        match filling.until() {
            Some(then) if now < then => When::At(then),
            _ => When::Now,
        }
    }

    fn begin(&mut self, line: usize) {
        let most = match self.work.lines[line].handler.shape() {
            Shape::Apply => self.most,
            // Each settles when it is done, and no slow one holds up others.
            Shape::Perform { .. } => 1,
        };
        let batch = self.agenda.take(line, most);
        self.spawn(line, batch, false);
    }

    /// At random, so that of many that share a queue with one killer about half get through before each crash.
    fn begin_a_suspect(&mut self) {
        self.suspect_next = false;
        let (line, delivery) = self.suspects.swap_remove(rand::random_range(..self.suspects.len()));
        self.alone = true;
        self.spawn(line, Batch { items: vec![delivery], subjects: Vec::new() }, true);
    }

    fn spawn(&mut self, line: usize, batch: Batch<Delivery>, alone: bool) {
        self.busy[line] += 1;
        let work = self.work.clone();
        self.running.spawn(async move {
            if alone {
                // Were this one to kill the process, what is done must not come again for it.
                work.settlements.settler.flush().await;
                crate::measure::suspect();
            }
            work.process(&work.lines[line], batch.items).await;
            Ended { line, subjects: batch.subjects }
        });
    }

    async fn hand_back_and_finish(mut self, mut tick: tokio::time::Interval) {
        self.ordinary.close();
        self.proven.close();
        let mut rest = self.agenda.clear();
        rest.extend(self.suspects.drain(..).map(|(_, delivery)| delivery));
        while let Some((_, delivery)) = self.ordinary.recv().await {
            rest.push(delivery);
        }
        while let Some(Proven { ordinary, suspects }) = self.proven.recv().await {
            rest.extend(ordinary.into_iter().chain(suspects).map(|(_, delivery)| delivery));
        }
        let settler = &self.work.settlements.settler;
        settler.release(rest.into_iter().map(|delivery| (delivery.held, Duration::ZERO)).collect()).await;
        loop {
            self.status.dispatching();
            tokio::select! {
                ended = self.running.join_next() => match ended {
                    Some(ended) => self.ended(ended),
                    None => return,
                },
                _ = tick.tick() => {}
            }
        }
    }
}

enum When {
    Now,
    At(Instant),
    NotYet,
}

fn place(delivery: &Delivery) -> Place {
    let envelope = &delivery.envelope;
    Place {
        subject: envelope.subject.as_deref().map(Into::into),
        version: envelope.sequence.map(|sequence| (envelope.source.as_str().into(), sequence.get())),
    }
}
