use std::time::Duration;

use uuid::Uuid;

use super::*;
use crate::domain::job::ResourceLimits;
use crate::domain::usage::UsagePolicy;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(1_750_000_000_000_000).plus(Duration::from_secs(seconds))
}

/// With this sequence, this activity, and a sample of so many bytes that came then.
fn row(sequence: i64, active: Option<u64>, sample: Option<(u64, u64)>) -> Flushed {
    let progress = Progress { sequence, activity_time: active.map(at), ..Progress::default() };
    let (mut usage, mut usage_watch) = (None, UsageWatch::default());
    if let Some((time, memory_bytes)) = sample {
        let used = ResourceUsage { memory_bytes, ..ResourceUsage::default() };
        usage = Some(used);
        usage_watch.sample(&UsagePolicy::default(), &ResourceLimits::default(), &used, at(time));
    }
    Flushed { lease_epoch: 1, progress, usage, usage_watch }
}

fn stored(row: &Flushed) -> Vec<u8> {
    let Columns { data, active, used, .. } = row.clone().columns().unwrap();
    [data, active, used].concat()
}

#[test]
fn a_row_is_the_same_after_a_way_through_its_columns() {
    for row in [row(0, None, None), row(7, Some(3), None), row(7, Some(3), Some((5, 1 << 40)))] {
        assert_eq!(Flushed::read(&stored(&row)).unwrap(), row);
    }
    let whole = stored(&row(7, Some(3), Some((5, 1 << 40))));
    for cut in 0..whole.len() {
        let read = Flushed::read(&whole[..cut]);
        assert!(read.is_err() || read.unwrap().usage.is_none(), "{cut} bytes are not the whole");
    }
}

#[test]
fn columns_stand_in_the_order_of_their_times() {
    let columns = |row: Flushed| row.columns().unwrap();
    let (none, early, late) =
        (row(1, None, None), row(1, Some(1), Some((1, 900))), row(1, Some(2), Some((2, 3))));
    let (none, early, late) = (columns(none), columns(early), columns(late));
    assert!(none.active < early.active && early.active < late.active);
    assert!(none.used < early.used && early.used < late.used);
}

#[test]
fn each_thing_is_taken_as_it_is_known_later() {
    let mut held = row(4, Some(20), Some((30, 1)));
    held.join(row(5, Some(10), Some((9, 2))));
    assert_eq!(held, row(5, Some(20), Some((30, 1))));
    held.join(Flushed { lease_epoch: 0, ..row(9, Some(99), Some((99, 9))) });
    assert_eq!(held, row(5, Some(20), Some((30, 1))));
    let next = Flushed { lease_epoch: 2, ..row(1, None, None) };
    held.join(next.clone());
    assert_eq!(held, next);
}

#[test]
fn rows_of_one_lease_become_one() {
    let write = |job: u128, row: Flushed| row.of(JobId(Uuid::from_u128(job)));
    let rows = [
        write(1, row(4, Some(20), None)),
        write(2, row(1, None, None)),
        write(1, row(5, Some(10), None)),
        write(1, Flushed { lease_epoch: 2, ..row(1, None, None) }),
    ];
    let found: Vec<_> = of_each_lease(rows.iter())
        .into_iter()
        .map(|(job, row)| (job.0.as_u128(), row.lease_epoch, row.progress.sequence))
        .collect();
    assert_eq!(found, [(1, 1, 5), (2, 1, 1), (1, 2, 1)]);
}
