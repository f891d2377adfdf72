//! After any work counters equal a recount of the rows, and buckets the fold of the attempts, whatever was
//! summed up or deleted in between.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jobplane::domain::machine::{Command, ReleaseReason};
use jobplane::domain::stats::{Facet, FacetPolicy, FacetTally, StatKey, Tally, slot_of};
use jobplane::domain::status::Outcome;
use jobplane::domain::{Attempt, Job, JobFilter, JobSpec, Progress, StateKind};
use jobplane::store::{Batch, Census, NewJob, Prune, Store};
use rand::rngs::StdRng;
use rand::{RngCore as _, SeedableRng as _};

use crate::on_each_store;
use crate::world::{
    at, batch, born, cancel, commit, decide, delete, fail, job_id, job_type, queue, retry, spec,
    start,
};

const OWNERS: [&str; 3] = ["", "ann", "bob"];

/// What a random life did, as whoever did it counts it.
#[derive(Default)]
struct Known {
    jobs: Vec<u64>,
    /// Attempts of jobs that are deleted.
    gone: Vec<(Job, Vec<Attempt>)>,
    created: BTreeMap<StatKey, u64>,
    finished: BTreeMap<(StatKey, StateKind), i64>,
}

fn key(job: &Job) -> StatKey {
    StatKey { job_type: job.spec.job_type.clone(), queue: job.status.effective.queue.clone() }
}

fn policy() -> Arc<FacetPolicy> {
    Arc::new(FacetPolicy { by_owner: true, by_labels: Vec::new() })
}

fn some_spec(pick: u64) -> JobSpec {
    JobSpec {
        job_type: job_type(["sync", "backup"][(pick % 2) as usize]),
        queue: queue(["default", "bulk"][(pick / 2 % 2) as usize]),
        owner: OWNERS[(pick / 4 % 3) as usize].to_owned(),
        ..spec()
    }
}

/// Progress that counts.
fn progress(pick: u64) -> Option<Progress> {
    let units = i64::try_from(pick % 7).expect("a small number");
    let counters = [("bytes".to_owned(), 8.0)].into();
    let progress = Progress {
        sequence: 1,
        completed: units,
        succeeded: units,
        counters,
        ..Progress::default()
    };
    (!pick.is_multiple_of(3)).then_some(progress)
}

fn command(job: &Job, pick: u64) -> Command {
    let lease_epoch = job.status.lease_epoch;
    match pick % 8 {
        0..=2 => start(1),
        3 => {
            let progress = progress(pick / 8);
            Command::Succeed { lease_epoch, result: None, progress, usage: None }
        }
        4 => match fail(lease_epoch, pick.is_multiple_of(16)) {
            Command::Fail { lease_epoch, error, .. } => {
                let progress = progress(pick / 8);
                Command::Fail { lease_epoch, error, retry_delay: None, progress, usage: None }
            }
            other => other,
        },
        5 => Command::Release {
            lease_epoch,
            delay: Duration::ZERO,
            reason: ReleaseReason::Worker { reason: String::new() },
        },
        6 => cancel(),
        _ => retry(),
    }
}

async fn attempts(store: &dyn Store, job: &Job) -> Vec<Attempt> {
    let mut all = store.attempts(job.id).await.expect("a read");
    if let Some(last) = job.status.last_attempt() {
        all.retain(|attempt| attempt.lease_epoch != last.lease_epoch);
        all.push(last);
    }
    all
}

/// Two hours of a random life; every change is a commit of its own or one of several.
async fn live(store: &dyn Store, chance: &mut StdRng, known: &mut Known) {
    for step in 0..400_u64 {
        let now = at(step * 18);
        let pick = chance.next_u64();
        match pick % 10 {
            0 | 1 => {
                let number = step;
                let new: NewJob = born(number, some_spec(pick / 10), now);
                *known.created.entry(key(&new.job)).or_default() += 1;
                known.jobs.push(number);
                let creates = vec![new];
                commit(store, Batch { creates, facets: Some(policy()), ..batch(now) }).await;
            }
            2 => {
                store.fold().await.expect("folded");
                store.roll_up(now.minute() - 30, 100).await.expect("summed up");
            }
            _ if known.jobs.is_empty() => {}
            3 => {
                let at = (pick / 10) as usize % known.jobs.len();
                let job = store.load(&[job_id(known.jobs[at])]).await.expect("a read").remove(0);
                if job.status.kind().is_terminal() {
                    known.jobs.remove(at);
                    known.gone.push((job.clone(), attempts(store, &job).await));
                    let deletes = vec![delete(&job)];
                    commit(store, Batch { deletes, facets: Some(policy()), ..batch(now) }).await;
                }
            }
            _ => {
                let number = known.jobs[(pick / 10) as usize % known.jobs.len()];
                let job = store.load(&[job_id(number)]).await.expect("a read").remove(0);
                let Some(write) = decide(&job, command(&job, pick / 100), now) else { continue };
                let ended = write.job.status.kind();
                if ended.is_terminal() && !job.status.kind().is_terminal() {
                    *known.finished.entry((key(&write.job), ended)).or_default() += 1;
                }
                let writes = vec![write];
                commit(store, Batch { writes, facets: Some(policy()), ..batch(now) }).await;
            }
        }
    }
}

/// What the attempts of these jobs say, by `of`.
fn folded<K: Ord>(
    jobs: &[(Job, Vec<Attempt>)],
    of: impl Fn(&Job) -> Option<K>,
) -> BTreeMap<K, Tally> {
    let mut sums: BTreeMap<K, Tally> = BTreeMap::new();
    for (job, attempts) in jobs {
        let Some(key) = of(job) else { continue };
        let tally = sums.entry(key).or_default();
        for Attempt { execution, progress, .. } in attempts {
            tally.started += 1;
            tally.wait.record(execution.start_time.since(execution.ready_time));
            let Some((end, outcome)) = execution.end else { continue };
            if outcome == Outcome::Released {
                continue;
            }
            let run = end.since(execution.start_time);
            tally.run.record(run);
            match outcome {
                Outcome::Succeeded => {}
                Outcome::Cancelled => tally.run_in_vain.record(run),
                Outcome::Failed | Outcome::LeaseLost | Outcome::TimedOut | Outcome::Released => {
                    tally.run_in_vain.record(run);
                    tally.attempts_failed += 1;
                }
            }
            tally.items_succeeded += progress.succeeded;
            tally.items_failed += progress.failed;
            for (name, value) in &progress.counters {
                *tally.counters.entry(name.clone()).or_default() += value;
            }
        }
    }
    sums
}

/// All that is told of jobs and not of attempts left out.
fn of_attempts(tally: &Tally) -> Tally {
    Tally { created: 0, succeeded: 0, failed: 0, cancelled: 0, skipped: 0, ..tally.clone() }
}

async fn counters_equal_a_recount_and_buckets_the_fold_of_the_attempts(store: &dyn Store) {
    let seed = rand::random();
    println!("seed: {seed}");
    let mut chance = StdRng::seed_from_u64(seed);
    let mut known = Known::default();
    live(store, &mut chance, &mut known).await;

    let ids: Vec<_> = known.jobs.iter().map(|number| job_id(*number)).collect();
    let mut jobs = known.gone;
    for job in store.load(&ids).await.expect("a read") {
        let attempts = attempts(store, &job).await;
        jobs.push((job, attempts));
    }
    let mut recount: BTreeMap<(StatKey, StateKind), i64> = BTreeMap::new();
    for (job, _) in jobs.iter().filter(|(job, _)| ids.contains(&job.id)) {
        *recount.entry((key(job), job.status.kind())).or_default() += 1;
    }
    let (mut stored, mut finished) = (BTreeMap::new(), BTreeMap::new());
    for count in store.counts().await.expect("a read") {
        stored.insert((count.key.clone(), count.state), count.stored);
        finished.insert((count.key, count.state), count.finished_total);
    }
    stored.retain(|_, count| *count != 0);
    finished.retain(|_, count| *count != 0);
    assert_eq!(stored, recount);
    assert_eq!(finished, known.finished, "whatever was deleted");

    let mut sums: BTreeMap<StatKey, Tally> = BTreeMap::new();
    for bucket in store.buckets(0).await.expect("a read") {
        sums.entry(bucket.key).or_default().merge(&bucket.tally);
    }
    let created: BTreeMap<_, _> =
        sums.iter().map(|(key, tally)| (key.clone(), tally.created)).collect();
    assert_eq!(created, known.created);
    for (key, tally) in &sums {
        let of = |state| known.finished.get(&(key.clone(), state)).copied().unwrap_or_default();
        let ended = [tally.succeeded, tally.failed, tally.cancelled].map(u64::cast_signed);
        let wanted = [StateKind::Succeeded, StateKind::Failed, StateKind::Cancelled].map(of);
        assert_eq!(ended, wanted, "{key:?}");
    }
    let found: BTreeMap<_, _> =
        sums.iter().map(|(key, tally)| (key.clone(), of_attempts(tally))).collect();
    assert_eq!(found, folded(&jobs, |job| Some(key(job))));

    let of_owner = |job: &Job| (!job.spec.owner.is_empty()).then(|| job.spec.owner.clone());
    for (owner, tally) in folded(&jobs, of_owner) {
        let slots = store.facet(&Facet::Owner(owner), i64::MIN).await.expect("a read");
        let mut sum = FacetTally::default();
        for (_, slot) in &slots {
            sum.merge(slot);
        }
        let told = FacetTally { created: 0, succeeded: 0, failed: 0, cancelled: 0, ..sum };
        assert_eq!(told, FacetTally::from(&tally));
        assert!(sum.created > 0);
    }
}

/// A job of each minute, each with its own count of units.
async fn a_job_each_minute(store: &dyn Store, minutes: u64) {
    for minute in 0..minutes {
        let creates = vec![born(minute, some_spec(4), at(minute * 60))];
        commit(store, Batch { creates, facets: Some(policy()), ..batch(at(minute * 60)) }).await;
    }
}

async fn hours_hold_what_their_minutes_held(store: &dyn Store) {
    a_job_each_minute(store, 200).await;
    let created = async |from: i64| {
        let buckets = store.buckets(from).await.expect("a read");
        (buckets.len(), buckets.iter().map(|bucket| bucket.tally.created).sum::<u64>())
    };
    let first = at(0).minute();
    assert_eq!(created(first).await, (200, 200));
    // By parts of an hour, as a loop does it, and never twice.
    let before = first + 150;
    let mut gone = 0;
    for _ in 0..5 {
        gone += store.roll_up(before, 40).await.expect("summed up");
    }
    assert_eq!(gone, 150);
    assert_eq!(store.roll_up(before, 40).await.expect("summed up"), 0);
    let hours = (before - 1).div_euclid(60) - first.div_euclid(60) + 1;
    let (rows, sum) = created(first).await;
    assert_eq!((rows, sum), (usize::try_from(hours).expect("a count") + 50, 200));
    // The hour that a minute is in comes whole.
    let (_, from_the_middle) = created(first + 100).await;
    let hour_starts = (first + 100).div_euclid(60) * 60;
    assert_eq!(
        i64::try_from(from_the_middle).expect("a count"),
        200 - (hour_starts - first).max(0)
    );
    // What comes late finds its hour.
    let late = Batch { creates: vec![born(900, some_spec(4), at(60))], ..batch(at(9_000)) };
    commit(store, late).await;
    store.fold().await.expect("folded");
    assert_eq!(store.roll_up(before, 40).await.expect("summed up"), 1);
    assert_eq!(created(first).await, (rows, 201));
}

async fn a_census_counts_the_newest_that_match(store: &dyn Store) {
    a_job_each_minute(store, 5).await;
    let of_ann = JobFilter { owner: Some("ann".to_owned()), ..JobFilter::default() };
    let census = store.census(&of_ann, at(1_000), 100).await.expect("a read");
    let [((_, state), (count, oldest))] = census.jobs.iter().collect::<Vec<_>>()[..] else {
        panic!("one group: {census:?}")
    };
    assert_eq!((*state, *count, *oldest), (StateKind::Pending, 5, Some(at(0))));
    let newest = store.census(&of_ann, at(1_000), 2).await.expect("a read");
    assert_eq!((newest.total(), newest.jobs.values().next()), (2, Some(&(2, Some(at(180))))));
    let nobody = JobFilter { owner: Some("eve".to_owned()), ..of_ann };
    assert_eq!(store.census(&nobody, at(0), 2).await.expect("a read"), Census::default());
}

async fn figures_of_a_facet_go_with_their_time(store: &dyn Store) {
    a_job_each_minute(store, 45).await;
    store.fold().await.expect("folded");
    let ann = Facet::Owner("ann".to_owned());
    let slots = async || store.facet(&ann, i64::MIN).await.expect("a read");
    let all = slots().await;
    assert_eq!(all.iter().map(|(_, tally)| tally.created).sum::<u64>(), 45);
    assert!(all.len() >= 5, "{all:?}");
    let prune = Prune {
        changes_before: at(0),
        sessions_before: at(0),
        requests_before: at(0),
        buckets_before: at(20 * 60),
        events_before: at(0),
        audit_before: at(0),
        limit: 1_000,
    };
    store.prune(prune).await.expect("pruned");
    let left = slots().await;
    let from = slot_of(at(20 * 60).minute());
    assert_eq!(left, all.into_iter().filter(|(slot, _)| *slot >= from).collect::<Vec<_>>());
}

on_each_store!(
    a_census_counts_the_newest_that_match,
    counters_equal_a_recount_and_buckets_the_fold_of_the_attempts,
    figures_of_a_facet_go_with_their_time,
    hours_hold_what_their_minutes_held,
);
