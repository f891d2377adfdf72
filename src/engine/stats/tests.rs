use crate::domain::stats::StatKey;

use super::*;

/// Thirty seconds into a minute of its own.
const NOW: Timestamp = Timestamp::from_micros((10_000 * 60 + 30) * 1_000_000);
const MINUTE_NOW: i64 = 10_000;

fn key(job_type: &str, queue: &str) -> StatKey {
    StatKey {
        job_type: JobType::new(job_type).expect("a name"),
        queue: QueueName::new(queue).expect("a name"),
    }
}

fn count(of: &StatKey, state: StateKind, stored: i64, finished_total: i64) -> Count {
    Count { key: of.clone(), state, stored, finished_total }
}

fn bucket(of: &StatKey, minute: i64, created: u64) -> Bucket {
    Bucket { key: of.clone(), minute, tally: Tally { created, ..Tally::default() } }
}

fn lately(figures: &Figures) -> &Lately {
    figures.lately.as_ref().expect("it is known")
}

fn kept(counts: Vec<Count>, buckets: Vec<Bucket>) -> Kept {
    Kept { counts, buckets, oldest: Vec::new() }
}

#[test]
fn a_window_covers_every_minute_it_touches() {
    let of = key("t", "q");
    let minutes_ago = |ago| bucket(&of, MINUTE_NOW - ago, 1);
    // Now, the minute that began 90 s ago, and further back at the edge of each window.
    // The day before began at the minute 10 000 − 1 440 = 142 h 40 min, so in the hour that began 40 minutes
    // before that.
    let ago = [0, 1, 2, 60, 61, 1_440, 1_480, 1_481];
    let stats =
        add_up(&StatsFilter::default(), &kept(Vec::new(), ago.map(minutes_ago).to_vec()), NOW);
    let created = |window: &Window| window.tally.created;
    let Lately { minute, hour, day } = lately(&stats.totals);
    assert_eq!((created(minute), created(hour), created(day)), (2, 4, 7));
}

#[test]
fn a_window_tells_what_it_covers() {
    let stats = add_up(&StatsFilter::default(), &kept(Vec::new(), Vec::new()), NOW);
    let Lately { minute, hour, day } = lately(&stats.totals);
    assert_eq!(minute.span, Duration::from_secs(90));
    assert_eq!(hour.span, Duration::from_secs(3_630));
    assert_eq!(day.span, Duration::from_secs(86_400 + 40 * 60 + 30));
    let even = Timestamp::from_micros(MINUTE_NOW * 60_000_000);
    let stats = add_up(&StatsFilter::default(), &kept(Vec::new(), Vec::new()), even);
    assert_eq!(lately(&stats.totals).minute.span, Duration::from_secs(60));
}

#[test]
fn groups_add_up_to_the_totals() {
    let (a, b) = (key("a", "fast"), key("b", "fast"));
    let counts = vec![
        count(&a, StateKind::Pending, 2, 0),
        count(&a, StateKind::Succeeded, 1, 9),
        count(&b, StateKind::Pending, 3, 0),
        count(&key("a", "slow"), StateKind::Pending, 4, 0),
    ];
    let buckets = vec![bucket(&a, MINUTE_NOW, 5), bucket(&b, MINUTE_NOW, 7)];
    let stats = add_up(&StatsFilter::default(), &kept(counts, buckets), NOW);
    assert_eq!(stats.totals.counts[&StateKind::Pending], 9);
    assert_eq!((stats.totals.finished_total, lately(&stats.totals).minute.tally.created), (9, 12));
    assert_eq!(stats.by_type[&a.job_type].counts[&StateKind::Pending], 6);
    assert_eq!(lately(&stats.by_type[&b.job_type]).minute.tally.created, 7);
    assert_eq!(stats.by_queue[&a.queue].counts[&StateKind::Pending], 5);
    assert_eq!(stats.by_queue.len(), 2);
}

#[test]
fn a_filter_holds_for_counters_and_buckets_alike() {
    let (a, b) = (key("a", "fast"), key("b", "slow"));
    let counts = vec![count(&a, StateKind::Pending, 1, 0), count(&b, StateKind::Pending, 2, 0)];
    let buckets = vec![bucket(&a, MINUTE_NOW, 3), bucket(&b, MINUTE_NOW, 4)];
    let kept = kept(counts, buckets);
    let of = |types: &[&StatKey], queues: &[&StatKey]| {
        let filter = StatsFilter {
            types: types.iter().map(|key| key.job_type.clone()).collect(),
            queues: queues.iter().map(|key| key.queue.clone()).collect(),
            ..StatsFilter::default()
        };
        let totals = add_up(&filter, &kept, NOW).totals;
        let pending = totals.counts.get(&StateKind::Pending).copied().unwrap_or_default();
        (pending, lately(&totals).minute.tally.created)
    };
    assert_eq!(of(&[&a], &[]), (1, 3));
    assert_eq!(of(&[], &[&b]), (2, 4));
    assert_eq!(of(&[&a, &b], &[&b]), (2, 4));
    assert_eq!(of(&[&a], &[&b]), (0, 0));
}

#[test]
fn a_type_that_is_not_declared_has_no_category() {
    let of = key("a", "fast");
    let filter = StatsFilter {
        categories: vec![Category::new("sync").expect("a name")],
        ..StatsFilter::default()
    };
    let filter = filter.by_types(&Rulebook::default());
    let stats = add_up(&filter, &kept(vec![count(&of, StateKind::Pending, 1, 0)], Vec::new()), NOW);
    assert!(stats.totals.counts.is_empty() && stats.by_type.is_empty());
}

#[test]
fn the_oldest_of_a_group_tells_its_age() {
    let since = |seconds| NOW.minus(Duration::from_secs(seconds));
    let (a, b) = (key("a", "fast"), key("b", "fast"));
    let oldest = vec![
        (a.queue.clone(), a.job_type.clone(), since(5)),
        (b.queue.clone(), b.job_type.clone(), since(50)),
    ];
    let kept = Kept { counts: Vec::new(), buckets: Vec::new(), oldest };
    let stats = add_up(&StatsFilter::default(), &kept, NOW);
    assert_eq!(stats.totals.oldest_pending_age, Some(Duration::from_secs(50)));
    assert_eq!(stats.by_type[&a.job_type].oldest_pending_age, Some(Duration::from_secs(5)));
}
