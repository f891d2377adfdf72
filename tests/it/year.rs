//! A sync service over months: three schedulers race over one store under a clock that runs ahead, and a
//! worker does what comes up. Every nominal time has exactly one run or one recorded skip, a breaker opens and
//! closes, and no quota is drawn beyond its limit.
//!
//! Two weeks, with the first of a month and a change of clocks in them; `JOBPLANE_SIMULATED_DAYS=365` is the
//! whole year.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jobplane::auth::Caller;
use jobplane::domain::definitions::Definitions;
use jobplane::domain::ids::QuotaName;
use jobplane::domain::job::Trigger;
use jobplane::domain::job_type::{Draft, JobTypeSpec};
use jobplane::domain::quota::Quota;
use jobplane::domain::schedule::Schedule;
use jobplane::domain::status::{JobError, SkipReason, State};
use jobplane::domain::validate::Violations;
use jobplane::domain::{
    InstanceId, Job, JobFilter, JobSpec, JobType, QueueName, StateKind, Timestamp, WorkerName,
};
use jobplane::engine::registry::Cursor;
use jobplane::engine::session::Outcome;
use jobplane::engine::{Access, CreateJob, Engine, PutType, Stops, Waiter};
use jobplane::runtime::{Clock, LoopBoard, Shutdown, Tasks};
use jobplane::store::memory::MemoryStore;
use jobplane::store::postgres::{self, PostgresStore};
use jobplane::store::sqlite::{Options, SqliteStore};
use jobplane::store::{ListQuery, RuleKey, RuleKind, Store};
use jobplane::telemetry::Metrics;

use crate::cluster;
use crate::harness::{SOON, eventually};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);
/// 2026-02-26T00:00:00Z: the first of a month comes soon, and so does summer time in New York.
const BEGIN: Timestamp = Timestamp::from_micros(1_772_064_000_000_000);
/// What a run of `video_sync` draws.
const VIDEO_COST: u64 = 100;

/// A server without its loops: the test takes the steps.
struct Server {
    engine: Engine,
    store: Arc<dyn Store>,
    tasks: [Tasks; 2],
    stops: [Shutdown; 2],
}

impl Server {
    async fn over(store: Arc<dyn Store>, clock: &Clock) -> Self {
        let tasks = Tasks::new();
        let writer = tasks.beside();
        let (shutdown, closed) = (Shutdown::new(), Shutdown::new());
        let stops = Stops {
            tasks: &tasks,
            writer: &writer,
            shutdown: shutdown.clone(),
            closed: closed.clone(),
        };
        let timeout = Duration::from_secs(30);
        let house = jobplane::config::House::default();
        let telling = jobplane::config::Telling::default();
        let (facets, max_pending, max_running) = (None, 0, 0);
        let access = Access { timeout, lanes: 2, max_running, house, facets, max_pending, telling };
        let (metrics, board) = (Metrics::new(), LoopBoard::default());
        let engine =
            Engine::start_up(Arc::clone(&store), clock.clone(), access, metrics, board, stops);
        engine.load_rules().await.expect("read");
        Self { engine, store, tasks: [tasks, writer], stops: [shutdown, closed] }
    }

    async fn stop(self) {
        for (stop, tasks) in self.stops.into_iter().zip(self.tasks) {
            stop.signal();
            tasks.ended().await;
        }
        self.store.close().await;
    }
}

/// A run in the worker's hands.
struct Run {
    job: Job,
    until: Timestamp,
}

/// What the worker does and knows.
struct Worker {
    caller: Caller,
    runs: Vec<Run>,
    quota: Quota,
    /// What the quota must show, by the periods in which it was used.
    used: BTreeMap<Timestamp, u64>,
    ran_dry: bool,
    turn: usize,
}

fn days() -> u32 {
    let said = std::env::var("JOBPLANE_SIMULATED_DAYS").ok();
    said.map_or(14, |days| days.parse().expect("JOBPLANE_SIMULATED_DAYS is a number of days"))
}

fn definitions() -> Definitions {
    let mut wrong = Violations::default();
    let text = include_str!("year.yaml");
    let read = serde_saphyr::with_deserializer_from_str(text, |from| {
        Definitions::read(from, &mut wrong, &mut String::new())
    });
    let read = read.expect("YAML");
    read.validate(&mut wrong);
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_eq!(read.types.len(), 10);
    read
}

fn compiled(spec: &JobTypeSpec) -> Schedule {
    let schedule = spec.schedule.as_ref().expect("one");
    schedule.compile("", &mut Violations::default()).expect("a good one")
}

/// Nominal times after `from` up to `to`.
fn nominal(schedule: &Schedule, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
    let next = |after: &Timestamp| schedule.next(*after).filter(|next| *next <= to);
    std::iter::successors(next(&from), next).collect()
}

fn skipped(job: &Job) -> Option<SkipReason> {
    match job.status.state {
        State::Skipped { reason } => Some(reason),
        _ => None,
    }
}

async fn cursor(store: &dyn Store, of: &JobType) -> Timestamp {
    let key = RuleKey::new(RuleKind::Schedule, of.as_str());
    let row = store.rules_by_key(&[key]).await.expect("a read").pop().expect("a cursor");
    row.read::<Cursor>().expect("readable").through
}

async fn jobs_of(store: &dyn Store, of: &JobType) -> Vec<Job> {
    let filter = JobFilter { types: vec![of.clone()], ..JobFilter::default() };
    let (mut jobs, mut before) = (Vec::new(), None);
    loop {
        let query = ListQuery { filter: filter.clone(), before, limit: 1_000, full: false };
        let page = store.list(&query).await.expect("a list");
        before = page.last().map(|job| job.id);
        let more = page.len() == 1_000;
        jobs.extend(page);
        if !more {
            return jobs;
        }
    }
}

impl Worker {
    fn new(quota: Quota) -> Self {
        let caller = Caller::anonymous();
        Self { caller, runs: Vec::new(), quota, used: BTreeMap::new(), ran_dry: false, turn: 0 }
    }

    fn uses(&mut self, now: Timestamp) -> &mut u64 {
        self.used.entry(self.quota.period(now).0).or_default()
    }

    /// Takes what comes up.
    async fn take(&mut self, engine: &Engine, now: Timestamp) {
        let waiter = Waiter {
            caller: self.caller.clone(),
            worker_id: WorkerName::new("w").expect("a name"),
            instance_id: InstanceId::new("").expect("none"),
            queues: vec![QueueName::default()],
            types: Vec::new(),
            max_jobs: 100,
            lease_ttl: DAY,
        };
        let wait = Duration::from_millis(100);
        for assignment in engine.acquire(waiter, wait).await.expect("an answer") {
            let job = assignment.job;
            self.turn += 1;
            let takes = match job.spec.job_type.as_str() {
                // Now and then a run meets the next one.
                "daily_prices" if self.turn.is_multiple_of(5) => HOUR * 50,
                "dst_daily" | "thumbnails" if self.turn.is_multiple_of(3) => HOUR * 26,
                _ => HOUR,
            };
            if job.spec.job_type.as_str() == "video_sync" {
                let limit = self.quota.spec().limit;
                let used = self.uses(now);
                *used += VIDEO_COST;
                assert!(*used <= limit, "drew {used} of {limit}");
                self.ran_dry |= *used + VIDEO_COST > limit;
            }
            self.runs.push(Run { job, until: now.plus(takes) });
        }
    }

    /// Ends what is done, at another server than the one that started it.
    async fn end(&mut self, engine: &Engine, now: Timestamp) {
        let (over, going): (Vec<Run>, Vec<Run>) =
            std::mem::take(&mut self.runs).into_iter().partition(|run| run.until <= now);
        self.runs = going;
        for Run { job, .. } in over {
            let mut really = BTreeMap::new();
            let outcome = match job.spec.job_type.as_str() {
                // Three days of ten.
                "fragile" if now.since(BEGIN).as_secs() / DAY.as_secs() % 10 < 3 => {
                    let error = JobError::server("HTTP_503", "not there".to_owned());
                    Outcome::Failed { error, retry_delay: None, progress: None }
                }
                "video_sync" => {
                    self.turn += 1;
                    let used = if self.turn.is_multiple_of(2) { 60 } else { 110 };
                    really.insert(QuotaName::new("youtube").expect("a name"), used);
                    self.settle(&job, used, now);
                    Outcome::Succeeded { result: None, progress: None }
                }
                _ => Outcome::Succeeded { result: None, progress: None },
            };
            let of = (job.id, job.status.lease_epoch);
            engine.finish_used(&self.caller, of, really, outcome).await.expect("taken");
        }
    }

    /// In the period of its start the real use takes the place of what was drawn; in a later one only what
    /// goes beyond counts.
    fn settle(&mut self, job: &Job, really: u64, now: Timestamp) {
        let started = job.status.execution.as_ref().expect("it runs").start_time;
        let same = self.quota.period(started).0 == self.quota.period(now).0;
        let used = self.uses(now);
        *used = if same {
            *used + really - VIDEO_COST
        } else {
            *used + really.saturating_sub(VIDEO_COST)
        };
    }
}

/// Starts a run of the type that a scheduler elsewhere runs, two days of three.
async fn run_elsewhere(engine: &Engine, store: &dyn Store, spec: &JobTypeSpec, now: Timestamp) {
    let last = nominal(&compiled(spec), now.minus(HOUR), now).pop();
    if last.is_none_or(|last| (last.minute() / (24 * 60)).rem_euclid(3) == 0) {
        return;
    }
    let had = jobs_of(store, &spec.job_type).await;
    if !had.iter().any(|job| job.status.create_time >= now.minus(HOUR * 3)) {
        let draft = Draft::new(JobSpec::new(spec.job_type.clone(), QueueName::default()));
        let create = CreateJob { draft, request: None, validate_only: false };
        engine.create(&Caller::anonymous(), create).await.expect("a job");
    }
}

/// Runs the service for so many days; the stores are one and the same.
async fn simulate(stores: Vec<Arc<dyn Store>>) {
    let clock = Clock::new();
    clock.set(BEGIN);
    let store = Arc::clone(&stores[0]);
    let mut servers = Vec::new();
    for store in stores {
        servers.push(Server::over(store, &clock).await);
    }
    let Definitions { quotas, types, .. } = definitions();
    let caller = Caller::anonymous();
    for (name, spec) in quotas.clone() {
        servers[0].engine.put_quota(&caller, name, spec).await.expect("set up");
    }
    let mut began = BTreeMap::new();
    for spec in &types {
        let put = PutType {
            spec: spec.clone(),
            payload: None,
            revision: 0,
            validate_only: false,
            reason: String::new(),
        };
        servers[0].engine.put_type(&caller, put).await.expect("declared");
        began.insert(&spec.job_type, cursor(store.as_ref(), &spec.job_type).await);
    }
    for server in &servers {
        server.engine.load_rules().await.expect("read");
    }
    let (name, youtube) = quotas.into_iter().next().expect("one");
    let mut worker = Worker::new(youtube.compile("", &mut Violations::default()).expect("good"));
    let end = BEGIN.plus(DAY * days());
    let (mut step, mut away) = (0_usize, false);
    while clock.now() < end {
        let waits = servers.iter().map(|server| server.engine.until_schedule(HOUR * 6));
        let wait = waits.min().expect("three").min(HOUR * 6) + Duration::from_millis(1);
        clock.set(clock.now().plus(wait));
        if !away && clock.now() > BEGIN.plus(DAY * days() / 2) {
            // Nobody is there for three days.
            away = true;
            clock.set(clock.now().plus(DAY * 3));
        }
        let now = clock.now();
        let ran = join_all(servers.iter().map(|server| server.engine.run_schedules())).await;
        assert!(ran.iter().all(Result::is_ok), "{ran:?}");
        for server in servers.iter().filter(|server| server.engine.is_shared()) {
            server.engine.hear_changes().await.expect("heard");
        }
        step += 1;
        let engine = |nth: usize| &servers[(step + nth) % servers.len()].engine;
        run_elsewhere(engine(1), store.as_ref(), types.last().expect("ten"), now).await;
        worker.end(engine(2), now).await;
        engine(0).settle_probes().await.expect("a step");
        engine(0).poll_line().await.expect("a look");
        worker.take(engine(0), now).await;
        // A start that came too late for the call of the worker is taken back, with what it drew.
        let used = *worker.uses(now);
        eventually(SOON, "what was used of the quota", || async {
            let shown = engine(1).quotas(&caller).await.expect("a read").pop().expect("one");
            (&shown.name, shown.used) == (&name, used)
        })
        .await;
    }
    for spec in &types {
        let jobs = jobs_of(store.as_ref(), &spec.job_type).await;
        let through = cursor(store.as_ref(), &spec.job_type).await;
        check(spec, &jobs, began[&spec.job_type], through);
    }
    let fragile = JobType::new("fragile").expect("a name");
    let fragile = jobs_of(store.as_ref(), &fragile).await;
    let refused = fragile.iter().filter(|job| skipped(job) == Some(SkipReason::CircuitOpen));
    assert!(refused.count() > 0, "its breaker opened");
    let last_refused = fragile.iter().filter(|job| skipped(job).is_some());
    let last_refused = last_refused.map(|job| job.status.create_time).max().expect("one");
    let closed = fragile.iter().any(|job| {
        job.status.kind() == StateKind::Succeeded && job.status.create_time > last_refused
    });
    assert!(closed, "and closed again");
    assert!(worker.ran_dry, "the quota was used up");
    for server in servers {
        server.stop().await;
    }
}

/// Every nominal time of the type has exactly one run or one recorded skip.
fn check(spec: &JobTypeSpec, jobs: &[Job], began: Timestamp, through: Timestamp) {
    let of = &spec.job_type;
    let want = nominal(&compiled(spec), began, through);
    let fired: Vec<&Job> =
        jobs.iter().filter(|job| job.status.trigger == Trigger::Schedule).collect();
    let mut found: Vec<Timestamp> = fired.iter().filter_map(|job| job.spec.schedule_time).collect();
    found.sort_unstable();
    let Some(expected) = &spec.expected else {
        assert_eq!(found, want, "{of}: each once, and none left out");
        return;
    };
    let elsewhere = jobs.iter().filter(|job| job.status.trigger == Trigger::Api);
    let came: Vec<Timestamp> = elsewhere.map(|job| job.status.create_time).collect();
    let missed = want.iter().copied().filter(|time| {
        let end = time.plus(expected.grace_period);
        !came.iter().any(|run| run >= time && *run <= end)
    });
    assert_eq!(found, missed.collect::<Vec<_>>(), "{of}");
    assert!(fired.iter().all(|job| skipped(job) == Some(SkipReason::Missed)));
    assert!(!came.is_empty() && !found.is_empty(), "both happened");
}

#[tokio::test]
async fn each_nominal_time_has_one_run_or_one_recorded_skip_in_memory() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    simulate(vec![store; 3]).await;
}

#[tokio::test]
async fn each_nominal_time_has_one_run_or_one_recorded_skip_on_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = folder.path().join("jobs.db").display().to_string();
    let store = SqliteStore::open(Options { url, read_pool: 2 }).await.expect("a store");
    let store: Arc<dyn Store> = Arc::new(store);
    simulate(vec![store; 3]).await;
}

#[tokio::test]
async fn each_nominal_time_has_one_run_or_one_recorded_skip_on_postgresql() {
    // Without PostgreSQL it says so, where it may do without.
    let Some(cluster) = cluster::shared() else { return };
    let url = cluster.url(&cluster.create(None).await);
    let mut stores: Vec<Arc<dyn Store>> = Vec::new();
    for _ in 0..3 {
        let options = postgres::Options { url: url.clone(), ..postgres::Options::default() };
        stores.push(Arc::new(PostgresStore::open(options).await.expect("a store")));
    }
    simulate(stores).await;
}
