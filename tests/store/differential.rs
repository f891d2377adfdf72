//! The same random operations on the reference model and on each other store: every answer and every
//! read is the same after each of them, and counters equal a recount.

mod compare;
mod parts;
mod steps;

use std::collections::BTreeMap;

use jobplane::domain::{Job, JobId, Position, Timestamp};
use jobplane::store::memory::MemoryStore;
use jobplane::store::postgres::{Options, PostgresStore};
use jobplane::store::{Batch, Claims, KeyCap, Probe, Prune, PurgeBatch, RuleKey, Store};
use proptest::prelude::*;

use crate::cluster;
use crate::world::{
    at, batch, database, decide, job_id, job_type, keyed, load, options, queue, sqlite, start,
};

use self::compare::{assert_same, some};
use self::parts::facets;
use self::steps::{CAPPED_BY, QUEUES, Step, TYPES, steps};

/// Both stores, and what is needed to make operations for them.
struct World<'a> {
    model: MemoryStore,
    store: &'a dyn Store,
    born: u64,
    seconds: u64,
    /// Places that both have come to, in the model and in the store.
    places: Vec<(Position, Position)>,
}

impl World<'_> {
    fn now(&self) -> Timestamp {
        at(self.seconds)
    }

    fn known(&self) -> Vec<JobId> {
        (0..self.born).map(job_id).collect()
    }

    async fn job(&self, at: usize) -> Option<Job> {
        let count = usize::try_from(self.born).expect("few");
        load(&self.model, u64::try_from(at.checked_rem(count)?).expect("few")).await
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Commit(parts) => {
                let batch = self.batch(parts).await;
                let want = self.model.commit(batch.clone()).await.expect("the model commits");
                let found = self.store.commit(batch.clone()).await.expect("the store commits");
                assert_same(&found, &want, &batch);
                self.note_place().await;
                let known = self.store.has_batch(batch.id).await.expect("a read");
                assert_eq!(known, found.position.is_some());
            }
            Step::Round { probes, ending } => self.round(probes, ending).await,
            Step::Trim { job, epoch, head, tail } => {
                if let Some(job) = self.job(job).await {
                    let epoch = job.status.lease_epoch - epoch;
                    let want = self.model.trim_logs(job.id, epoch, head, tail).await;
                    let found = self.store.trim_logs(job.id, epoch, head, tail).await;
                    assert_eq!(found.expect("a trim"), want.expect("a trim"));
                }
            }
            Step::RollUp { age, limit } => {
                let before = at(self.seconds.saturating_sub(age)).minute();
                let limit = if limit == 0 { 0 } else { 10_000 };
                let want = self.model.roll_up(before, limit).await.expect("summed up");
                let found = self.store.roll_up(before, limit).await.expect("summed up");
                // A shared store may hold several rows of a bucket.
                assert!(found == want || (self.store.is_shared() && found > want));
            }
            Step::Fold => drop(self.store.fold().await.expect("folded")),
            Step::Prune { age, limit } => {
                let before = at(self.seconds.saturating_sub(age));
                let prune = Prune {
                    changes_before: at(0),
                    sessions_before: before,
                    requests_before: before,
                    buckets_before: before,
                    events_before: before,
                    audit_before: before,
                    // A part of the rows may be any part of them.
                    limit: if limit == 0 { 0 } else { 10_000 },
                };
                let want = self.model.prune(prune).await.expect("a prune");
                let found = self.store.prune(prune).await.expect("a prune");
                // A shared store may hold several rows of a bucket.
                assert!(found == want || (self.store.is_shared() && found > want));
                // How much of the change log is left behind is up to the store.
                let prune = Prune {
                    changes_before: before,
                    sessions_before: at(0),
                    requests_before: at(0),
                    buckets_before: at(0),
                    events_before: at(0),
                    audit_before: at(0),
                    ..prune
                };
                self.model.prune(prune).await.expect("a prune");
                self.store.prune(prune).await.expect("a prune");
            }
            Step::Purge { jobs, logs } => self.purge(jobs, logs).await,
            Step::Wait(seconds) => self.seconds += seconds,
        }
    }

    /// Whatever is named goes only if it is over and as it was seen (J13).
    async fn purge(&mut self, jobs: Vec<(usize, bool)>, logs: bool) {
        let mut named = BTreeMap::new();
        for (job, stale) in jobs {
            if let Some(job) = self.job(job).await {
                named.insert(job.id, (job.status.revision - i64::from(stale), job));
            }
        }
        let seen: Vec<(JobId, i64)> =
            named.iter().map(|(id, (revision, _))| (*id, *revision)).collect();
        if logs {
            let want = self.model.drop_logs(&seen, 1_000).await.expect("dropped");
            assert_eq!(self.store.drop_logs(&seen, 1_000).await.expect("dropped"), want);
            return;
        }
        let purge = PurgeBatch { id: batch(self.now()).id, now: self.now(), jobs: seen };
        let want = self.model.purge(purge.clone()).await.expect("a purge");
        let mut found = self.store.purge(purge).await.expect("a purge");
        found.removed.sort_by_key(|gone| gone.id);
        assert_eq!(found.removed, want.removed);
        assert_eq!(found.position.is_some(), want.position.is_some());
        for gone in &want.removed {
            let (revision, job) = &named[&gone.id];
            assert!(job.status.kind().is_terminal() && job.status.revision == *revision);
        }
        self.note_place().await;
    }

    async fn round(&mut self, probes: Vec<(usize, usize, usize)>, ending: u8) {
        // A round looks at each line once.
        let lines: BTreeMap<(usize, usize), usize> =
            probes.into_iter().map(|(kind, line, limit)| ((kind, line), limit)).collect();
        let probes: Vec<Probe> = lines
            .into_iter()
            .map(|((kind, line), limit)| Probe {
                queue: queue(QUEUES[line]),
                job_type: job_type(TYPES[kind]),
                limit,
                cap: (limit > 2).then(|| KeyCap { label: CAPPED_BY.to_owned(), max: 1 }),
            })
            .collect();
        let now = self.now();
        let claims = Claims {
            keys: [RuleKey::all_starts()].into(),
            running: true,
            queues: probes.iter().map(|probe| probe.queue.clone()).collect(),
            types: probes.iter().map(|probe| probe.job_type.clone()).collect(),
            values: (0..8).map(|kind| (job_type(TYPES[kind % 2]), kind.to_string())).collect(),
            ..Claims::default()
        };
        let mut want = self.model.begin_round(&claims).await.expect("a round");
        want.look(&probes, now).await.expect("candidates");
        let mut found = self.store.begin_round(&claims).await.expect("a round");
        found.look(&probes, now).await.expect("candidates");
        assert_eq!(some(found.standing()), some(want.standing()));
        assert_eq!(by_line(found.candidates()), by_line(want.candidates()));
        match ending {
            0 => {
                want.abandon().await;
                found.abandon().await;
            }
            1 => drop((want, found)),
            _ => {
                let mut picked = BTreeMap::new();
                for job in want.candidates() {
                    picked.insert(
                        job.id,
                        keyed(decide(job, start(3), now).expect("it is due"), CAPPED_BY),
                    );
                }
                let batch = Batch {
                    writes: picked.into_values().collect(),
                    facets: Some(facets()),
                    ..batch(now)
                };
                let want = want.commit(batch.clone()).await.expect("a commit");
                let found = found.commit(batch.clone()).await.expect("a commit");
                assert_same(&found, &want, &batch);
            }
        }
    }

    async fn note_place(&mut self) {
        let model = self.model.position().await.expect("a position");
        let store = self.store.position().await.expect("a position");
        self.places.push((model, store));
    }
}

/// Candidates line by line, in the order of each: how lines follow each other is up to the store.
fn by_line(candidates: &[Job]) -> Vec<Job> {
    let mut jobs = candidates.to_vec();
    jobs.sort_by_cached_key(|job| (job.status.effective.queue.clone(), job.spec.job_type.clone()));
    jobs
}

/// Takes the steps on the model and on a store, and compares what they hold after every so many.
async fn take(store: &dyn Store, steps: Vec<Step>, every: usize) {
    let model = MemoryStore::new();
    let mut world = World { model, store, born: 0, seconds: 0, places: Vec::new() };
    let last = steps.len() - 1;
    for (place, step) in steps.into_iter().enumerate() {
        world.take(step).await;
        if place % every == 0 || place == last {
            world.compare().await;
        }
    }
    store.close().await;
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(test);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn sqlite_answers_as_the_model_does(steps in steps()) {
        run(async {
            let folder = tempfile::tempdir().expect("a folder");
            take(&sqlite(folder.path()).await, steps, 1).await;
        });
    }
}

proptest! {
    // Each case makes a database, and each answer crosses a socket.
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn postgres_answers_as_the_model_does(steps in steps(), pooler in any::<bool>()) {
        run(async {
            let Some(cluster) = cluster::shared() else { return };
            let name = database(cluster).await;
            let options = Options { pooler, ..options(cluster.url(&name)) };
            let store = PostgresStore::open(options).await.expect("it opens");
            take(&store, steps, 4).await;
            cluster.remove(&name).await;
        });
    }
}
