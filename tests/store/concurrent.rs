//! Several writers at once, and what must hold however they get in each other's way: a guard lets one of
//! them through, a key has one holder, counters equal a recount, the change log has no gap.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures_util::future::join_all;
use jobplane::domain::{JobId, JobSpec, Position, StateKind};
use jobplane::runtime::Clock;
use jobplane::store::memory::MemoryStore;
use jobplane::store::postgres::PostgresStore;
use jobplane::store::{Appended, Batch, ChangesSince, Committed, LogQuery, NewJob, Store, Written};
use proptest::prelude::*;

use crate::cluster;
use crate::world::{
    at, batch, born, cancel, database, decide, delete, fail, lines, load, options, probe, progress,
    request, retry, round, spec, sqlite, start, succeed,
};

/// Few, so that writers meet.
const JOBS: u64 = 6;
const WRITERS: usize = 3;

/// One part of a batch.
#[derive(Debug, Clone)]
enum Part {
    Create { request: Option<u8>, unique: Option<u8> },
    Write { job: u64, command: u8 },
    Delete { job: u64 },
    Log { job: u64 },
    Progress { job: u64 },
}

/// What a writer does next.
#[derive(Debug, Clone)]
enum Step {
    /// Reads, rests for so many turns, commits.
    Commit {
        parts: Vec<Part>,
        rest: u8,
    },
    Round {
        limit: usize,
        rest: u8,
    },
}

fn part() -> impl Strategy<Value = Part> {
    let maybe = || proptest::option::of(0..3_u8);
    prop_oneof![
        3 => (maybe(), maybe()).prop_map(|(request, unique)| Part::Create { request, unique }),
        6 => (0..JOBS, 0..8_u8).prop_map(|(job, command)| Part::Write { job, command }),
        1 => (0..JOBS).prop_map(|job| Part::Delete { job }),
        2 => (0..JOBS).prop_map(|job| Part::Log { job }),
        1 => (0..JOBS).prop_map(|job| Part::Progress { job }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let parts = proptest::collection::vec(part(), 1..5);
    prop_oneof![
        5 => (parts, 0..4_u8).prop_map(|(parts, rest)| Step::Commit { parts, rest }),
        1 => (0..4_usize, 0..4_u8).prop_map(|(limit, rest)| Step::Round { limit, rest }),
    ]
}

fn scripts() -> impl Strategy<Value = Vec<Vec<Step>>> {
    proptest::collection::vec(proptest::collection::vec(step(), 1..20), WRITERS)
}

/// What all writers share.
#[derive(Default)]
struct Common {
    born: AtomicU64,
    lines: AtomicU64,
}

/// One of them, with what it did.
struct Writer<'a> {
    store: &'a dyn Store,
    common: &'a Common,
    done: Vec<(Batch, Committed)>,
}

impl Writer<'_> {
    async fn job(&self, back: u64) -> Option<jobplane::domain::Job> {
        let newest = self.common.born.load(Ordering::Relaxed).checked_sub(1)?;
        load(self.store, newest.saturating_sub(back)).await
    }

    async fn add(&self, batch: &mut Batch, part: Part, named: &mut BTreeSet<JobId>) {
        match part {
            Part::Create { request: id, unique } => {
                let number = self.common.born.fetch_add(1, Ordering::Relaxed);
                let unique_key = unique.map(|key| format!("key {key}")).unwrap_or_default();
                let request = id.map(|id| request(&format!("request {id}")));
                let new = born(number, JobSpec { unique_key, ..spec() }, at(0));
                batch.creates.push(NewJob { request, ..new });
            }
            Part::Write { job, command } => {
                let Some(job) = self.job(job).await else { return };
                let epoch = job.status.lease_epoch;
                let command = match command {
                    0..=2 => start(1),
                    3 => succeed(epoch),
                    4 => fail(epoch, false),
                    5 => fail(epoch, true),
                    6 => cancel(),
                    _ => retry(),
                };
                if let Some(write) = decide(&job, command, at(1_000))
                    && named.insert(job.id)
                {
                    batch.writes.push(write);
                }
            }
            Part::Delete { job } => {
                let Some(job) = self.job(job).await else { return };
                if job.status.kind().is_terminal() && named.insert(job.id) {
                    batch.deletes.push(delete(&job));
                }
            }
            Part::Log { job } => {
                let Some(job) = self.job(job).await else { return };
                let seq = 1 + self.common.lines.fetch_add(1, Ordering::Relaxed);
                let seq = i64::try_from(seq).expect("few");
                let mut log = lines(0, job.status.lease_epoch, seq, 1);
                log.job_id = job.id;
                batch.logs.push(log);
            }
            Part::Progress { job } => {
                let Some(job) = self.job(job).await else { return };
                if !batch.progress.iter().any(|held| held.job_id == job.id) {
                    let mut write = progress(0, job.status.lease_epoch, 1);
                    write.job_id = job.id;
                    batch.progress.push(write);
                }
            }
        }
    }

    async fn take(&mut self, step: Step) {
        let mut wanted = batch(at(1_000));
        let committed = match step {
            Step::Commit { parts, rest } => {
                let mut named = BTreeSet::new();
                for part in parts {
                    self.add(&mut wanted, part, &mut named).await;
                }
                turns(rest).await;
                self.store.commit(wanted.clone()).await
            }
            Step::Round { limit, rest } => {
                let round = round(self.store, &[probe(limit)], at(1_000)).await;
                let start = |job| decide(job, start(2), at(1_000)).expect("it is due");
                wanted.writes = round.candidates().iter().map(start).collect();
                turns(rest).await;
                let committed = round.commit(wanted.clone()).await;
                let writes = &committed.as_ref().expect("a commit").writes;
                assert!(writes.iter().all(|written| *written == Written::Done), "{writes:?}");
                committed
            }
        };
        let committed = committed.expect("a commit");
        if let Some(place) = &committed.position {
            let position = self.store.position().await.expect("a position");
            assert!(position.covers(place), "{position:?} does not know {place:?}");
        }
        self.done.push((wanted, committed));
    }
}

async fn turns(count: u8) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

/// Follows the change log while the writers write; answers all it ever saw.
async fn follow(
    store: &dyn Store,
    mut here: Position,
    over: &AtomicBool,
) -> (BTreeSet<JobId>, BTreeSet<JobId>) {
    let (mut changed, mut removed) = (BTreeSet::new(), BTreeSet::new());
    let mut revisions = BTreeMap::new();
    loop {
        let last = over.load(Ordering::Relaxed);
        let caught = store.catch_up(&here, 10_000).await.expect("changes");
        match caught.changes {
            ChangesSince::Found { ids, removed: gone, position, .. } => {
                assert!(caught.read_through.covers(&position));
                for job in caught.jobs {
                    assert!(ids.contains(&job.id));
                    let before = revisions.insert(job.id, job.status.revision);
                    assert!(before <= Some(job.status.revision), "{} went back", job.id);
                }
                changed.extend(ids);
                removed.extend(gone.into_iter().map(|gone| gone.id));
                assert!(position.covers(&here), "{position:?} is behind {here:?}");
                here = position;
            }
            other => panic!("{other:?}"),
        }
        if last {
            return (changed, removed);
        }
        tokio::task::yield_now().await;
    }
}

/// Runs the scripts side by side, each on the next of the stores.
async fn run(stores: &[&dyn Store], scripts: Vec<Vec<Step>>) {
    let (common, over) = (Common::default(), AtomicBool::new(false));
    let start = stores[0].position().await.expect("a position");
    let writers = scripts.into_iter().zip(stores.iter().cycle()).map(|(script, store)| {
        let mut writer = Writer { store: *store, common: &common, done: Vec::new() };
        async move {
            for step in script {
                writer.take(step).await;
            }
            writer.done
        }
    });
    let writing = async {
        let done = join_all(writers).await;
        over.store(true, Ordering::Relaxed);
        done.into_iter().flatten().collect::<Vec<_>>()
    };
    let (done, (changed, removed)) = tokio::join!(writing, follow(stores[0], start, &over));
    let history = History::of(&done);
    for store in stores {
        history.check(*store).await;
    }
    let touched: BTreeSet<JobId> = history.steps.keys().copied().collect();
    assert_eq!(changed.union(&removed).copied().collect::<BTreeSet<_>>(), touched, "no gap");
    assert_eq!(removed, history.gone);
}

/// What passed, by job.
#[derive(Default)]
struct History {
    /// Revision after, by revision before; 0 before it was born.
    steps: BTreeMap<JobId, BTreeMap<i64, jobplane::domain::Job>>,
    gone: BTreeSet<JobId>,
    requests: BTreeMap<String, JobId>,
    kept_lines: BTreeMap<JobId, usize>,
    superseded: BTreeMap<JobId, usize>,
    born: u64,
}

impl History {
    fn of(done: &[(Batch, Committed)]) -> Self {
        let mut history = Self::default();
        let mut deleted_at = BTreeMap::new();
        for (batch, committed) in done {
            for (new, written) in batch.creates.iter().zip(&committed.creates) {
                if *written == Written::Done {
                    history.born += 1;
                    history.step(0, &new.job);
                    if let Some(key) = &new.request {
                        let twice = history.requests.insert(key.request_id.clone(), new.job.id);
                        assert_eq!(twice, None, "two jobs for {key:?}");
                    }
                }
            }
            for (write, written) in batch.writes.iter().zip(&committed.writes) {
                if *written == Written::Done {
                    history.step(write.expected_revision, &write.job);
                    let superseded = history.superseded.entry(write.job.id).or_default();
                    *superseded += write.superseded.len();
                }
            }
            for (delete, gone) in batch.deletes.iter().zip(&committed.deletes) {
                if *gone {
                    let twice = deleted_at.insert(delete.job.id, delete.expected_revision);
                    assert_eq!(twice, None, "deleted twice");
                }
            }
            for (log, appended) in batch.logs.iter().zip(&committed.logs) {
                if *appended == Appended::Done {
                    *history.kept_lines.entry(log.job_id).or_default() += 1;
                }
            }
        }
        for (id, steps) in &history.steps {
            // Each step from where the one before it led to; nothing after the end.
            let mut revision = 0;
            for (before, job) in steps {
                assert_eq!(*before, revision, "job {id}: {steps:#?}");
                revision = job.status.revision;
            }
            if let Some(end) = deleted_at.remove(id) {
                assert_eq!(end, revision, "job {id} changed after it was deleted");
                history.gone.insert(*id);
            }
        }
        assert!(deleted_at.is_empty(), "deleted what never was");
        history
    }

    fn step(&mut self, before: i64, job: &jobplane::domain::Job) {
        let twice = self.steps.entry(job.id).or_default().insert(before, job.clone());
        assert!(twice.is_none(), "two writes passed on revision {before} of {}", job.id);
    }

    async fn check(&self, store: &dyn Store) {
        let (mut recount, mut keys) = (BTreeMap::new(), BTreeSet::new());
        for (id, steps) in &self.steps {
            let found = store.load(&[*id]).await.expect("a read").pop();
            let query = LogQuery { job_id: *id, lease_epoch: None, from_position: 0, limit: 1_000 };
            let log = store.logs(&query).await.expect("logs").len();
            let attempts = store.attempts(*id).await.expect("attempts").len();
            if self.gone.contains(id) {
                assert_eq!((found, log, attempts), (None, 0, 0), "something of {id} is left");
                continue;
            }
            let (_, want) = steps.last_key_value().expect("a step");
            let found = found.expect("the job is there");
            assert_eq!(found.status.revision, want.status.revision);
            assert_eq!(found.status.state, want.status.state);
            assert_eq!(log, self.kept_lines.get(id).copied().unwrap_or(0), "the log of {id}");
            assert_eq!(attempts, self.superseded.get(id).copied().unwrap_or(0));
            *recount.entry(found.status.kind()).or_insert(0) += 1;
            if !found.status.kind().is_terminal() && !found.spec.unique_key.is_empty() {
                assert!(keys.insert(found.spec.unique_key.clone()), "two hold a key");
            }
        }
        let mut stored: BTreeMap<StateKind, i64> = BTreeMap::new();
        for count in store.counts().await.expect("counts") {
            *stored.entry(count.state).or_default() += count.stored;
        }
        stored.retain(|_, count| *count != 0);
        assert_eq!(stored, recount, "counters equal a recount");
        let buckets = store.buckets(0).await.expect("buckets");
        assert_eq!(buckets.iter().map(|bucket| bucket.tally.created).sum::<u64>(), self.born);
        for (id, job) in &self.requests {
            let known = store.request("tester", id).await.expect("a read").expect("known");
            assert_eq!(known.job_id, *job);
        }
    }
}

fn within_a_runtime(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(test);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn writers_of_the_model_get_along(scripts in scripts()) {
        within_a_runtime(async { run(&[&MemoryStore::new()], scripts).await });
    }

    #[test]
    fn writers_of_the_model_get_along_that_read_what_is_committed(scripts in scripts()) {
        within_a_runtime(async { run(&[&MemoryStore::read_committed()], scripts).await });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn writers_of_two_servers_over_one_memory_get_along(scripts in scripts()) {
        within_a_runtime(async {
            let one = MemoryStore::shared(Clock::new());
            let two = one.another().expect("it is shared");
            run(&[&one, &two], scripts).await;
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 15, ..ProptestConfig::default() })]

    #[test]
    fn writers_of_sqlite_get_along(scripts in scripts()) {
        within_a_runtime(async {
            let folder = tempfile::tempdir().expect("a folder");
            let store = sqlite(folder.path()).await;
            run(&[&store], scripts).await;
            store.close().await;
        });
    }

    #[test]
    fn writers_of_two_servers_over_postgres_get_along(scripts in scripts()) {
        within_a_runtime(async {
            let Some(cluster) = cluster::shared() else { return };
            let name = database(cluster).await;
            let open = async || {
                PostgresStore::open(options(cluster.url(&name))).await.expect("it opens")
            };
            let (one, two) = (open().await, open().await);
            run(&[&one, &two], scripts).await;
            one.close().await;
            two.close().await;
            cluster.remove(&name).await;
        });
    }
}
