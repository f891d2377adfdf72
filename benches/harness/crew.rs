//! Clients that create jobs and workers that run them: the load of a whole life.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use parking_lot::Mutex;
use prost::Message as _;
use tokio::task::JoinSet;

use jobplane::proto::v1;
use jobplane::proto::v1::report_progress_request::update::{Report, Succeeded};
use jobplane::proto::v1::report_progress_response::Kind;

use super::wire::{CREATE_MANY, connect, create_many, unary, update};
use super::worker::{PATIENCE, Word, Worker};

/// Jobs in one request of a creator.
pub const CREATE_BATCH: usize = 100;
/// Requests of creators under way at once.
const CREATORS: usize = 8;
/// Creators rest while so many jobs wait.
const BACKLOG_MAX: u64 = 4_096;
/// How long a creator rests, and how fine a pace is kept.
const REST: Duration = Duration::from_millis(1);

/// A crew that does nothing for so long is done.
const QUIET: Duration = Duration::from_millis(300);

/// What the crew did so far.
#[derive(Debug, Default)]
pub struct Counts {
    created: AtomicU64,
    started: AtomicU64,
    succeeded: AtomicU64,
    /// No more jobs are to be made, and those there are to be done with.
    ending: AtomicBool,
    /// Microseconds from an outcome to its ack, if they are kept.
    acks: Mutex<Vec<f64>>,
}

impl Counts {
    /// Durable changes of jobs so far.
    pub fn transitions(&self) -> u64 {
        self.created.load(Ordering::Relaxed)
            + self.started.load(Ordering::Relaxed)
            + self.succeeded.load(Ordering::Relaxed)
    }

    /// Jobs that were handed out.
    pub fn started(&self) -> u64 {
        self.started.load(Ordering::Relaxed)
    }

    /// Jobs whose success is acknowledged.
    pub fn succeeded(&self) -> u64 {
        self.succeeded.load(Ordering::Relaxed)
    }

    /// Takes the times kept so far.
    pub fn take_acks(&self) -> Vec<f64> {
        std::mem::take(&mut self.acks.lock())
    }
}

/// What a crew does.
#[derive(Debug, Clone, Copy)]
pub struct Duty {
    /// Worker sessions, each on a connection of its own.
    pub workers: usize,
    /// Jobs each may hold.
    pub slots: i32,
    /// Whether jobs are created along the way.
    pub creates: bool,
    /// Jobs per second that come to their end; as many as can if none.
    pub pace: Option<f64>,
}

/// The load under way; it ends when this is dropped.
pub struct Crew {
    /// What it did so far.
    pub counts: Arc<Counts>,
    tasks: JoinSet<Result<()>>,
}

impl Crew {
    /// Begins.
    pub async fn start(address: SocketAddr, duty: Duty) -> Result<Self> {
        let counts = Arc::new(Counts::default());
        let mut tasks = JoinSet::new();
        for _ in 0..duty.workers {
            let worker = Worker::attach(&connect(address).await?, "default").await?;
            worker.slots(duty.slots).await?;
            let pace = duty.pace.map(|pace| pace / duty.workers as f64);
            let counts = Arc::clone(&counts);
            match pace {
                None => _ = tasks.spawn(work(worker, counts)),
                Some(pace) => _ = tasks.spawn(work_at(worker, counts, pace)),
            }
        }
        if duty.creates {
            let channel = connect(address).await?;
            for number in 0..CREATORS {
                let every = duty
                    .pace
                    .map(|pace| Duration::from_secs_f64((CREATORS * CREATE_BATCH) as f64 / pace));
                // One after the other, so that jobs are made at an even pace and not all at once.
                let first = every.map(|every| every.mul_f64(number as f64 / CREATORS as f64));
                let pace = every.zip(first);
                tasks.spawn(create(channel.clone(), Arc::clone(&counts), pace));
            }
        }
        Ok(Self { counts, tasks })
    }

    /// Lets it work for so long; fails if a part of it failed.
    pub async fn work(&mut self, length: Duration) -> Result<()> {
        tokio::select! {
            () = tokio::time::sleep(length) => Ok(()),
            ended = self.tasks.join_next() => {
                ended.context("there is no crew")???;
                bail!("a part of the crew ended early")
            }
        }
    }

    /// Lets it finish what it began: a crew that goes away with jobs in its hands leaves the server work for later.
    pub async fn finish(self) {
        self.end(QUIET).await;
    }

    /// Lets it finish every job that it made; fails if they do not come to their end.
    pub async fn finish_all(self) -> Result<Arc<Counts>> {
        let counts = Arc::clone(&self.counts);
        self.end(PATIENCE).await;
        let (made, done) = (counts.created.load(Ordering::Relaxed), counts.succeeded());
        ensure!(made == done, "{done} of {made} jobs are finished, and no more");
        Ok(counts)
    }

    /// Waits until nothing has happened for a moment; with jobs that it made and that are not finished, for so long.
    async fn end(mut self, unfinished: Duration) {
        self.counts.ending.store(true, Ordering::Relaxed);
        let (mut last, mut since) = (self.counts.transitions(), Instant::now());
        loop {
            let is_open = self.counts.created.load(Ordering::Relaxed) != self.counts.succeeded();
            if since.elapsed() >= if is_open { unfinished } else { QUIET } {
                break;
            }
            tokio::time::sleep(REST).await;
            let now = self.counts.transitions();
            if now != last {
                (last, since) = (now, Instant::now());
            }
        }
        self.tasks.shutdown().await;
    }

    /// Lets it work until so many jobs have succeeded.
    pub async fn work_until(&mut self, succeeded: u64) -> Result<()> {
        let (mut last, mut since) = (0, Instant::now());
        loop {
            let now = self.counts.succeeded();
            if now >= succeeded {
                return Ok(());
            }
            if now != last {
                (last, since) = (now, Instant::now());
            }
            ensure!(since.elapsed() < PATIENCE, "{now} of {succeeded} jobs succeed, and no more");
            self.work(REST).await?;
        }
    }
}

/// Makes so many jobs and waits for it.
pub async fn fill(address: SocketAddr, jobs: usize) -> Result<()> {
    let channel = connect(address).await?;
    let mut left = jobs.div_ceil(CREATE_BATCH);
    let request = create_many(CREATE_BATCH);
    let mut tasks = JoinSet::new();
    while left > 0 || !tasks.is_empty() {
        while left > 0 && tasks.len() < CREATORS {
            let (channel, request) = (channel.clone(), request.clone());
            tasks.spawn(async move { unary(&channel, CREATE_MANY, request).await });
            left -= 1;
        }
        if let Some(made) = tasks.join_next().await {
            all_made(&made??)?;
        }
    }
    Ok(())
}

/// Fails if a job was not made.
fn all_made(answer: &bytes::Bytes) -> Result<()> {
    use v1::batch_create_jobs_response::result::Outcome;
    let answer = v1::BatchCreateJobsResponse::decode(answer.clone())?;
    let made = answer.results.iter();
    let made = made.filter(|result| matches!(result.outcome, Some(Outcome::Created(_)))).count();
    ensure!(made == CREATE_BATCH, "{made} of {CREATE_BATCH} jobs are made");
    Ok(())
}

async fn create(
    channel: tonic::transport::Channel,
    counts: Arc<Counts>,
    pace: Option<(Duration, Duration)>,
) -> Result<()> {
    let request = create_many(CREATE_BATCH);
    let mut next = Instant::now() + pace.map_or(Duration::ZERO, |(_, first)| first);
    let mut checked = false;
    loop {
        if let Some((every, _)) = pace {
            next += every;
            tokio::time::sleep_until(next.into()).await;
        }
        let waiting = || {
            let started = counts.started.load(Ordering::Relaxed);
            counts.created.load(Ordering::Relaxed).saturating_sub(started)
        };
        while waiting() > BACKLOG_MAX || counts.ending.load(Ordering::Relaxed) {
            tokio::time::sleep(REST).await;
        }
        let answer = unary(&channel, CREATE_MANY, request.clone()).await?;
        // Once is enough: what is not made is missed in the end, and reading it all is dear.
        if !std::mem::replace(&mut checked, true) {
            all_made(&answer)?;
        }
        counts.created.fetch_add(CREATE_BATCH as u64, Ordering::Relaxed);
    }
}

fn succeeded(seq: i64, job: (String, i64)) -> Word {
    let report = Some(Report::Succeeded(Succeeded { progress: None, result: None }));
    Word::Message(Box::new(update(seq, job.0, job.1, report)))
}

/// Reports each job as done the moment it is assigned.
async fn work(mut worker: Worker, counts: Arc<Counts>) -> Result<()> {
    let (mut seq, mut through) = (0, 0);
    loop {
        match worker.hear().await? {
            Kind::Assignment(assignment) => {
                counts.started.fetch_add(1, Ordering::Relaxed);
                seq += 1;
                let job = (super::worker::job_id(&assignment)?.to_owned(), assignment.lease_epoch);
                worker.mouth.send(succeeded(seq, job)).await?;
            }
            Kind::Ack(ack) => {
                let more = u64::try_from(ack.through_seq - through).unwrap_or(0);
                counts.succeeded.fetch_add(more, Ordering::Relaxed);
                through = ack.through_seq;
            }
            other => bail!("a worker is told {other:?}"),
        }
    }
}

/// Reports jobs as done at an even pace, whether the acks keep up or not.
async fn work_at(mut worker: Worker, counts: Arc<Counts>, pace: f64) -> Result<()> {
    let mut held = VecDeque::new();
    let mut open: VecDeque<(i64, Instant)> = VecDeque::new();
    let (mut seq, began) = (0, Instant::now());
    let mut ticks = tokio::time::interval(REST);
    let mut due_so_far = 0_u64;
    loop {
        tokio::select! {
            kind = worker.hear() => match kind? {
                Kind::Assignment(assignment) => {
                    counts.started.fetch_add(1, Ordering::Relaxed);
                    let id = super::worker::job_id(&assignment)?.to_owned();
                    held.push_back((id, assignment.lease_epoch));
                }
                Kind::Ack(ack) => {
                    let now = Instant::now();
                    let mut acks = counts.acks.lock();
                    while let Some((_, sent)) = open.pop_front_if(|(seq, _)| *seq <= ack.through_seq) {
                        acks.push(1e6 * now.duration_since(sent).as_secs_f64());
                        counts.succeeded.fetch_add(1, Ordering::Relaxed);
                    }
                }
                other => bail!("a worker is told {other:?}"),
            },
            _ = ticks.tick() => {
                let due = (began.elapsed().as_secs_f64() * pace) as u64;
                let ending = counts.ending.load(Ordering::Relaxed);
                let due = if ending { due_so_far + held.len() as u64 } else { due };
                for _ in due_so_far..due {
                    // Without a job in hand the moment is lost: the server hands out what it has.
                    let Some(job) = held.pop_front() else { break };
                    seq += 1;
                    open.push_back((seq, Instant::now()));
                    worker.mouth.send(succeeded(seq, job)).await?;
                }
                due_so_far = due;
            }
        }
    }
}
