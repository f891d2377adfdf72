use bytes::Bytes;
use uuid::Uuid;

use super::super::{Before, Event};
use super::*;
use crate::domain::machine::{self, Birth};
use crate::domain::{JobSpec, Progress, QueueName, ResourceUsage, StateKind, Timestamp, Trigger};

/// Workers that report nothing.
struct Silence;

impl LiveProgress for Silence {
    fn newest(&self, _: JobId, _: i64) -> Option<(Progress, Option<ResourceUsage>)> {
        None
    }

    fn reporting(&self) -> Vec<JobId> {
        Vec::new()
    }
}

fn at(sequence: i64) -> Position {
    Position::Sequence(sequence)
}

/// A waiting job, as it stands at a revision.
fn job(number: u128, revision: i64) -> Job {
    let job_type = JobType::new("sync").expect("a name");
    let mut spec = JobSpec::new(job_type, QueueName::default());
    spec.payload = Some(Bytes::from_static(b"{}"));
    spec.labels.insert("run".to_owned(), number.to_string());
    let birth = Birth {
        created_by: "tester".to_owned(),
        trigger: Trigger::Api,
        category: None,
        skipped: None,
    };
    let mut status = machine::create(&spec, birth, Timestamp::from_micros(1));
    status.revision = revision;
    Job { id: JobId(Uuid::from_u128(number)), spec: Arc::new(spec), status }
}

/// The same, and over: not among those watched.
fn over(number: u128, revision: i64) -> Job {
    let mut job = job(number, revision);
    job.status.state = crate::domain::status::State::Cancelled;
    job
}

fn put(before: Before, after: Job) -> Change {
    Change::Put { before, after: Arc::new(Snapshot::of(after)) }
}

fn waiting() -> JobFilter {
    JobFilter { states: vec![StateKind::Pending], ..JobFilter::default() }
}

fn followed(filter: JobFilter) -> (Feed, Follower) {
    let feed = Feed::new(Arc::new(Silence));
    let follower = feed.follow(filter, false).expect("a place");
    feed.begin_at(at(5));
    (feed, follower)
}

/// The revisions that came, negative for a job that went.
fn revisions(follower: &mut Follower) -> Vec<i64> {
    let news = follower.take().expect("a head");
    let revision = |event: &Event| match event {
        Event::Upsert(shown) => shown.job.status.revision,
        Event::Removed { job, .. } => -job.as_ref().map_or(0, |shown| shown.job.status.revision),
    };
    news.changes.expect("all of it").iter().map(revision).collect()
}

fn publish(feed: &Feed, position: i64, changes: Vec<Change>) {
    feed.publish(Commit { position: at(position), changes });
    feed.work();
}

#[test]
fn commits_are_shown_in_their_order_whoever_comes_first() {
    let (feed, mut follower) = followed(waiting());
    publish(&feed, 7, vec![put(Before::Known(Box::new(job(1, 1))), over(1, 2))]);
    assert_eq!(revisions(&mut follower), [0; 0], "its turn has not come");
    publish(&feed, 6, vec![put(Before::None, job(1, 1))]);
    assert_eq!(revisions(&mut follower), [-2]);
    assert_eq!(feed.head().expect("a head").position, at(7));
}

#[test]
fn a_repair_that_read_further_than_its_position_is_not_taken_back_by_what_follows() {
    let (feed, mut follower) = followed(waiting());
    // 6 and 7 never came; meanwhile 8 brings the job back and 9 ends it, which the repair has read.
    let repair = Repair {
        from: at(5),
        to: at(7),
        read_through: at(9),
        jobs: vec![over(1, 5)],
        removed: vec![(JobId(Uuid::from_u128(2)), None)],
    };
    feed.repair(repair);
    let head = feed.head().expect("a head");
    assert!(!head.is_whole_until(&head), "it shows some of what comes later");
    assert_eq!(revisions(&mut follower), [-5, 0]);
    let back = put(Before::Known(Box::new(over(1, 3))), job(1, 4));
    publish(&feed, 8, vec![back, put(Before::None, job(2, 1))]);
    assert_eq!(revisions(&mut follower), [0; 0], "older than what was shown");
    publish(&feed, 9, vec![put(Before::Known(Box::new(job(1, 4))), over(1, 5))]);
    let head = feed.head().expect("a head");
    assert!(head.is_whole_until(&head));
    publish(&feed, 10, vec![put(Before::Known(Box::new(over(1, 5))), job(1, 6))]);
    assert_eq!(revisions(&mut follower), [6]);
}

#[test]
fn who_takes_some_of_a_repair_finds_that_it_is_not_whole() {
    let (feed, mut follower) = followed(waiting());
    let head_before = feed.head().expect("a head");
    let (from, to, read_through) = (at(5), at(7), at(9));
    feed.repair(Repair { from, to, read_through, jobs: vec![job(1, 2)], removed: Vec::new() });
    assert_eq!(revisions(&mut follower), [2]);
    assert!(!head_before.is_whole_until(&feed.head().expect("a head")));
}

/// A job that runs under a lease.
fn running(number: u128, revision: i64) -> Job {
    use crate::domain::machine::{Applied, Command, Now};
    let waiting = job(number, revision - 1);
    let session = crate::domain::SessionId(Uuid::from_u128(9));
    let worker_id = crate::domain::WorkerName::new("w1").expect("a name");
    let start = Command::Start { session, worker_id };
    let now = Now::at(Timestamp::from_micros(2));
    match machine::apply(&waiting.spec, &waiting.status, start, now) {
        Ok(Applied::Changed(transition)) => Job { status: transition.status, ..waiting },
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_running_job_that_ended_while_it_was_read_is_not_made_known() {
    let (feed, mut follower) = followed(JobFilter::default());
    let [ends, stays] = [running(1, 2), running(2, 2)];
    feed.put_strangers([ends.id, stays.id]);
    assert_eq!(feed.strangers(10).len(), 2);
    // It is read as it was at 5, and ends before it is introduced.
    publish(&feed, 6, vec![put(Before::Known(Box::new(ends.clone())), over(1, 3))]);
    feed.introduce(vec![ends.clone(), stays.clone()], at(5));
    assert!(!feed.0.tickers.contains_key(&ends.id));
    assert!(feed.0.tickers.contains_key(&stays.id));
    // And what was read of the other is shown, although nothing newer is known.
    let ticks = follower.take().expect("a head").ticks;
    assert_eq!(ticks.iter().map(|shown| shown.job.id).collect::<Vec<_>>(), [stays.id]);
}

#[test]
fn nothing_is_read_for_views_that_have_not_begun() {
    let feed = Feed::of_shared_store(Arc::new(Silence));
    let mut follower = feed.follow(JobFilter::default(), true).expect("a place");
    let runs = running(1, 2);
    feed.put_strangers([runs.id]);
    // What it does between such a read and the views' first position is never shown to them.
    assert!(feed.strangers(10).is_empty() && feed.take_unmet().is_empty());
    feed.begin_at(at(5));
    assert_eq!(feed.strangers(10), [runs.id]);
    feed.introduce(vec![running(1, 3)], at(5));
    let unmet = feed.take_unmet();
    assert_eq!((unmet.len(), feed.take_unmet().len()), (1, 0));
    feed.put_unmet(unmet);
    assert_eq!(feed.take_unmet().len(), 1, "it was not found out");
    let ticks = follower.take().expect("a head").ticks;
    assert_eq!(ticks.iter().map(|shown| shown.job.status.revision).collect::<Vec<_>>(), [3]);
}

#[test]
fn running_jobs_are_looked_for_once_for_each_view_that_somebody_comes_back_to() {
    let feed = Feed::new(Arc::new(Silence));
    let first = feed.follow(JobFilter::default(), false).expect("a place");
    feed.begin_at(at(5));
    assert!(feed.take_unmet().is_empty(), "it reads them itself");
    let second = feed.follow(JobFilter::default(), true).expect("a place");
    assert_eq!(feed.take_unmet().len(), 1);
    let third = feed.follow(JobFilter::default(), true).expect("a place");
    assert!(feed.take_unmet().is_empty());
    drop((first, second, third));
}

#[test]
fn nothing_is_kept_once_nobody_watches() {
    let (feed, follower) = followed(JobFilter::default());
    publish(&feed, 6, vec![put(Before::None, running(1, 2))]);
    publish(&feed, 8, vec![put(Before::None, job(2, 1))]);
    assert_eq!((feed.watchers(), feed.views(), feed.0.tickers.len()), (1, 1, 1));
    drop(follower);
    assert_eq!((feed.watchers(), feed.views(), feed.0.tickers.len()), (0, 0, 0));
    assert!(!feed.is_on() && feed.head().is_none());
    // Who comes next begins anew, whatever was left behind.
    let mut follower = feed.follow(JobFilter::default(), false).expect("a place");
    feed.begin_at(at(8));
    publish(&feed, 9, vec![put(Before::None, job(3, 7))]);
    assert_eq!(revisions(&mut follower), [7]);
}

#[test]
fn a_view_keeps_no_more_than_its_bound_and_tells_who_misses_something() {
    use crate::domain::limits::WATCH_DIRTY_MAX;
    let (feed, mut follower) = followed(waiting());
    let many = WATCH_DIRTY_MAX as u128 + 1;
    publish(&feed, 6, (1..=many).map(|number| put(Before::None, job(number, 1))).collect());
    assert!(follower.take().expect("a head").changes.is_none());
    follower.skip();
    publish(&feed, 7, vec![put(Before::None, job(many + 1, 3))]);
    assert_eq!(revisions(&mut follower), [3]);
}

/// Prints what a change costs too: `cargo test --release --lib watch::feed -- --nocapture`.
#[test]
fn a_change_is_tried_against_the_filters_that_it_may_concern_and_no_others() {
    const CHANGES: u32 = 2_000;
    let jobs: Vec<_> =
        (0..CHANGES).map(|number| Arc::new(Snapshot::of(job(number.into(), 1)))).collect();
    for filters in [1_u32, 100, 1_000, 10_000] {
        let feed = Feed::new(Arc::new(Silence));
        let followers: Vec<Follower> = (0..filters)
            .map(|run| {
                let labels = [("run".to_owned(), run.to_string())].into();
                let filter = JobFilter { labels, ..JobFilter::default() };
                feed.follow(filter, false).expect("a place")
            })
            .collect();
        feed.begin_at(at(0));
        let began = crate::runtime::Clock::monotonic();
        for (position, after) in (1..).zip(&jobs) {
            let change = Change::Put { before: Before::None, after: Arc::clone(after) };
            publish(&feed, position, vec![change]);
        }
        let took = crate::runtime::Clock::monotonic().duration_since(began);
        let tried = Tried { changes: CHANGES.into(), filters: filters.min(CHANGES).into() };
        assert_eq!(feed.tried(), tried);
        println!("{filters} filters: {:?} a change", took / CHANGES);
        drop(followers);
    }
    println!("a snapshot is {} bytes and its texts", size_of::<Snapshot>());
}
