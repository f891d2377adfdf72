//! Servers over one store under a clock that runs ahead.

mod bounds;
mod breakers;
mod overlap;
mod owed;
mod quotas;
mod types;
mod unreadable;
mod unwaited;

use std::collections::BTreeMap;

use crate::auth::Caller;
use crate::config::Telling;
use crate::domain::job::Trigger;
use crate::domain::job_type::{Draft, JobTypeSpec};
use crate::domain::schedule::Schedule;
use crate::domain::status::{SkipReason, State};
use crate::domain::validate::Violations;
use crate::domain::{
    CancelCause, InstanceId, Job, JobFilter, JobSpec, JobType, QueueName, StateKind, Timestamp,
    WorkerName,
};
use crate::engine::registry::Cursor;
use crate::engine::{Access, CreateJob, Engine, PutType, Started, Stops, Waiter};
use crate::runtime::{Clock, LoopBoard, Shutdown, Tasks};
use crate::store::memory::MemoryStore;
use crate::store::{ListQuery, RuleKey, RuleKind, RuleWrite, Store};
use crate::telemetry::Metrics;
use std::sync::Arc;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

/// A server without its loops: tests take the steps.
pub(in crate::engine) struct Server {
    engine: Engine,
    _tasks: (Tasks, Tasks),
    _stops: (Shutdown, Shutdown),
}

impl std::ops::Deref for Server {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.engine
    }
}

pub(in crate::engine) fn server(store: &Arc<MemoryStore>) -> Server {
    let tasks = Tasks::new();
    let writer = tasks.beside();
    let (shutdown, closed) = (Shutdown::new(), Shutdown::new());
    let stops = Stops {
        tasks: &tasks,
        writer: &writer,
        shutdown: shutdown.clone(),
        closed: closed.clone(),
    };
    let store: Arc<dyn Store> = Arc::<MemoryStore>::clone(store);
    let (clock, metrics, board) = (Clock::new(), Metrics::new(), LoopBoard::default());
    let access = Access {
        timeout: Duration::from_secs(10),
        lanes: 1,
        max_running: 0,
        telling: Telling::default(),
        house: crate::config::House::default(),
        facets: None,
        max_pending: 0,
    };
    let engine = Engine::start_up(store, clock, access, metrics, board, stops);
    Server { engine, _tasks: (tasks, writer), _stops: (shutdown, closed) }
}

fn spec(json: &str) -> JobTypeSpec {
    serde_json::from_str(json).expect("a definition")
}

pub(in crate::engine) fn name(text: &str) -> JobType {
    JobType::new(text).expect("a name")
}

async fn put(server: &Engine, spec: JobTypeSpec) -> bool {
    let put =
        PutType { spec, payload: None, revision: 0, validate_only: false, reason: String::new() };
    server.put_type(&Caller::anonymous(), put).await.expect("declared").1
}

async fn jobs_of(store: &MemoryStore, of: &str) -> Vec<Job> {
    let filter = JobFilter { types: vec![name(of)], ..JobFilter::default() };
    let query = ListQuery { filter, before: None, limit: usize::MAX, full: false };
    let mut jobs = store.list(&query).await.expect("a list");
    jobs.sort_by_key(|job| job.id);
    jobs
}

pub(in crate::engine) async fn create(server: &Engine, of: &str) -> Job {
    let draft = Draft::new(JobSpec::new(name(of), QueueName::default()));
    let create = CreateJob { draft, request: None, validate_only: false };
    server.create(&Caller::anonymous(), create).await.expect("a job").job
}

async fn start(server: &Engine, of: &str) -> Result<Started, crate::engine::Error> {
    start_named(server, of, "").await
}

async fn start_named(
    server: &Engine,
    of: &str,
    unique_key: &str,
) -> Result<Started, crate::engine::Error> {
    let mut spec = JobSpec::new(name(of), QueueName::default());
    spec.unique_key = unique_key.to_owned();
    let draft = Draft { started: true, ..Draft::new(spec) };
    let waiter = Waiter {
        caller: Caller::anonymous(),
        worker_id: WorkerName::new("w").expect("a name"),
        instance_id: InstanceId::new("").expect("none"),
        queues: Vec::new(),
        types: vec![name(of)],
        max_jobs: 1,
        lease_ttl: HOUR,
    };
    server.start(waiter, CreateJob { draft, request: None, validate_only: false }).await
}

fn skipped(job: &Job) -> Option<SkipReason> {
    match job.status.state {
        State::Skipped { reason } => Some(reason),
        _ => None,
    }
}

/// Ten types like those of a sync service.
fn a_sync_service() -> Vec<JobTypeSpec> {
    [
        r#"{"type": "daily_prices", "category": "sync", "schedule": {"cron": "0 4 * * *", "time_zone": "Europe/Berlin"}}"#,
        r#"{"type": "dst_daily", "schedule": {"cron": "15 2 * * *", "time_zone": "Europe/Berlin", "overlap_policy": "CANCEL_RUNNING"}}"#,
        r#"{"type": "workdays", "schedule": {"cron": "30 9,17 * * 1-5", "time_zone": "America/New_York", "jitter": "5m"}}"#,
        r#"{"type": "weekly_report", "schedule": {"cron": "@weekly", "time_zone": "America/New_York"}}"#,
        r#"{"type": "monthly_bill", "schedule": {"cron": "0 0 1 * *", "time_zone": "Europe/Berlin"}}"#,
        r#"{"type": "monthly_check", "schedule": {"cron": "30 1 1 * *", "time_zone": "America/New_York", "catch_up_window": "30days"}}"#,
        r#"{"type": "ticks", "schedule": {"interval": "6h", "overlap_policy": "ALLOW"}}"#,
        r#"{"type": "thumbnails", "schedule": {"interval": "8h", "overlap_policy": "QUEUE_ONE"}}"#,
        r#"{"type": "fragile", "circuit": {"max_failures": 3}, "schedule": {"cron": "@daily"}}"#,
        r#"{"type": "offsite", "schedule": {"cron": "0 3 * * *", "time_zone": "America/New_York"}, "expected": {"grace_period": "2h"}}"#,
    ]
    .map(spec)
    .to_vec()
}

fn compiled(spec: &JobTypeSpec) -> Schedule {
    let mut wrong = Violations::default();
    spec.schedule.as_ref().expect("one").compile("", &mut wrong).expect("a good one")
}

async fn cursor(store: &MemoryStore, of: &str) -> Timestamp {
    let key = RuleKey::new(RuleKind::Schedule, of);
    let row = store.rules_by_key(&[key]).await.expect("a read").pop().expect("a cursor");
    row.read::<Cursor>().expect("readable").through
}

/// Nominal times after `from` up to `to`.
fn nominal(schedule: &Schedule, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
    let next = |after: &Timestamp| schedule.next(*after).filter(|next| *next <= to);
    std::iter::successors(next(&from), next).collect()
}

/// Sleeps until then; the server's clock is drawn to that of the wall, which stands nearly still here.
async fn reach(server: &Engine, time: Timestamp) {
    while server.clock().now() < time {
        tokio::time::sleep(time.since(server.clock().now()).max(Duration::from_millis(1))).await;
    }
}

#[tokio::test(start_paused = true)]
async fn in_a_year_each_nominal_time_has_one_run_or_one_recorded_skip() {
    let store = Arc::new(MemoryStore::new());
    let servers = [server(&store), server(&store), server(&store)];
    let types = a_sync_service();
    let begin = servers[0].clock().now();
    for spec in &types {
        put(&servers[0], spec.clone()).await;
    }
    let mut began = BTreeMap::new();
    for spec in &types {
        let of = spec.job_type.as_str();
        began.insert(of, cursor(&store, of).await);
    }
    servers[1].load_rules().await.expect("read");
    servers[2].load_rules().await.expect("read");
    let year = Duration::from_secs(365 * 24 * 3600);
    let (mut step, mut away) = (0_u32, false);
    while servers[0].clock().now().since(begin) < year {
        let waits = servers.iter().map(|server| server.until_schedule(HOUR * 12));
        tokio::time::sleep(waits.min().expect("three") + Duration::from_millis(1)).await;
        if !away && servers[0].clock().now().since(begin) > year / 2 {
            // Nobody is there for three days.
            away = true;
            tokio::time::sleep(HOUR * 72).await;
        }
        let ran =
            futures_util::future::join_all(servers.iter().map(|one| one.run_schedules())).await;
        assert!(ran.iter().all(Result::is_ok), "{ran:?}");
        step += 1;
        live(&store, &servers[step as usize % 3], step).await;
    }
    for spec in &types {
        let of = spec.job_type.as_str();
        let schedule = compiled(spec);
        let want = nominal(&schedule, began[of], cursor(&store, of).await);
        assert!(want.len() >= 11, "{of} fired in that year");
        let jobs = jobs_of(&store, of).await;
        let fired: Vec<&Job> =
            jobs.iter().filter(|job| job.status.trigger == Trigger::Schedule).collect();
        let mut found: Vec<Timestamp> =
            fired.iter().filter_map(|job| job.spec.schedule_time).collect();
        found.sort_unstable();
        if let Some(expected) = &spec.expected {
            let came: Vec<Timestamp> = jobs
                .iter()
                .filter(|job| job.status.trigger == Trigger::Api)
                .map(|job| job.status.create_time)
                .collect();
            let missed = want.iter().copied().filter(|time| {
                let end = time.plus(expected.grace_period);
                !came.iter().any(|run| run >= time && *run <= end)
            });
            assert_eq!(found, missed.collect::<Vec<_>>(), "{of}");
            assert!(fired.iter().all(|job| skipped(job) == Some(SkipReason::Missed)));
            assert!(!came.is_empty() && !found.is_empty(), "both happened");
        } else {
            assert_eq!(found, want, "{of}: each once, and none left out");
            let missed =
                fired.iter().filter(|job| skipped(job) == Some(SkipReason::Missed)).count();
            assert!(missed < fired.len() / 10, "{of}: only what came while nobody was there");
        }
    }
    let overlapped = jobs_of(&store, "daily_prices").await;
    assert!(overlapped.iter().any(|job| skipped(job) == Some(SkipReason::Overlap)));
    let ticks = jobs_of(&store, "ticks").await;
    assert!(ticks.iter().any(|job| skipped(job) == Some(SkipReason::Missed)), "three days away");
}

/// What goes on beside the schedules: most jobs end, some stay longer; another scheduler runs its own.
async fn live(store: &MemoryStore, server: &Engine, step: u32) {
    let filter = JobFilter { states: vec![StateKind::Pending], ..JobFilter::default() };
    let query = ListQuery { filter, before: None, limit: 1_000, full: false };
    for (place, job) in (0..).zip(store.list(&query).await.expect("a list")) {
        // Some runs take so long that the next one meets them.
        let age = server.clock().now().since(job.status.create_time);
        let stays = job.spec.job_type.as_str() == "daily_prices" && age < HOUR * 50;
        if !stays && !(step + place).is_multiple_of(3) {
            let caller = Caller::anonymous();
            server.cancel(&caller, job.id, String::new(), None).await.expect("cancelled");
        }
    }
    let (spec, now) = (a_sync_service().pop().expect("the last"), server.clock().now());
    let schedule = compiled(&spec);
    let last = nominal(&schedule, now.minus(HOUR), now).pop();
    if last.is_some_and(|last| last.as_micros() / 86_400_000_000 % 3 != 0) {
        let had = jobs_of(store, "offsite").await;
        let of_late = had.iter().any(|job| job.status.create_time >= now.minus(HOUR * 3));
        if !of_late {
            create(server, "offsite").await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_schedule_wakes_the_loop_when_it_is_due_and_not_before() {
    let store = Arc::new(MemoryStore::new());
    let server = server(&store);
    assert_eq!(server.until_schedule(HOUR), HOUR);
    let changed = server.schedules_changed();
    let told = changed.notified();
    put(&server, spec(r#"{"type": "sync", "schedule": {"interval": "10m"}}"#)).await;
    told.await;
    assert!(server.until_schedule(HOUR) <= Duration::from_secs(600));
    put(&server, spec(r#"{"type": "sync"}"#)).await;
    assert_eq!(server.until_schedule(HOUR), HOUR);
}
