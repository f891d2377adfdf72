//! Jobs, writes and batches for tests.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jobplane::domain::machine::{
    Applied, Birth, Command, Effect, Now, ReleaseReason, apply, create,
};
use jobplane::domain::stats::Changes;
use jobplane::domain::usage::UsageWatch;
use jobplane::domain::{
    BatchId, InstanceId, Job, JobError, JobId, JobSpec, JobType, LogBatch, LogEntry, LogLevel,
    Progress, QueueName, Session, SessionId, Timestamp, Trigger, WorkerName,
};
use jobplane::store::postgres::{self, LeaseClock, Listen, PostgresStore};
use jobplane::store::sqlite::{Options, SqliteStore};
use jobplane::store::{
    Batch, Claims, Committed, Counted, JobDelete, JobWrite, KeyChange, NewJob, Probe,
    ProgressWrite, RequestKey, Round, SessionWrite, Store, Written,
};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::cluster::{self, Cluster};

pub mod unread;

/// A SQLite store in `folder`.
pub async fn sqlite(folder: &Path) -> SqliteStore {
    let url = folder.join("jobs.db").display().to_string();
    SqliteStore::open(Options { url, read_pool: 2 }).await.expect("the store opens")
}

/// A PostgreSQL store over a database of its own.
pub struct Database {
    pub store: PostgresStore,
    pub cluster: &'static Cluster,
    pub name: String,
}

/// How a test uses a database: in its own time, alone.
pub fn options(url: String) -> postgres::Options {
    postgres::Options {
        url,
        listen: Listen::Never,
        clock: LeaseClock::Caller,
        ..postgres::Options::default()
    }
}

/// The name of a new database of the shared cluster, with our tables.
pub async fn database(cluster: &Cluster) -> String {
    static TEMPLATE: OnceCell<String> = OnceCell::const_new();
    let make = async || {
        let name = cluster.create(None).await;
        PostgresStore::open(options(cluster.url(&name))).await.expect("it opens").close().await;
        name
    };
    cluster.create(Some(TEMPLATE.get_or_init(make).await)).await
}

/// A PostgreSQL store; none where there is no PostgreSQL.
pub async fn postgres() -> Option<Database> {
    let cluster = cluster::shared()?;
    let name = database(cluster).await;
    let store = PostgresStore::open(options(cluster.url(&name))).await.expect("it opens");
    Some(Database { store, cluster, name })
}

impl Database {
    /// Ends it; a test that failed leaves it to the end of the cluster.
    pub async fn remove(self) {
        self.store.close().await;
        self.cluster.remove(&self.name).await;
    }
}

/// So many seconds after a moment in 2025.
pub fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(1_750_000_000_000_000).plus(Duration::from_secs(seconds))
}

pub fn job_id(number: u64) -> JobId {
    JobId(Uuid::from_u128(0x0197_0000_0000_7000_8000_0000_0000_0000 + u128::from(number)))
}

pub fn session_id(number: u64) -> SessionId {
    SessionId(Uuid::from_u128(0x5e55_0000 + u128::from(number)))
}

pub fn job_type(name: &str) -> JobType {
    JobType::new(name).expect("a name")
}

pub fn queue(name: &str) -> QueueName {
    QueueName::new(name).expect("a name")
}

pub fn worker() -> WorkerName {
    WorkerName::new("w1").expect("a name")
}

pub fn spec() -> JobSpec {
    JobSpec::new(job_type("sync"), queue("default"))
}

/// A job as it is born at `now`.
pub fn born(number: u64, spec: JobSpec, now: Timestamp) -> NewJob {
    let birth = Birth {
        created_by: "tester".to_owned(),
        trigger: Trigger::Api,
        category: None,
        skipped: None,
    };
    let status = create(&spec, birth, now);
    let mut changes = Changes::default();
    changes.record(None, &status);
    let job = Job { id: job_id(number), spec: Arc::new(spec), status };
    NewJob { job, request: None, fire: None, session: None, changes }
}

pub fn request(id: &str) -> RequestKey {
    let mut fingerprint = [7; 32];
    fingerprint[0] = u8::try_from(id.len()).unwrap_or(0);
    RequestKey { caller: "tester".to_owned(), request_id: id.to_owned(), fingerprint }
}

/// The write that `command` asks for, if it is allowed and changes something.
pub fn decide(job: &Job, command: Command, now: Timestamp) -> Option<JobWrite> {
    let Ok(Applied::Changed(transition)) = apply(&job.spec, &job.status, command, Now::at(now))
    else {
        return None;
    };
    let mut changes = Changes::default();
    changes.record(Some(&job.status), &transition.status);
    let key = match (job.status.kind().is_terminal(), transition.status.kind().is_terminal()) {
        (true, false) => KeyChange::Take,
        (false, true) => KeyChange::Release,
        _ => KeyChange::None,
    };
    Some(JobWrite {
        expected_revision: job.status.revision,
        expected_epoch: job.status.lease_epoch,
        quiet_since: transition.effects.iter().filter_map(Effect::quiet_since).min(),
        before: Counted::of(&job.status),
        job: Job { status: transition.status, ..job.clone() },
        superseded: transition.superseded.into_iter().collect(),
        key,
        changes,
    })
}

/// The same start of a job that counts under the value of this label.
pub fn keyed(mut write: JobWrite, label: &str) -> JobWrite {
    let value = write.job.spec.labels.get(label).cloned();
    write.job.status.execution.as_mut().expect("it starts").concurrency_key = value;
    write
}

pub fn start(session: u64) -> Command {
    Command::Start { session: session_id(session), worker_id: worker() }
}

pub fn succeed(lease_epoch: i64) -> Command {
    Command::Succeed {
        lease_epoch,
        result: Some(Bytes::from_static(b"the result")),
        progress: None,
        usage: None,
    }
}

pub fn fail(lease_epoch: i64, non_retryable: bool) -> Command {
    let mut error = JobError::server("BROKEN", "it broke".to_owned());
    error.non_retryable = non_retryable;
    Command::Fail { lease_epoch, error, retry_delay: None, progress: None, usage: None }
}

pub fn release(lease_epoch: i64) -> Command {
    let reason = ReleaseReason::Worker { reason: "later".to_owned() };
    Command::Release { lease_epoch, delay: Duration::ZERO, reason }
}

pub fn cancel() -> Command {
    Command::Cancel {
        reason: "enough".to_owned(),
        requested_by: "tester".to_owned(),
        grace: Duration::from_secs(10),
    }
}

pub fn retry() -> Command {
    Command::Retry { schedule_time: None, force: true }
}

pub fn delete(job: &Job) -> JobDelete {
    JobDelete { expected_revision: job.status.revision, job: job.clone() }
}

pub fn progress(number: u64, lease_epoch: i64, sequence: i64) -> ProgressWrite {
    ProgressWrite {
        job_id: job_id(number),
        lease_epoch,
        progress: Progress { sequence, completed: sequence * 10, ..Progress::default() },
        usage: None,
        usage_watch: UsageWatch::default(),
    }
}

pub fn lines(number: u64, lease_epoch: i64, seq: i64, count: usize) -> LogBatch {
    let entry = |line| LogEntry {
        time: at(1),
        level: LogLevel::Info,
        step: String::new(),
        message: format!("line {line} of {seq}"),
        data: None,
    };
    LogBatch {
        job_id: job_id(number),
        lease_epoch,
        attempt: 1,
        seq,
        entries: (0..count).map(entry).collect(),
    }
}

/// An open session with a lease of 30 s from `now`.
pub fn session(number: u64, instance: &str, now: Timestamp) -> Session {
    let ttl = Duration::from_secs(30);
    Session {
        id: session_id(number),
        worker_id: worker(),
        instance_id: process(instance),
        principal: "tester".to_owned(),
        unary: false,
        client: "test 1".to_owned(),
        queues: vec![QueueName::default()],
        types: Vec::new(),
        labels: [("zone".to_owned(), "a".to_owned())].into(),
        slots: 4,
        ttl,
        connect_time: now,
        expire_time: now.plus(ttl),
        end: None,
    }
}

/// An empty batch with an id of its own.
pub fn batch(now: Timestamp) -> Batch {
    Batch::new(BatchId(Uuid::now_v7()), now)
}

pub async fn commit(store: &dyn Store, batch: Batch) -> Committed {
    store.commit(batch).await.expect("a commit")
}

/// Stores these jobs.
pub async fn given(store: &dyn Store, jobs: Vec<NewJob>) {
    let count = jobs.len();
    let committed = commit(store, Batch { creates: jobs, ..batch(at(0)) }).await;
    assert_eq!(committed.creates, vec![Written::Done; count]);
}

/// Where jobs of this world wait.
pub fn probe(limit: usize) -> Probe {
    Probe { queue: queue("default"), job_type: job_type("sync"), limit, cap: None }
}

/// A round that claims nothing and looks here.
pub async fn round(store: &dyn Store, probes: &[Probe], now: Timestamp) -> Box<dyn Round> {
    let mut round = store.begin_round(&Claims::default()).await.expect("a round");
    round.look(probes, now).await.expect("candidates");
    round
}

/// Applies `command` to the job and stores what follows.
pub async fn command(store: &dyn Store, number: u64, command: Command, now: Timestamp) -> Job {
    let job = load(store, number).await.expect("the job is there");
    let write = decide(&job, command, now).expect("the command is allowed");
    let committed = commit(store, Batch { writes: vec![write], ..batch(now) }).await;
    assert_eq!(committed.writes, vec![Written::Done]);
    load(store, number).await.expect("the job is there")
}

pub async fn open_session(store: &dyn Store, session: Session) {
    let now = session.connect_time;
    let sessions = vec![SessionWrite::Open(session)];
    assert_eq!(commit(store, Batch { sessions, ..batch(now) }).await.sessions, vec![true]);
}

pub async fn load(store: &dyn Store, number: u64) -> Option<Job> {
    store.load(&[job_id(number)]).await.expect("a read").pop()
}

/// The process called `name`; none if empty.
pub fn process(name: &str) -> InstanceId {
    let mut bytes = [0; 16];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    let id = if name.is_empty() { String::new() } else { Uuid::from_bytes(bytes).to_string() };
    InstanceId::new(&id).expect("a UUID")
}
