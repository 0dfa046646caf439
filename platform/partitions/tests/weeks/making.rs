use std::sync::Arc;

use partitions::{PartitionError, Table, Week};
use sqlx::postgres::PgPoolOptions;
use time::{Duration, OffsetDateTime};
use tokio::{sync::Barrier, task::JoinSet};

use crate::things::{SUNDAY, THINGS, is_refused, things, weeks};

const WEEK: Duration = Duration::days(7);
const MOMENT: Duration = Duration::milliseconds(1);

#[tokio::test]
async fn a_week_is_there_before_it_is_needed() {
    for now in [SUNDAY - MOMENT, SUNDAY, SUNDAY + MOMENT, SUNDAY + 2 * MOMENT, SUNDAY + Duration::days(3)] {
        let things = things().await;
        let done = things.maintain(now).await.unwrap();
        assert_eq!(done.made, weeks(now - THINGS.keep, now + 4 * WEEK));
        assert_eq!(done.oldest, Week::of(now - THINGS.keep).start());
        for at in [now - THINGS.keep, now - WEEK, now, now + WEEK, now + 2 * WEEK, now + 3 * WEEK, now + 4 * WEEK] {
            things.insert(at, "in a week").await.unwrap();
        }

        let later = Week::of(now).plus(5).start();
        assert!(is_refused(things.insert(later, "too early").await), "{now}");
        let done = things.maintain(now + WEEK).await.unwrap();
        assert_eq!(done.made, [Week::of(later)]);
        things.insert(later, "in time").await.unwrap();
        things.insert(now + 5 * WEEK, "in time").await.unwrap();
    }
}

#[tokio::test]
async fn weeks_that_are_missing_now_and_ahead_are_told_and_none_is_made() {
    let things = things().await;
    let ahead = weeks(SUNDAY, SUNDAY + 4 * WEEK);
    for _ in 0..2 {
        assert_eq!(partitions::missing(things.pool(), THINGS, SUNDAY).await.unwrap(), ahead);
    }
    things.maintain(SUNDAY).await.unwrap();
    assert_eq!(partitions::missing(things.pool(), THINGS, SUNDAY).await.unwrap(), []);
    let later = SUNDAY + 2 * WEEK;
    let missing = partitions::missing(things.pool(), THINGS, later).await.unwrap();
    assert_eq!(missing, weeks(later + 3 * WEEK, later + 4 * WEEK));
}

#[tokio::test]
async fn weeks_meet_without_gap_or_overlap() {
    let things = things().await;
    things.maintain(SUNDAY).await.unwrap();
    things.insert(SUNDAY, "last moment").await.unwrap();
    things.insert(SUNDAY + MOMENT, "first moment").await.unwrap();
    let places: Vec<_> = things.rows().await.into_iter().map(|(note, place, _)| (note, place)).collect();
    assert_eq!(
        places,
        [
            ("last moment".to_owned(), "things_20261116(0,1)".to_owned()),
            ("first moment".to_owned(), "things_20261123(0,1)".to_owned())
        ]
    );
}

#[tokio::test]
async fn weeks_missed_while_nobody_maintained_are_made_up_for() {
    let things = things().await;
    things.maintain(SUNDAY).await.unwrap();
    let now = SUNDAY + 10 * WEEK;
    let done = things.maintain(now).await.unwrap();
    assert_eq!(done.made, weeks(now - THINGS.keep, now + 4 * WEEK));
    assert_eq!(done.dropped, weeks(SUNDAY - THINGS.keep, SUNDAY + 4 * WEEK));
    things.insert(now, "on time again").await.unwrap();
}

#[tokio::test]
async fn maintaining_twice_changes_nothing() {
    let things = things().await;
    things.maintain(SUNDAY).await.unwrap();
    let before = things.partitions().await;
    let done = things.maintain(SUNDAY).await.unwrap();
    assert_eq!((done.made, done.dropped, done.held), (vec![], vec![], vec![]));
    assert_eq!(things.partitions().await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_that_maintain_at_once_make_each_week_once_and_drop_what_is_old() {
    let things = things().await;
    things.maintain(SUNDAY - 20 * WEEK).await.unwrap();
    let (start, mut maintaining) = (Arc::new(Barrier::new(8)), JoinSet::new());
    for _ in 0..8 {
        // Connected beforehand, so that nobody is late.
        let pool = PgPoolOptions::new().max_connections(1).connect(&things.database.url).await.unwrap();
        let start = start.clone();
        maintaining.spawn(async move {
            start.wait().await;
            partitions::maintain(&pool, THINGS, SUNDAY).await.unwrap().made
        });
    }
    let mut made: Vec<Week> = maintaining.join_all().await.into_iter().flatten().collect();
    made.sort();
    let expected = weeks(SUNDAY - THINGS.keep, SUNDAY + 4 * WEEK);
    assert_eq!(made, expected);
    let names: Vec<_> = expected.iter().map(|week| format!("things_{week}")).collect();
    assert_eq!(things.partition_names().await, names);
}

#[tokio::test]
async fn old_weeks_are_dropped_and_kept_ones_are_not_touched() {
    let things = things().await;
    things.maintain(SUNDAY).await.unwrap();
    for weeks_ago in 0..=2 {
        things.insert(SUNDAY - weeks_ago * WEEK, &format!("{weeks_ago} weeks ago")).await.unwrap();
    }
    let (before, partitions) = (things.rows().await, things.partitions().await);
    assert_eq!(things.notes().await, ["2 weeks ago", "1 weeks ago", "0 weeks ago"]);

    // The oldest kept moment is then in the week of "1 weeks ago".
    let now = SUNDAY + WEEK;
    let done = things.maintain(now).await.unwrap();
    assert_eq!(done.dropped, [Week::of(SUNDAY - 2 * WEEK)]);
    assert_eq!(done.oldest, Week::of(SUNDAY - WEEK).start());
    assert_eq!(things.rows().await, before[1..]);
    assert_eq!(things.partitions().await[..partitions.len() - 1], partitions[1..]);
    assert!(is_refused(things.insert(SUNDAY - 2 * WEEK, "claimed again").await));
}

#[tokio::test]
async fn keeping_weeks_for_longer_does_not_bring_dropped_ones_back() {
    let things = things().await;
    things.maintain(SUNDAY).await.unwrap();
    let longer = Table { keep: 10 * WEEK, ..THINGS };
    let done = partitions::maintain(things.pool(), longer, SUNDAY + WEEK).await.unwrap();
    assert_eq!((done.made, done.dropped), (vec![Week::of(SUNDAY + 5 * WEEK)], vec![]));
    assert_eq!(done.oldest, Week::of(SUNDAY - THINGS.keep).start());
    assert!(is_refused(things.insert(SUNDAY - 3 * WEEK, "claimed again").await));
}

#[tokio::test]
async fn a_week_is_kept_as_long_as_a_moment_of_it_is_young_enough() {
    let things = things().await;
    things.maintain(SUNDAY).await.unwrap();
    let last_moment_of_the_first_week = Week::of(SUNDAY - THINGS.keep).plus(1).start() - MOMENT;
    let now = last_moment_of_the_first_week + THINGS.keep;
    assert_eq!(things.maintain(now).await.unwrap().dropped, []);
    assert_eq!(things.maintain(now + MOMENT).await.unwrap().dropped, [Week::of(last_moment_of_the_first_week)]);
}

#[tokio::test]
async fn a_week_that_holds_what_must_not_be_dropped_stays_until_it_holds_none() {
    let holding = Table { hold: Some("note <> 'done'"), ..THINGS };
    let things = things().await;
    things.maintain(SUNDAY).await.unwrap();
    let (held, free) = (SUNDAY - WEEK, SUNDAY - 2 * WEEK);
    things.insert(held, "waits").await.unwrap();
    things.insert(held, "done").await.unwrap();
    things.insert(free, "done").await.unwrap();

    let now = SUNDAY + 3 * WEEK;
    let done = partitions::maintain(things.pool(), holding, now).await.unwrap();
    assert_eq!(done.held, [Week::of(held)]);
    assert_eq!(done.dropped, [Week::of(free), Week::of(SUNDAY)]);
    assert_eq!(done.oldest, Week::of(held).start());
    assert_eq!(partitions::oldest(things.pool(), holding).await.unwrap(), Some(done.oldest));
    let mut notes = things.notes().await;
    notes.sort();
    assert_eq!(notes, ["done", "waits"]);

    things.execute("UPDATE things SET note = 'done'").await;
    let done = partitions::maintain(things.pool(), holding, now).await.unwrap();
    assert_eq!((done.dropped, done.held), (vec![Week::of(held)], vec![]));
    assert_eq!(done.oldest, Week::of(now - THINGS.keep).start());
}

#[tokio::test]
async fn a_key_without_a_week_is_refused() {
    let things = things().await;
    let now = SUNDAY;
    assert!(is_refused(things.insert(now, "no week at all").await));
    things.maintain(now).await.unwrap();
    let (first, end) = (Week::of(now - THINGS.keep).start(), Week::of(now).plus(5).start());
    for outside in [OffsetDateTime::UNIX_EPOCH, first - MOMENT, end, end + 500 * WEEK] {
        assert!(is_refused(things.insert(outside, "outside").await), "{outside}");
    }
    for inside in [first, end - MOMENT] {
        things.insert(inside, "inside").await.unwrap();
    }
}

#[tokio::test]
async fn the_oldest_moment_is_told_and_there_is_none_without_weeks() {
    let things = things().await;
    assert_eq!(partitions::oldest(things.pool(), THINGS).await.unwrap(), None);
    things.maintain(SUNDAY).await.unwrap();
    assert_eq!(partitions::oldest(things.pool(), THINGS).await.unwrap(), Some(Week::of(SUNDAY - THINGS.keep).start()));
}

#[tokio::test]
async fn a_partition_that_is_no_week_is_named_and_nothing_is_done() {
    for (name, bounds) in [
        ("things_default", "DEFAULT".to_owned()),
        ("things_from_tuesday", {
            let tuesday = partitions::smallest_key(Week::of(SUNDAY).start() + Duration::days(1));
            let friday = partitions::smallest_key(Week::of(SUNDAY).start() + Duration::days(4));
            format!("FOR VALUES FROM ('{tuesday}') TO ('{friday}')")
        }),
        ("things_ever", "FOR VALUES FROM (MINVALUE) TO (MAXVALUE)".to_owned()),
    ] {
        let things = things().await;
        things.execute(format!("CREATE TABLE {name} PARTITION OF things {bounds}")).await;
        let error = things.maintain(SUNDAY).await.unwrap_err();
        assert_eq!(error.to_string(), format!("things has a partition `{name}` that is not a week"));
        assert!(matches!(error, PartitionError::NotAWeek { .. }));
        assert_eq!(things.partition_names().await, [name]);
    }
}

#[tokio::test]
async fn a_table_that_is_not_there_is_named() {
    let things = things().await;
    let missing = Table { name: "no_things", ..THINGS };
    let error = partitions::maintain(things.pool(), missing, SUNDAY).await.unwrap_err();
    assert_eq!(error.to_string(), "could not maintain the partitions of no_things");
}
