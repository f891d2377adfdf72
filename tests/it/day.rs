//! A day of life in fast-forward: 50 types, workers that do their work, fail, get stuck or are lost, schedules,
//! and an operator who pauses, sweeps, cancels, retries, deletes and purges, one job or many. A model in the test
//! knows what must come of it.

mod checks;
mod model;
mod operator;
mod story;

use std::collections::BTreeMap;
use std::time::Duration;

use jobplane::domain::stats::FacetPolicy;
use jobplane::proto::v1;
use jobplane::proto::v1::JobState as State;
use jobplane::proto::v1::job_type_service_client::JobTypeServiceClient;
use jobplane::runtime::Clock;
use prost::Message as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

use crate::harness::{
    Client, JobFacts as _, SOON, Server, Setup, channel, eventually, seconds, spec,
};
use model::{Life, Model, Waits};
use operator::Many;

crate::on_each_store! {
    a_day_of_life_is_counted_and_told_as_it_was
}

const TYPES: usize = 50;
/// Those that have a schedule: on the hour.
const SCHEDULED: [usize; 2] = [3, 33];
const QUEUES: [&str; 3] = ["mail", "sync", "backup"];
const CATEGORIES: usize = 5;
const STEPS: usize = 19;
const STEP: Duration = Duration::from_secs(60 * 60);
/// Two steps are longer, three are not.
const TIMEOUT: f64 = 90.0 * 60.0;
const JOBS_A_STEP: usize = 14;
const RUNS_A_STEP: usize = 16;

fn type_name(number: usize) -> String {
    format!("type-{number:02}")
}

fn queue_of(job_type: &str) -> &'static str {
    QUEUES[job_type.bytes().map(usize::from).sum::<usize>() % QUEUES.len()]
}

fn category_of(job_type: &str) -> String {
    let number = job_type.trim_start_matches("type-").parse::<usize>().expect("one of ours");
    format!("category-{}", number % CATEGORIES)
}

struct Day {
    server: Server,
    client: Client,
    clock: Clock,
    chance: StdRng,
    model: Model,
    paused: Option<&'static str>,
    /// Commands for many jobs that are still to be given: from which step on.
    plans: Vec<(usize, Many)>,
    /// When the types were declared.
    began: i64,
}

async fn a_day_of_life_is_counted_and_told_as_it_was(setup: Setup) {
    let seed = rand::random();
    println!("seed: {seed}");
    let clock = Clock::new();
    let brisk = Duration::from_millis(20);
    let server = setup
        .in_its_own_time(clock.clone())
        .with(|config| {
            config.periods.poll = 5 * brisk;
            config.periods.schedules = brisk;
            config.periods.prune = 4 * brisk;
            config.stats = FacetPolicy { by_owner: true, by_labels: Vec::new() };
        })
        .start()
        .await;
    let mut day = Day {
        client: server.client(),
        began: 0,
        server,
        clock,
        chance: StdRng::seed_from_u64(seed),
        model: Model::default(),
        paused: None,
        plans: operator::PLANS.to_vec(),
    };
    day.declare().await;
    for step in 0..STEPS {
        day.model.step = step;
        day.settle().await;
        day.fire().await;
        day.submit().await;
        day.operate().await;
        for _ in 0..RUNS_A_STEP {
            day.run().await;
        }
        day.clock.follow(day.clock.now().plus(STEP));
    }
    day.model.step = STEPS;
    day.settle().await;
    day.fire().await;
    // From then on nothing happens because time passes, however long the checks take.
    while day.model.waits_for_time() {
        day.clock.follow(day.clock.now().plus(STEP));
        day.model.step += 1;
        day.settle().await;
        day.fire().await;
    }
    assert!(day.plans.is_empty(), "every command for many jobs was given");
    checks::check(&day.server, &day.model).await;
    story::check(&day.client, &day.model).await;
    day.purge().await;
    day.server.stop_with(day.client).await;
}

impl Day {
    async fn declare(&mut self) {
        let mut types = JobTypeServiceClient::new(channel(self.server.address()).await);
        self.began = self.server.now().as_micros() / 3_600_000_000;
        for number in 0..TYPES {
            let name = type_name(number);
            let times = Some(v1::schedule::Times::Cron("0 * * * *".to_owned()));
            // A run is made good however little of the step before was left.
            let catch_up_window = seconds(2.0 * 3_600.0);
            let schedule = v1::Schedule { times, catch_up_window, ..v1::Schedule::default() };
            let defaults = v1::JobDefaults {
                queue: queue_of(&name).to_owned(),
                timeout: seconds(TIMEOUT),
                ..v1::JobDefaults::default()
            };
            let job_type = v1::JobType {
                display_name: format!("Type number {number}"),
                category: category_of(&name),
                schedule: SCHEDULED.contains(&number).then_some(schedule),
                defaults: Some(defaults),
                r#type: name,
                ..v1::JobType::default()
            };
            let request = v1::PutJobTypeRequest { job_type: Some(job_type), ..Default::default() };
            types.put_job_type(request).await.expect("declared");
            self.model.did("put_job_type", &type_name(number), "");
        }
    }

    /// Waits for what comes of lost and stuck workers.
    async fn settle(&mut self) {
        for (id, wanted) in self.model.due() {
            let job = match wanted {
                Waits::ToBeAskedToStop => {
                    self.until(&id, |job| job.status().cancel_request.is_some()).await
                }
                Waits::ToEnd => self.until(&id, |job| job.state() != State::Running).await,
            };
            self.model.settled(&id, wanted, &job);
        }
    }

    async fn until(&self, id: &str, wanted: impl Fn(&v1::Job) -> bool) -> v1::Job {
        eventually(3 * SOON, "what comes of a lost or stuck worker", || async {
            wanted(&self.client.get(id).await)
        })
        .await;
        self.client.get(id).await
    }

    /// Learns of the runs that schedules made: one for each full hour and scheduled type.
    async fn fire(&mut self) {
        let wanted = || {
            let hours = self.server.now().as_micros() / 3_600_000_000 - self.began;
            usize::try_from(hours).expect("a count") * SCHEDULED.len() - self.model.deleted_runs
        };
        let list = || async {
            let filter = v1::JobFilter {
                triggers: vec![v1::JobTrigger::Schedule.into()],
                ..v1::JobFilter::default()
            };
            let request = v1::ListJobsRequest {
                filter: Some(filter),
                page_size: 1_000,
                ..v1::ListJobsRequest::default()
            };
            self.client.list(request).await.expect("a page").jobs
        };
        eventually(3 * SOON, "every full hour has its runs", || async {
            wanted() <= list().await.len()
        })
        .await;
        let mut fired = list().await;
        assert!(fired.len() <= wanted(), "a run too many");
        fired.reverse();
        for job in fired {
            self.model.fired(&job);
        }
    }

    async fn submit(&mut self) {
        for _ in 0..JOBS_A_STEP {
            let number = self.chance.random_range(0..TYPES - 1);
            let name = type_name(number);
            let owner = ["", "ann", "bob"][number % 3].to_owned();
            let job = self.client.create(v1::JobSpec { owner, ..spec(&name) }).await;
            self.model.created(&job);
        }
    }

    /// Two days later, all that was over by now goes, and nothing else.
    async fn purge(&mut self) {
        let finished = checks::finished(&self.client).await;
        self.clock.follow(self.clock.now().plus(Duration::from_secs(48 * 3_600)));
        let reason = "the day is over".to_owned();
        let request =
            v1::PurgeJobsRequest { days_to_keep: 1, reason: reason.clone(), ..Default::default() };
        let answer = self.client.admin.clone().purge_jobs(request).await;
        let gone = answer.expect("purged").into_inner().count;
        assert_eq!(gone, self.model.purged());
        self.model.did("purge_jobs", &gone.to_string(), &reason);
        checks::check_after_purge(&self.client, &self.model, finished).await;
        // The jobs are gone, and what was done to them is still told.
        story::check_audit(&self.client, &self.model).await;
    }

    /// A worker takes a job, and something becomes of it.
    async fn run(&mut self) {
        let paused = self.paused;
        let is_open = |job_type: &str| Some(queue_of(job_type)) != paused;
        let step = self.model.step;
        let ready: BTreeMap<&str, &Life> = self
            .model
            .living()
            .filter(|(_, life)| life.is_ready(step) && is_open(&life.job_type))
            .map(|(_, life)| (life.job_type.as_str(), life))
            .collect();
        let ready: Vec<_> = ready.into_keys().map(ToOwned::to_owned).collect();
        let Some(job_type) = ready.choose(&mut self.chance) else { return };
        let fate = self.chance.random_range(0..10);
        // Who will be lost has a short lease, all others one that outlasts the day.
        let lease_ttl = seconds(if fate == 9 { 1_800.0 } else { 86_400.0 });
        let request = v1::AcquireJobsRequest {
            worker_id: format!("worker-{}", fate % 3),
            types: vec![job_type.clone()],
            queues: vec![queue_of(job_type).to_owned()],
            lease_ttl,
            ..v1::AcquireJobsRequest::default()
        };
        let held = self.client.acquire(request).await.expect("an answer").pop().expect("a job");
        let job = v1::Job::decode(held.job.expect("a job")).expect("a job");
        let epoch = held.lease_epoch;
        self.model.started(&job);
        match fate {
            0..=4 => {
                let counters = [("rows".to_owned(), 4.0)].into();
                let progress = v1::Progress { counters, succeeded: 3, ..Default::default() };
                let request = v1::CompleteJobRequest {
                    job_id: job.id.clone(),
                    lease_epoch: epoch,
                    progress: Some(progress),
                    ..v1::CompleteJobRequest::default()
                };
                let answer = self.client.workers.clone().complete_job(request).await;
                let job = answer.expect("taken").into_inner().job.expect("a job");
                self.model.counted(&job);
                self.model.ended(&job, State::Succeeded, true);
            }
            5 | 6 => {
                let job = self.client.fail(&job.id, epoch, "BROKEN").await.expect("taken");
                self.model.failed(&job);
            }
            7 => {
                let error = v1::JobError {
                    code: "HOPELESS".to_owned(),
                    non_retryable: true,
                    ..v1::JobError::default()
                };
                let request = v1::FailJobRequest {
                    job_id: job.id.clone(),
                    lease_epoch: epoch,
                    error: Some(error),
                    ..v1::FailJobRequest::default()
                };
                let job = self.client.fail_with(request).await.expect("taken");
                self.model.ended(&job, State::Failed, true);
            }
            // Stuck: it says nothing, and its lease goes on.
            8 => self.model.stuck(&job.id),
            _ => self.model.lost(&job.id),
        }
    }
}
