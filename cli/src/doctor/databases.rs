//! The databases that a worker writes to: their migrations and weeks, whether there are connections enough, and what
//! time it is there.

use anyhow::Context;
use migrations::{Database, MigrationState, MigrationStatus};
use partitions::{PartitionError, Week};
use schemas::Clock;
use sqlx::{PgConnection, PgPool};
use time::{Duration, OffsetDateTime};
use worker::{EVENT_FAILURES, EVENT_LOGS};

use super::check::{
    Check, Finding,
    Severity::{Error, Warning},
};

/// A server, as it concerns one pool on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerFacts {
    pub max_connections: u32,
    /// For superusers and the like.
    pub reserved: u32,
    pub in_use: u32,
    /// How far its clock is ahead of this machine's.
    pub ahead: Duration,
}

/// How many connections a pool may take, and what says so.
#[derive(Debug, Clone)]
pub struct Pool {
    /// `USER_DATABASE_URL`.
    pub variable: String,
    /// Whether the URL has parameters already.
    pub has_parameters: bool,
    pub limit: u32,
    /// With fewer, whoever uses it waits for itself.
    pub needed: u32,
    /// Beside the pool.
    pub beside: u32,
}

/// Beside its transactions a worker records failures, cancels statements and asks whether the database is back.
pub const OF_ITS_OWN: u32 = 2;
/// Within which clocks agree.
const AGREES: Duration = Duration::seconds(30);
/// Beyond which AWS, too, begins to refuse what is signed, and events of the future are turned away.
const DISAGREES: Duration = Duration::minutes(5);

impl ServerFacts {
    pub async fn of(connection: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let clock = Clock::system();
        let asked = clock.now();
        let server: OffsetDateTime = sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&mut *connection).await?;
        let answered = clock.now();
        // PostgreSQL 16 has a second reserve. Of others' connections only whether they are there may be seen.
        let (max_connections, reserved, in_use): (i32, i32, i64) = sqlx::query_as(
            "SELECT current_setting('max_connections')::int,
                    current_setting('superuser_reserved_connections')::int
                    + coalesce(current_setting('reserved_connections', true)::int, 0),
                    (SELECT count(*) FROM pg_stat_activity WHERE datid IS NOT NULL)",
        )
        .fetch_one(connection)
        .await?;
        Ok(Self {
            max_connections: max_connections.unsigned_abs(),
            reserved: reserved.unsigned_abs(),
            in_use: u32::try_from(in_use).unwrap_or(u32::MAX),
            ahead: server - (asked + (answered - asked) / 2),
        })
    }

    pub fn judge(&self, about: &str, pool: &Pool) -> Vec<Check> {
        vec![self.connections(about, pool), self.clock(about)]
    }

    fn connections(&self, about: &str, pool: &Pool) -> Check {
        let left = self.max_connections.saturating_sub(self.reserved).saturating_sub(self.in_use);
        let takes = pool.limit + pool.beside;
        if takes * 2 <= left {
            return Check::ok("server-connections", about);
        }
        let finding = Finding::new(
            format!("one worker may take {takes} connections, of {left} that are left of {}", self.max_connections),
            "at most half of what is left",
            "a second worker, or the next release beside this one, finds no connection and waits",
            // Less than the half that would do now: what is left changes all the time.
            match (left / 4).saturating_sub(pool.beside) {
                quarter if quarter >= pool.needed => pool.limited_to(quarter),
                // With a restart of the server.
                _ => {
                    format!("psql --command 'ALTER SYSTEM SET max_connections = {}'", self.max_connections + 2 * takes)
                }
            },
        );
        Check::found(Warning, "server-connections", about, finding)
    }

    fn clock(&self, about: &str) -> Check {
        let apart = self.ahead.abs();
        if apart <= AGREES {
            return Check::ok("clock", about);
        }
        let severity = if apart > DISAGREES { Error } else { Warning };
        let direction = if self.ahead.is_positive() { "ahead of" } else { "behind" };
        let finding = Finding::new(
            format!("{} s {direction} this machine", apart.whole_seconds()),
            format!("at most {} s apart", AGREES.whole_seconds()),
            "weeks are made and events are dated by machines' clocks, and leases and back-offs in the database by its own",
            "timedatectl set-ntp true",
        );
        Check::found(severity, "clock", about, finding)
    }
}

impl Pool {
    /// Whether it serves a worker's transactions and the worker itself.
    pub fn judge(&self, about: &str) -> Check {
        let needed = self.needed;
        if self.limit >= needed {
            return Check::ok("pool-size", about);
        }
        let transactions = needed - OF_ITS_OWN;
        let severity = if self.limit <= transactions { Error } else { Warning };
        let finding = Finding::new(
            format!("connection_limit is {}", self.limit),
            format!(
                "{needed} or more: WORKER_CONCURRENCY, which is {transactions}, and {OF_ITS_OWN} for the worker itself"
            ),
            "a transaction that takes too long can't be cancelled, and a failure can't be recorded, while all connections are taken",
            self.limited_to(needed),
        );
        Check::found(severity, "pool-size", about, finding)
    }

    /// Of a parameter that is there twice, the last one counts.
    fn limited_to(&self, limit: u32) -> String {
        let (variable, separator) = (&self.variable, if self.has_parameters { '&' } else { '?' });
        format!("export {variable}=\"${variable}{separator}connection_limit={limit}\"")
    }
}

/// Whether all is applied that this binary has.
pub fn judge_migrations(database: Database, about: &str, prepared: bool, status: &[MigrationStatus]) -> Check {
    const ID: &str = "migrations";
    let of = |state| status.iter().filter(move |migration| migration.state == state).map(|m| m.version.to_string());
    let name = database.name();
    let (what, remedy) = match () {
        () if !prepared => ("PGMQ is not there".to_owned(), format!("waypost migrate --database {name}")),
        () if of(MigrationState::Edited).next().is_some() => {
            let edited: Vec<_> = of(MigrationState::Edited).collect();
            (
                format!("edited since it was applied: {}", edited.join(", ")),
                format!("waypost migrate status --database {name}"),
            )
        }
        () => {
            let waiting: Vec<_> = of(MigrationState::Pending).chain(of(MigrationState::Unfinished)).collect();
            if waiting.is_empty() {
                let newer = of(MigrationState::Unknown).count();
                return match newer {
                    0 => Check::ok(ID, about),
                    // As while a release is rolled out.
                    count => Check::info(ID, about, format!("{count} of a newer release are applied")),
                };
            }
            (format!("not applied: {}", waiting.join(", ")), format!("waypost migrate --database {name}"))
        }
    };
    let why = "statements of this release meet tables of another, and each batch of events fails and waits";
    let finding = Finding::new(what, "applied as this release has them", why, remedy);
    Check::found(Error, ID, about, finding)
}

/// Weeks that are missing at `now` or ahead of it.
pub fn judge_weeks(database: Database, table: &str, now: OffsetDateTime, missing: &[Week]) -> Check {
    const ID: &str = "inbox-weeks";
    // The last is made while the hour goes in which it becomes due.
    let last = Week::of(now).plus(partitions::WEEKS_AHEAD);
    let lacking: Vec<_> = missing.iter().filter(|week| **week != last).collect();
    let about = format!("{table} of {}", database.folder());
    let Some(first) = lacking.iter().min() else { return Check::ok(ID, about) };
    let severity = if **first <= Week::of(now).plus(1) { Error } else { Warning };
    let named: Vec<_> = lacking.iter().map(ToString::to_string).collect();
    let finding = Finding::new(
        format!("no partition for the weeks of {}", named.join(", ")),
        format!("this week and {} ahead", partitions::WEEKS_AHEAD),
        "an event of a week without a partition can't be noted as applied, and is rejected or waits",
        format!("waypost migrate --database {}", database.name()),
    );
    Check::found(severity, ID, about, finding)
}

/// Of both tables of the inbox.
pub async fn look_at_weeks(
    database: Database,
    pool: &PgPool,
    now: OffsetDateTime,
) -> Result<Vec<Check>, PartitionError> {
    let mut checks = Vec::new();
    for table in [EVENT_LOGS, EVENT_FAILURES] {
        checks.push(judge_weeks(database, table.name, now, &partitions::missing(pool, table, now).await?));
    }
    Ok(checks)
}

pub async fn look_at_migrations(
    database: Database,
    about: &str,
    connection: &mut PgConnection,
) -> anyhow::Result<Check> {
    let looking = || format!("could not read the migrations of {about}");
    let prepared = database.is_prepared(connection).await.with_context(looking)?;
    let status = database.status(connection).await.with_context(looking)?;
    Ok(judge_migrations(database, about, prepared, &status))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-25 12:00 UTC);

    fn severity(check: &Check) -> Option<super::super::check::Severity> {
        check.finding().map(|(severity, _)| severity)
    }

    fn pool(limit: u32) -> Pool {
        Pool { variable: "USER_DATABASE_URL".to_owned(), has_parameters: false, limit, needed: 6, beside: 0 }
    }

    fn server() -> ServerFacts {
        ServerFacts { max_connections: 100, reserved: 3, in_use: 57, ahead: Duration::ZERO }
    }

    #[test]
    fn a_pool_has_room_for_the_worker_itself() {
        for (limit, expected) in [(6, None), (5, Some(Warning)), (4, Some(Error))] {
            assert_eq!(severity(&pool(limit).judge("user_db")), expected, "{limit}");
        }
        let remedy = |pool: Pool| pool.judge("user_db").finding().unwrap().1.remedy.clone();
        assert_eq!(remedy(pool(4)), "export USER_DATABASE_URL=\"$USER_DATABASE_URL?connection_limit=6\"");
        let with_parameters = Pool { has_parameters: true, ..pool(4) };
        assert_eq!(remedy(with_parameters), "export USER_DATABASE_URL=\"$USER_DATABASE_URL&connection_limit=6\"");
    }

    #[test]
    fn a_worker_leaves_half_of_a_servers_connections_to_others() {
        assert_eq!(severity(&server().connections("user_db", &pool(20))), None);
        assert_eq!(severity(&server().connections("user_db", &pool(21))), Some(Warning));
        let listening = Pool { beside: 1, ..pool(20) };
        assert_eq!(severity(&server().connections("user_db", &listening)), Some(Warning));
        let check = server().connections("user_db", &pool(21));
        let remedy = "export USER_DATABASE_URL=\"$USER_DATABASE_URL?connection_limit=10\"";
        assert_eq!(check.finding().unwrap().1.remedy, remedy);
        let full = ServerFacts { in_use: 200, ..server() };
        let check = full.connections("user_db", &pool(6));
        let remedy = "psql --command 'ALTER SYSTEM SET max_connections = 112'";
        assert_eq!(check.finding().unwrap().1.remedy, remedy);
        assert!(check.finding().unwrap().1.found.contains("of 0 that are left of 100"), "{check:?}");
    }

    #[test]
    fn clocks_that_disagree_are_told_by_how_much() {
        for (ahead, expected) in
            [(0, None), (30, None), (-30, None), (31, Some(Warning)), (-300, Some(Warning)), (301, Some(Error))]
        {
            let facts = ServerFacts { ahead: Duration::seconds(ahead), ..server() };
            assert_eq!(severity(&facts.clock("user_db")), expected, "{ahead}");
        }
        let behind = ServerFacts { ahead: Duration::seconds(-40), ..server() };
        assert_eq!(behind.clock("user_db").finding().unwrap().1.found, "40 s behind this machine");
    }

    #[test]
    fn migrations_are_those_of_this_binary_and_a_newer_database_is_only_told() {
        use MigrationState::{Applied, Edited, Pending, Unfinished, Unknown};
        let judged = |prepared, states: &[MigrationState]| {
            let status: Vec<_> = (1..)
                .zip(states)
                .map(|(version, state)| MigrationStatus { version, description: String::new(), state: *state })
                .collect();
            judge_migrations(Database::User, "user_db", prepared, &status)
        };
        assert_eq!(judged(true, &[Applied, Applied]), Check::ok("migrations", "user_db"));
        let newer = Check::info("migrations", "user_db", "1 of a newer release are applied");
        assert_eq!(judged(true, &[Applied, Unknown]), newer);
        let remedy = |check: &Check| check.finding().unwrap().1.remedy.clone();
        let pending = judged(true, &[Applied, Pending, Unfinished]);
        assert_eq!(severity(&pending), Some(Error));
        assert_eq!(pending.finding().unwrap().1.found, "not applied: 2, 3");
        assert_eq!(remedy(&pending), "waypost migrate --database user");
        assert_eq!(remedy(&judged(true, &[Edited, Pending])), "waypost migrate status --database user");
        assert_eq!(remedy(&judged(false, &[])), "waypost migrate --database user");
    }

    #[test]
    fn weeks_are_there_now_and_ahead() {
        let week = |ahead| Week::of(NOW).plus(ahead);
        let cases: [(&[i64], _); 6] = [
            (&[], None),
            (&[4], None),
            (&[3, 4], Some(Warning)),
            (&[2, 3, 4], Some(Warning)),
            (&[1, 2, 3, 4], Some(Error)),
            (&[0], Some(Error)),
        ];
        for (missing, expected) in cases {
            let weeks: Vec<_> = missing.iter().map(|ahead| week(*ahead)).collect();
            assert_eq!(severity(&judge_weeks(Database::Mailer, "event_logs", NOW, &weeks)), expected, "{missing:?}");
        }
        let check = judge_weeks(Database::Mailer, "event_logs", NOW, &[week(0)]);
        let finding = check.finding().unwrap().1;
        assert_eq!(check.about, "event_logs of mailer_db");
        assert_eq!(finding.found, "no partition for the weeks of 20261123");
        assert_eq!(finding.remedy, "waypost migrate --database mailer");
    }
}
