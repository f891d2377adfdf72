//! What is learned, and what is forgotten.

use super::*;
use crate::domain::QueueName;
use crate::domain::stats::{StatKey, Tally};

fn bucket(minute: i64, seconds: u64, runs: u64) -> Bucket {
    let mut tally = Tally::default();
    (0..runs).for_each(|_| tally.run.record(Duration::from_secs(seconds)));
    let key =
        StatKey { job_type: JobType::new("sync").expect("a type"), queue: QueueName::default() };
    Bucket { key, minute, tally }
}

fn at(minute: i64) -> Timestamp {
    Timestamp::from_micros(minute * 60_000_000)
}

fn runs(learned: &Learned) -> u64 {
    learned.typicals().values().map(Typical::runs).sum()
}

#[test]
fn each_minute_counts_once_and_not_before_it_is_over() {
    let mut learned = Learned::default();
    let (now, buckets) = (at(100_000), [bucket(99_990, 10, 3), bucket(99_999, 10, 4)]);
    learned.learn(&buckets, now);
    assert_eq!((runs(&learned), learned.wanted(now)), (3, 99_998));
    learned.learn(&buckets, now);
    assert_eq!(runs(&learned), 3);
    learned.learn(&buckets, at(100_002));
    assert_eq!(runs(&learned), 7);
}

#[test]
fn what_is_older_than_a_day_is_forgotten() {
    let mut learned = Learned::default();
    learned.learn(&[bucket(99_990, 10, 3)], at(100_000));
    learned.learn(&[], at(100_000 + 25 * 60));
    assert_eq!(runs(&learned), 0);
}
