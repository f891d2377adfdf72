//! The same random operations on the reference model and on each other store: every answer and every
//! read is the same after each of them, and counters equal a recount.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jobplane::domain::audit::{AuditAction, AuditEvent, AuditSubject, Deed, Fields};
use jobplane::domain::event::{Event, Facts};
use jobplane::domain::logs::LogRow;
use jobplane::domain::machine::{Command, ReleaseReason};
use jobplane::domain::retention::Terminal;
use jobplane::domain::stats::{Facet, FacetPolicy, slot_of};
use jobplane::domain::{
    EndReason, Job, JobFilter, JobId, JobSpec, Position, Priority, StateKind, Timestamp,
};
use jobplane::store::memory::MemoryStore;
use jobplane::store::postgres::{Options, PostgresStore};
use jobplane::store::{
    AuditQuery, Batch, Cause, ChangesSince, Claims, Committed, EndedLine, EndedQuery, EventQuery,
    EventsFrom, Fire, JobWrite, KeyCap, ListQuery, LogQuery, NewJob, Probe, Prune, PurgeBatch,
    RuleKey, RuleKind, RuleWrite, SessionWrite, Standing, Store,
};
use proptest::prelude::*;

use crate::cluster;
use crate::world::{
    at, batch, born, cancel, database, decide, delete, fail, job_id, job_type, keyed, lines, load,
    options, process, progress, queue, request, retry, session, session_id, spec, sqlite, start,
    succeed,
};

const TYPES: [&str; 2] = ["sync", "backup"];
const QUEUES: [&str; 2] = ["default", "bulk"];
/// The label under whose values running jobs count.
const CAPPED_BY: &str = "kind";
const INSTANCES: [&str; 3] = ["", "i", "j"];
const RULES: [(RuleKind, &str); 3] =
    [(RuleKind::Type, "sync"), (RuleKind::Type, "backup"), (RuleKind::Queue, "sync")];
const SESSIONS: u64 = 5;
const JOBS: usize = 40;

/// One part of a batch; numbers are taken modulo what there is.
#[derive(Debug, Clone)]
enum Part {
    Create {
        kind: usize,
        request: Option<u8>,
        unique: Option<u8>,
        delay: u64,
        started: bool,
        fire: Option<u8>,
    },
    Write {
        job: usize,
        command: u8,
        stale: u8,
    },
    Delete {
        job: usize,
        stale: bool,
    },
    Log {
        job: usize,
        epoch: i64,
        seq: i64,
        lines: usize,
    },
    Progress {
        job: usize,
        epoch: i64,
        sequence: i64,
        active: u32,
    },
    Session {
        session: u64,
        write: u8,
        seconds: u32,
    },
    Rule {
        name: usize,
        gone: bool,
        stale: bool,
    },
    Tell {
        cause: u8,
        place: usize,
        name: u64,
    },
}

/// One step.
#[derive(Debug, Clone)]
enum Step {
    Commit(Vec<Part>),
    Round { probes: Vec<(usize, usize, usize)>, ending: u8 },
    Trim { job: usize, epoch: i64, head: u64, tail: u64 },
    Prune { age: u64, limit: usize },
    RollUp { age: u64, limit: usize },
    Fold,
    Purge { jobs: Vec<(usize, bool)>, logs: bool },
    Wait(u64),
}

fn part() -> impl Strategy<Value = Part> {
    let maybe = |upto: u8| proptest::option::of(0..upto);
    prop_oneof![
        3 => (0..8_usize, maybe(4), maybe(3), 0..3_u64, any::<bool>(), maybe(3)).prop_map(
            |(kind, request, unique, delay, started, fire)| Part::Create {
                kind,
                request,
                unique,
                delay: delay * 20,
                started,
                fire,
            }
        ),
        6 => (0..JOBS, 0..12_u8, 0..8_u8)
            .prop_map(|(job, command, stale)| Part::Write { job, command, stale }),
        1 => (0..JOBS, any::<bool>()).prop_map(|(job, stale)| Part::Delete { job, stale }),
        2 => (0..JOBS, 0..2_i64, 0..4_i64, 0..4_usize)
            .prop_map(|(job, epoch, seq, lines)| Part::Log { job, epoch, seq, lines }),
        2 => (0..JOBS, 0..2_i64, 0..5_i64, 0..3_u32)
            .prop_map(|(job, epoch, sequence, active)| {
                Part::Progress { job, epoch, sequence, active }
            }),
        3 => (0..SESSIONS, 0..8_u8, 0..60_u32)
            .prop_map(|(session, write, seconds)| Part::Session { session, write, seconds }),
        2 => (0..RULES.len(), any::<bool>(), 0..8_u8)
            .prop_map(|(name, gone, stale)| Part::Rule { name, gone, stale: stale == 0 }),
        3 => (0..5_u8, 0..3_usize, 0..6_u64)
            .prop_map(|(cause, place, name)| Part::Tell { cause, place, name }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let probe = (0..TYPES.len(), 0..QUEUES.len(), 0..4_usize);
    prop_oneof![
        8 => proptest::collection::vec(part(), 1..8).prop_map(Step::Commit),
        2 => (proptest::collection::vec(probe, 0..4), 0..4_u8)
            .prop_map(|(probes, ending)| Step::Round { probes, ending }),
        1 => (0..JOBS, 0..2_i64, 0..4_u64, 0..4_u64)
            .prop_map(|(job, epoch, head, tail)| Step::Trim { job, epoch, head, tail }),
        1 => (0..200_u64, 0..5_usize).prop_map(|(age, limit)| Step::Prune { age, limit }),
        1 => (0..200_u64, 0..5_usize).prop_map(|(age, limit)| Step::RollUp { age, limit }),
        1 => Just(Step::Fold),
        1 => (proptest::collection::vec((0..JOBS, any::<bool>()), 0..8), any::<bool>())
            .prop_map(|(jobs, logs)| Step::Purge { jobs, logs }),
        2 => (1..50_u64).prop_map(Step::Wait),
    ]
}

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

    fn create(&mut self, kind: usize, keys: (Option<u8>, Option<u8>), delay: u64) -> NewJob {
        let now = self.now();
        let spec = JobSpec {
            job_type: job_type(TYPES[kind % 2]),
            queue: queue(QUEUES[kind / 2 % 2]),
            priority: [Priority::Normal, Priority::High][kind / 4],
            payload: kind.is_multiple_of(3).then(|| Bytes::from(vec![1; kind])),
            labels: [(CAPPED_BY.to_owned(), kind.to_string())].into(),
            owner: ["", "me"][kind % 2].to_owned(),
            schedule_time: (delay > 0).then(|| now.plus(Duration::from_secs(delay))),
            timeout: kind.is_multiple_of(2).then(|| Duration::from_secs(15)),
            expire_time: (kind == 5).then(|| now.plus(Duration::from_secs(60))),
            retention: (kind == 3).then(|| Duration::from_secs(86_400)),
            unique_key: keys.1.map(|key| format!("key {key}")).unwrap_or_default(),
            ..spec()
        };
        let mut new = born(self.born, spec, now);
        new.request = keys.0.map(|key| request(&format!("request {key}")));
        self.born += 1;
        new
    }

    fn write(&self, job: &Job, command: u8, stale: u8) -> Option<JobWrite> {
        let epoch = job.status.lease_epoch;
        let command = match command {
            0..=2 => start(u64::from(command)),
            3 => succeed(epoch),
            4 => fail(epoch, false),
            5 => fail(epoch, true),
            6 => cancel(),
            7 => Command::MeetDeadline,
            8 => Command::Adopt { lease_epoch: epoch, session: session_id(4) },
            9 => Command::Release {
                lease_epoch: epoch,
                delay: Duration::from_secs(3),
                reason: ReleaseReason::NotHeld {
                    session: job.status.session().unwrap_or(session_id(1)),
                },
            },
            _ => retry(),
        };
        let starts = matches!(command, Command::Start { .. });
        let mut write = decide(job, command, self.now())?;
        if starts {
            write = keyed(write, CAPPED_BY);
        }
        match stale {
            0 => write.expected_revision -= 1,
            1 => write.expected_epoch += 1,
            _ => {}
        }
        Some(write)
    }

    fn session(&self, number: u64, write: u8, seconds: u32) -> SessionWrite {
        let id = session_id(number);
        let span = Duration::from_secs(1) * seconds;
        match write {
            0..=2 => {
                let mut new = session(number, INSTANCES[usize::from(write)], self.now());
                new.unary = seconds.is_multiple_of(4);
                SessionWrite::Open(new)
            }
            3 | 4 => SessionWrite::Renew { id, age: span / 2, ttl: span },
            5 => SessionWrite::Shorten { id, keep: span },
            6 if seconds.is_multiple_of(2) => SessionWrite::EndIfUnary { id },
            6 => SessionWrite::End { id, reason: EndReason::Goodbye },
            _ => SessionWrite::Expire { id },
        }
    }

    /// Some of them are told once.
    fn event(&self, name: u64) -> Event {
        let (age, threshold) = (Duration::from_secs(name), Duration::from_secs(1));
        let of = job_type(TYPES[usize::from(name == 2)]);
        if name <= 2 {
            return Event::of_type(of, Facts::CircuitClosed, self.now());
        }
        let facts = Facts::QueueAge { age, threshold };
        Event::of_queue(queue(QUEUES[usize::from(name == 5)]), facts, self.now())
    }

    fn deed(&self, name: u64) -> AuditEvent {
        let (id, job_type) = (job_id(name % 2), job_type("sync"));
        let subject = AuditSubject::Job { id, job_type };
        let deed = Deed::new(["ann", "bob"][usize::from(name > 3)], AuditAction::CancelJob);
        deed.done(subject, &Fields::new(), &Fields::new(), self.now())
    }

    async fn rule(&self, key: RuleKey, gone: bool, stale: bool) -> RuleWrite {
        let keys = std::slice::from_ref(&key);
        let held = self.model.rules_by_key(keys).await.expect("a read").pop();
        let revision = held.map_or(0, |rule| rule.revision) + i64::from(stale);
        if gone && revision > 0 {
            RuleWrite::delete(key, revision)
        } else {
            RuleWrite::put(key, revision, &self.seconds).expect("encodes")
        }
    }

    async fn batch(&mut self, parts: Vec<Part>) -> Batch {
        let mut batch = Batch { facets: Some(facets()), ..batch(self.now()) };
        let mut named = Vec::new();
        for part in parts {
            match part {
                Part::Create { kind, request, unique, delay, started, fire } => {
                    let mut new = self.create(kind, (request, unique), delay);
                    new.fire = fire.map(|fire| Fire::at(at(u64::from(fire))));
                    if started && let Some(write) = self.write(&new.job, 0, 9) {
                        let before = new.job.status;
                        new.job = write.job;
                        new.changes.record(Some(&before), &new.job.status);
                    }
                    batch.creates.push(new);
                }
                Part::Write { job, command, stale } => {
                    if let Some(job) = self.job(job).await
                        && !named.contains(&job.id)
                        && let Some(write) = self.write(&job, command, stale)
                    {
                        named.push(job.id);
                        batch.writes.push(write);
                    }
                }
                Part::Delete { job, stale } => {
                    if let Some(job) = self.job(job).await
                        && !named.contains(&job.id)
                        && job.status.kind().is_terminal()
                    {
                        named.push(job.id);
                        let mut delete = delete(&job);
                        delete.expected_revision -= i64::from(stale);
                        batch.deletes.push(delete);
                    }
                }
                Part::Log { job, epoch, seq, lines: count } => {
                    if let Some(job) = self.job(job).await {
                        let mut log = lines(0, job.status.lease_epoch - epoch, seq, count);
                        log.job_id = job.id;
                        batch.logs.push(log);
                    }
                }
                Part::Progress { job, epoch, sequence, active } => {
                    if let Some(job) = self.job(job).await {
                        let mut write = progress(0, job.status.lease_epoch - epoch, sequence);
                        write.job_id = job.id;
                        write.progress = write.progress.active_at(at(active.into()));
                        batch.progress.push(write);
                    }
                }
                Part::Session { session, write, seconds } => {
                    batch.sessions.push(self.session(session, write, seconds));
                }
                Part::Tell { cause, place, name } => {
                    let cause = match cause {
                        0 => Cause::Batch,
                        1 => Cause::Create(place),
                        2 => Cause::Write(place),
                        3 => Cause::Delete(place),
                        _ => Cause::Session(place),
                    };
                    batch.tell(cause, self.event(name));
                    batch.record(cause, self.deed(name));
                }
                Part::Rule { name, gone, stale } => {
                    let key = RuleKey::new(RULES[name].0, RULES[name].1);
                    if !batch.rules.iter().any(|write| write.key == key) {
                        batch.rules.push(self.rule(key, gone, stale).await);
                    }
                }
            }
        }
        batch
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
        let probes: Vec<Probe> = probes
            .into_iter()
            .map(|(kind, line, limit)| Probe {
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
        assert_eq!(found.candidates(), want.candidates());
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

    /// What was done since a place is the same, as far as both still know.
    async fn compare_changes(&self) {
        for (model, store) in self.places.iter().rev().step_by(3).take(4) {
            let want = self.model.changes_since(model, 1_000).await.expect("changes");
            let found = self.store.changes_since(store, 1_000).await.expect("changes");
            match (want, found) {
                (
                    ChangesSince::Found { mut ids, mut removed, .. },
                    ChangesSince::Found { ids: mut ours, removed: mut gone, position, .. },
                ) => {
                    ids.sort();
                    ours.sort();
                    removed.sort_by_key(|removed| removed.id);
                    gone.sort_by_key(|removed| removed.id);
                    assert_eq!((ours, gone), (ids, removed));
                    assert!(position.covers(store));
                }
                (ChangesSince::TooOld, _) | (_, ChangesSince::TooOld) => {}
                (want, found) => assert_eq!(found, want),
            }
        }
    }

    /// Events and the audit, in any order: that of one commit is up to the store.
    async fn compare_told(&self) {
        let (model, store) = (&self.model as &dyn Store, self.store);
        for of in [Vec::new(), vec![job_type("backup")]] {
            let query =
                EventQuery { names: Vec::new(), types: of, from: EventsFrom::Oldest, limit: 1_000 };
            let told = async |store: &dyn Store| {
                let page = store.events(&query).await.expect("a read").expect("the oldest");
                let mut told: Vec<_> =
                    page.events.iter().map(|it| format!("{:?}", it.event)).collect();
                told.sort();
                (told, page.more)
            };
            assert_eq!(told(store).await, told(model).await);
        }
        for query in [
            AuditQuery::default(),
            AuditQuery { actor: Some("ann".to_owned()), ..AuditQuery::default() },
            AuditQuery { job_id: Some(job_id(1)), ..AuditQuery::default() },
        ] {
            let query = AuditQuery { limit: 1_000, ..query };
            let deeds = async |store: &dyn Store| {
                let deeds = store.audit(&query).await.expect("a read");
                let mut deeds: Vec<_> = deeds.iter().map(|it| format!("{:?}", it.event)).collect();
                deeds.sort();
                deeds
            };
            assert_eq!(deeds(store).await, deeds(model).await);
        }
    }

    /// Lines of what is over, by two pages each.
    async fn compare_ended(&self) {
        let now = self.now();
        let mut lines: Vec<EndedLine> = [now, now.plus(Duration::from_secs(86_400))]
            .map(|before| EndedLine::OwnWord { before })
            .into();
        for name in TYPES {
            for state in Terminal::ALL {
                let job_type = job_type(name);
                let (from, before) = (at(5), now);
                let by_policy = EndedLine::ByPolicy { job_type: job_type.clone(), state, before };
                lines.extend([EndedLine::OfType { job_type, state, from, before }, by_policy]);
            }
        }
        for line in lines {
            let mut after = None;
            for _ in 0..2 {
                let query = EndedQuery { line: line.clone(), after, limit: 2 };
                let page = self.model.ended(&query).await.expect("a page");
                assert_eq!(self.store.ended(&query).await.expect("a page"), page, "{query:?}");
                after = page.next;
            }
        }
    }

    async fn compare(&self) {
        self.compare_changes().await;
        let (model, store) = (&self.model, self.store);
        macro_rules! same {
            ($read:ident($($argument:expr),*)) => {{
                let want = model.$read($($argument),*).await.expect("a read");
                let found = store.$read($($argument),*).await.expect("a read");
                assert_eq!(found, want, "{}", stringify!($read($($argument),*)));
                want
            }};
            ($read:ident($($argument:expr),*) by $key:expr) => {{
                let mut want = model.$read($($argument),*).await.expect("a read");
                let mut found = store.$read($($argument),*).await.expect("a read");
                want.sort_by_key($key);
                found.sort_by_key($key);
                assert_eq!(found, want, "{}", stringify!($read($($argument),*)));
                want
            }};
        }
        let now = self.now();
        let jobs = same!(load(&self.known()) by |job| job.id);
        for id in self.known() {
            same!(attempts(id));
            let query = LogQuery { job_id: id, lease_epoch: None, from_position: 0, limit: 1_000 };
            let want = placed(model.logs(&query).await.expect("logs"));
            assert_eq!(placed(store.logs(&query).await.expect("logs")), want, "logs of {id}");
        }
        for filter in filters() {
            same!(count(&filter, 7));
            for full in [true, false] {
                let query = ListQuery { filter: filter.clone(), before: None, limit: 6, full };
                let page = same!(list(&query));
                let next = ListQuery { before: page.last().map(|job| job.id), ..query };
                same!(list(&next));
            }
        }
        same!(due(now, 1_000) by |id| *id);
        self.compare_told().await;
        same!(next_deadline());
        same!(rules(&RuleKind::ALL));
        same!(expired_sessions(now, 3));
        same!(orphans(1_000) by |orphan| orphan.job_id);
        let sessions: Vec<_> = (0..SESSIONS).map(session_id).collect();
        same!(held(&sessions) by |job| job.id);
        same!(sessions(at(self.seconds.saturating_sub(30))));
        for id in sessions {
            same!(session(id));
        }
        for instance in INSTANCES {
            same!(sessions_of(&process(instance), "tester"));
        }
        for key in 0..4 {
            same!(request("tester", &format!("request {key}")));
        }
        for name in TYPES {
            for state in [None, Some(StateKind::Failed), Some(StateKind::Cancelled)] {
                same!(recent(&job_type(name), state, 3));
            }
        }
        self.compare_ended().await;
        for name in TYPES {
            same!(newest(&job_type(name), 3));
        }
        same!(oldest_pending(now) by Clone::clone);
        same!(buckets(0));
        same!(buckets(at(self.seconds.saturating_sub(90)).minute()));
        let owner = Facet::Owner("me".to_owned());
        let label = |value: &str| Facet::Label { key: "kind".to_owned(), value: value.to_owned() };
        for facet in [owner, label("1"), label("2"), label("none")] {
            same!(facet(&facet, slot_of(at(0).minute())));
            same!(facet(&facet, slot_of(now.minute())));
        }
        for filter in filters() {
            same!(census(&filter, now, 5));
            same!(census(&filter, now, 1_000));
        }
        let counts = same!(counts() by |count| (count.key.clone(), count.state));
        let mut recount = BTreeMap::new();
        for job in jobs {
            let key =
                (job.spec.job_type.clone(), job.status.effective.queue.clone(), job.status.kind());
            *recount.entry(key).or_insert(0) += 1;
        }
        let stored: BTreeMap<_, _> = counts
            .into_iter()
            .filter(|count| count.stored != 0)
            .map(|count| ((count.key.job_type, count.key.queue, count.state), count.stored))
            .collect();
        assert_eq!(stored, recount, "counters equal a recount");
    }
}

/// Where in its log a store puts a commit is up to it, and how others hear of it.
fn assert_same(found: &Committed, want: &Committed, batch: &Batch) {
    let placeless =
        |committed: &Committed| Committed { position: None, told: false, ..committed.clone() };
    assert_eq!(placeless(found), placeless(want), "{batch:#?}");
    // Progress alone may be left out of the log: written twice, it is the same.
    let progress_alone = Batch { progress: Vec::new(), ..batch.clone() }.is_empty();
    assert!(progress_alone || found.position.is_some() == want.position.is_some());
}

/// Places increase; which ones they are is up to the store.
fn placed(mut rows: Vec<LogRow>) -> Vec<LogRow> {
    assert!(rows.is_sorted_by(|one, next| one.position < next.position));
    for (place, row) in (0..).zip(&mut rows) {
        row.position = place;
    }
    rows
}

fn filters() -> Vec<JobFilter> {
    let none = JobFilter::default;
    vec![
        none(),
        JobFilter { states: vec![StateKind::Pending], ..none() },
        JobFilter { states: vec![StateKind::Running, StateKind::Pending], ..none() },
        JobFilter { states: vec![StateKind::Failed, StateKind::Cancelled], ..none() },
        JobFilter { states: vec![StateKind::Succeeded], types: vec![job_type("sync")], ..none() },
        JobFilter { labels: [("kind".to_owned(), "2".to_owned())].into(), ..none() },
        JobFilter { owner: Some("me".to_owned()), queues: vec![queue("bulk")], ..none() },
    ]
}

/// All that jobs are made with.
fn facets() -> Arc<FacetPolicy> {
    Arc::new(FacetPolicy { by_owner: true, by_labels: vec!["kind".to_owned()] })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec(step(), 1..40)
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

/// What is counted, without what is counted as none.
fn some(standing: &Standing) -> Standing {
    let mut some = standing.clone();
    some.queues.retain(|_, running| *running > 0);
    some.types.retain(|_, running| *running > 0);
    some.values.retain(|_, running| *running > 0);
    some
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
