use tokio::time::Duration;

use crate::window::Window;

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Events that are ready in memory.
    pub ready: usize,
    /// Events in a queue in PostgreSQL.
    pub embedded: usize,
    /// Events in a queue in LocalStack.
    pub backlog: usize,
    /// Events for who takes them one by one.
    pub one_by_one: usize,
    /// Events behind a proxy that holds everything up.
    pub delayed: usize,
    /// Events that come while nothing else happens.
    pub idle: usize,
    /// Rows in an outbox.
    pub outbox: usize,
    /// Transactions of a producer.
    pub commits: usize,
    /// Messages in hand.
    pub held: usize,
    /// Rows in `event_logs`, when it is full.
    pub many_rows: usize,
    /// And when it is young.
    pub few_rows: usize,
    /// Claims in each.
    pub claims: usize,
    /// Letters in a dead-letter queue.
    pub dead_letters: usize,
    /// Letters that are replayed.
    pub replayed: usize,
    /// Products in a file.
    pub imported: usize,
    /// Requests of each client that reads from the API.
    pub reads: usize,
    /// And of each that writes.
    pub writes: usize,
    /// In which sign-ins and registrations are counted, several times in a run.
    pub hashing: Window,
    /// Clients that sign in again and again, beside somebody who reads.
    pub crowd: usize,
    /// Sign-ins of each kind whose time is compared.
    pub timed: usize,
    /// Seconds for which processes are watched.
    pub watched: u64,
    /// Events for each process that is watched.
    pub per_process: usize,
}

impl Sizes {
    pub const FULL: Self = Self {
        ready: 60_000,
        embedded: 30_000,
        backlog: 20_000,
        one_by_one: 3_000,
        delayed: 8_000,
        idle: 100,
        outbox: 4_000,
        commits: 12_000,
        held: 5_000,
        many_rows: 10_000_000,
        few_rows: 10_000,
        claims: 200,
        dead_letters: 20_000,
        replayed: 10_000,
        imported: 100_000,
        reads: 2_000,
        writes: 500,
        hashing: Window { before: Duration::from_millis(500), counted: Duration::from_millis(1_500) },
        crowd: 200,
        timed: 200,
        watched: 8,
        per_process: 10_000,
    };

    /// For finding out whether it works at all. What it measures says nothing.
    pub const QUICK: Self = Self {
        ready: 2_000,
        embedded: 1_000,
        backlog: 600,
        one_by_one: 60,
        delayed: 200,
        idle: 5,
        outbox: 200,
        commits: 100,
        held: 200,
        many_rows: 50_000,
        few_rows: 10_000,
        claims: 10,
        dead_letters: 600,
        replayed: 300,
        imported: 2_500,
        reads: 10,
        writes: 5,
        hashing: Window { before: Duration::from_millis(50), counted: Duration::from_millis(400) },
        crowd: 10,
        timed: 5,
        watched: 2,
        per_process: 3_000,
    };
}
