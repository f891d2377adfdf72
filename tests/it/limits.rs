//! What holds starts: caps, rates, memory, weights, pauses, quotas; by streams, by calls, over several servers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jobplane::proto::v1;
use jobplane::proto::v1::JobState as State;
use jobplane::proto::v1::job_type_service_client::JobTypeServiceClient;
use parking_lot::Mutex;
use prost::Message as _;
use tonic::{Code, Status};

use crate::harness::{
    Client, Held, JobFacts as _, Refusal, SOON, Server, Shared, channel, eventually, percent,
    seconds, spec, within,
};

/// What a crowd of jobs may take: long, for the machine is busy and PostgreSQL is not at its fastest.
const LONG: Duration = Duration::from_secs(60);

/// Declares a type.
async fn declare(server: &Server, job_type: v1::JobType) {
    let mut types = JobTypeServiceClient::new(channel(server.address()).await);
    let request = v1::PutJobTypeRequest { job_type: Some(job_type), ..Default::default() };
    types.put_job_type(request).await.expect("declared");
}

fn named(name: &str) -> v1::JobType {
    v1::JobType { r#type: name.to_owned(), ..v1::JobType::default() }
}

/// Changes a queue.
async fn queue(client: &Client, name: &str, change: impl FnOnce(&mut v1::Queue)) {
    let mut queue = v1::Queue { name: name.to_owned(), ..v1::Queue::default() };
    change(&mut queue);
    let request = v1::UpdateQueueRequest { queue: Some(queue), update_mask: None };
    client.admin.clone().update_queue(request).await.expect("changed");
}

fn tenant(job_type: &str, tenant: &str) -> v1::JobSpec {
    let labels = [("tenant".to_owned(), tenant.to_owned())].into();
    v1::JobSpec { labels, ..spec(job_type) }
}

/// A server that is asked what is set up knows it from then on, wherever it was said.
async fn look_up(server: &Server) {
    let mut types = JobTypeServiceClient::new(channel(server.address()).await);
    types.list_job_types(v1::ListJobTypesRequest::default()).await.expect("types");
    let mut admin = server.client().admin;
    admin.list_queues(v1::ListQueuesRequest::default()).await.expect("queues");
}

/// How many are at work at once, and how many were at most, by what they count under.
#[derive(Clone, Default)]
struct Gauge(Arc<Mutex<BTreeMap<String, (u32, u32)>>>);

impl Gauge {
    fn names(job: &v1::Job) -> Vec<String> {
        let spec = job.spec.as_ref().expect("a job has a spec");
        let tenant = spec.labels.get("tenant").map(|tenant| format!("tenant {tenant}"));
        let own = ["all".to_owned(), format!("type {}", spec.r#type)];
        let queue = job.status().effective.as_ref().map(|of| format!("queue {}", of.queue));
        own.into_iter().chain(queue).chain(tenant).collect()
    }

    fn enter(&self, job: &v1::Job) {
        let mut held = self.0.lock();
        for name in Self::names(job) {
            let (now, most) = held.entry(name).or_default();
            *now += 1;
            *most = (*most).max(*now);
        }
    }

    fn leave(&self, job: &v1::Job) {
        let mut held = self.0.lock();
        for name in Self::names(job) {
            held.entry(name).or_default().0 -= 1;
        }
    }

    fn most(&self, name: &str) -> u32 {
        self.0.lock().get(name).map_or(0, |(_, most)| *most)
    }
}

/// Runs what is assigned to a worker of so many slots.
async fn work(server: &Server, name: &str, slots: i32, gauge: &Gauge) {
    let worker = server.worker(name).slots(slots).connect().await;
    let lane = async || {
        loop {
            let held: Held = worker.next_assignment().await;
            gauge.enter(&held.job);
            held.report(percent(50.0)).await.expect("it runs");
            gauge.leave(&held.job);
            held.succeed().await.expect("taken");
        }
    };
    join_all((0..slots).map(|_| lane())).await;
}

/// Runs what a single call gets, one after the other.
async fn call(client: &Client, name: &str, gauge: &Gauge) {
    loop {
        let request = v1::AcquireJobsRequest {
            worker_id: name.to_owned(),
            wait: seconds(5.0),
            ..v1::AcquireJobsRequest::default()
        };
        for assignment in client.acquire(request).await.expect("an answer") {
            let job = v1::Job::decode(assignment.job.expect("a job")).expect("a job");
            gauge.enter(&job);
            tokio::task::yield_now().await;
            gauge.leave(&job);
            client.complete(&job.id, assignment.lease_epoch).await.expect("taken");
        }
    }
}

async fn start(client: &Client, spec: v1::JobSpec) -> Result<v1::StartJobResponse, Status> {
    let request = v1::StartJobRequest {
        worker_id: "own".to_owned(),
        spec: Some(spec),
        ..v1::StartJobRequest::default()
    };
    Ok(client.workers.clone().start_job(request).await?.into_inner())
}

use v1::start_job_response::Outcome;

/// The job that may run, or why there is none.
async fn begun(client: &Client, spec: v1::JobSpec) -> Result<(v1::Job, i64), v1::SkipReason> {
    match start(client, spec).await.expect("an answer").outcome.expect("one of them") {
        Outcome::Assignment(assignment) => {
            let job = v1::Job::decode(assignment.job.expect("a job")).expect("a job");
            Ok((job, assignment.lease_epoch))
        }
        Outcome::SkippedJob(job) => Err(job.status().skip_reason()),
    }
}

async fn refused(client: &Client, spec: v1::JobSpec) -> Refusal {
    Refusal::of(&start(client, spec).await.expect_err("refused"))
}

/// Starts jobs of its own, as many as may.
async fn own(client: &Client, job_type: &str, gauge: &Gauge) {
    for number in 0..30 {
        let spec = tenant(job_type, ["a", "b", "c"][number % 3]);
        let Ok(answer) = start(client, spec).await else { continue };
        if let Some(Outcome::Assignment(assignment)) = answer.outcome {
            let job = v1::Job::decode(assignment.job.expect("a job")).expect("a job");
            gauge.enter(&job);
            tokio::task::yield_now().await;
            gauge.leave(&job);
            client.complete(&job.id, assignment.lease_epoch).await.expect("taken");
        }
    }
}

async fn until_all_are_over(client: &Client, jobs: &[String]) {
    eventually(LONG, "all jobs are over", || async {
        let mut over = 0;
        for id in jobs {
            over += usize::from(client.get(id).await.state() == State::Succeeded);
        }
        over == jobs.len()
    })
    .await;
}

crate::on_each_shared_store! {
    caps_hold_over_three_servers_and_nothing_is_left_behind
    a_cap_that_is_full_on_one_server_opens_when_another_one_ends_a_job
}

async fn caps_hold_over_three_servers_and_nothing_is_left_behind(store: Shared) {
    let setup = || Server::setup().with(|config| config.max_running = 5);
    let first = setup().over(store).start().await;
    let others = [setup().start_beside(&first).await, setup().start_beside(&first).await];
    let servers = [&first, &others[0], &others[1]];
    let key = v1::ConcurrencyKey { label: "tenant".to_owned(), max_running: 1 };
    let keyed = v1::JobType { concurrency_key: Some(key), max_concurrent: 2, ..named("keyed") };
    declare(&first, keyed).await;
    declare(&first, v1::JobType { max_concurrent: 3, ..named("three") }).await;
    queue(&first.client(), "narrow", |queue| queue.max_running = 2).await;
    for server in servers {
        look_up(server).await;
    }
    let gauge = Gauge::default();
    let client = first.client();
    let mut jobs = Vec::new();
    for number in 0..60 {
        let narrow = v1::JobSpec { queue: "narrow".to_owned(), ..spec("free") };
        let spec = match number % 4 {
            0 => tenant("keyed", ["a", "b", "c"][number % 3]),
            1 => spec("three"),
            2 => narrow,
            _ => spec("free"),
        };
        jobs.push(client.create(spec).await.id);
    }
    let clients = servers.map(Server::client);
    let everybody = async {
        let streams = servers.iter().enumerate().map(async |(at, server)| {
            let hire = server.worker(&format!("narrow{at}")).queue("narrow").slots(3);
            let narrow = hire.connect().await;
            let lane = async || {
                loop {
                    let held = narrow.next_assignment().await;
                    gauge.enter(&held.job);
                    held.report(percent(50.0)).await.expect("it runs");
                    gauge.leave(&held.job);
                    held.succeed().await.expect("taken");
                }
            };
            let lanes = join_all((0..3).map(|_| lane()));
            let name = format!("w{at}");
            futures_util::future::join(work(server, &name, 4, &gauge), lanes).await;
        });
        let calls = clients.iter().map(|client| call(client, "caller", &gauge));
        let owns = clients.iter().map(|client| own(client, "keyed", &gauge));
        futures_util::join!(join_all(streams), join_all(calls), join_all(owns));
    };
    tokio::select! {
        () = everybody => {}
        () = until_all_are_over(&client, &jobs) => {}
    }
    for (name, cap) in [("all", 5), ("type keyed", 2), ("type three", 3), ("queue narrow", 2)] {
        let most = gauge.most(name);
        assert!((1..=cap).contains(&most), "{most} of {name} ran at once, {cap} may");
    }
    for name in ["tenant a", "tenant b", "tenant c"] {
        assert_eq!(gauge.most(name), 1, "{name}");
    }
    let [second, third] = others;
    for server in [first, second, third] {
        server.abandon().await;
    }
}

async fn a_cap_that_is_full_on_one_server_opens_when_another_one_ends_a_job(store: Shared) {
    let a = Server::setup().over(store).start().await;
    let b = a.beside().await;
    declare(&a, v1::JobType { max_concurrent: 1, ..named("alone") }).await;
    look_up(&b).await;
    let (one, two) = (a.worker("w1").connect().await, b.worker("w2").connect().await);
    let ids =
        [a.client().create(spec("alone")).await.id, b.client().create(spec("alone")).await.id];
    let runs = async |id: &String| a.client().get(id).await.state() == State::Running;
    eventually(SOON, "one runs", || async { runs(&ids[0]).await || runs(&ids[1]).await }).await;
    let held = tokio::select! {
        held = one.next_assignment() => held,
        held = two.next_assignment() => held,
    };
    held.succeed().await.expect("taken");
    let held = tokio::select! {
        held = one.next_assignment() => held,
        held = two.next_assignment() => held,
    };
    held.succeed().await.expect("taken");
    drop((one, two, held));
    b.stop().await;
    a.stop().await;
}

#[tokio::test]
async fn a_start_of_its_own_goes_by_the_caps() {
    let server = Server::start().await;
    let client = server.client();
    declare(&server, v1::JobType { max_concurrent: 1, ..named("one") }).await;
    let (job, epoch) = begun(&client, spec("one")).await.expect("it may run");
    assert_eq!(begun(&client, spec("one")).await, Err(v1::SkipReason::Overlap));
    client.complete(&job.id, epoch).await.expect("taken");
    let (job, epoch) = begun(&client, spec("one")).await.expect("there is room again");
    client.complete(&job.id, epoch).await.expect("taken");
    let key = v1::ConcurrencyKey { label: "tenant".to_owned(), max_running: 1 };
    declare(&server, v1::JobType { concurrency_key: Some(key), ..named("keyed") }).await;
    let held = begun(&client, tenant("keyed", "a")).await.expect("it may run");
    assert_eq!(begun(&client, tenant("keyed", "a")).await, Err(v1::SkipReason::Overlap));
    begun(&client, tenant("keyed", "b")).await.expect("another tenant may");
    begun(&client, spec("keyed")).await.expect("without the label nothing is capped");
    client.complete(&held.0.id, held.1).await.expect("taken");
    begun(&client, tenant("keyed", "a")).await.expect("there is room again");
    queue(&client, "narrow", |queue| queue.max_running = 1).await;
    let narrow = || v1::JobSpec { queue: "narrow".to_owned(), ..spec("free") };
    begun(&client, narrow()).await.expect("it may run");
    let full = refused(&client, narrow()).await;
    assert_eq!((full.code, full.reason.as_str()), (Code::ResourceExhausted, "LIMIT_EXCEEDED"));
    queue(&client, "still", |queue| queue.paused = true).await;
    let paused = refused(&client, v1::JobSpec { queue: "still".to_owned(), ..spec("free") }).await;
    assert_eq!((paused.code, paused.reason.as_str()), (Code::FailedPrecondition, "QUEUE_PAUSED"));
    let rate = v1::StartRate { per_second: 0.001, burst: 2 };
    declare(&server, v1::JobType { start_rate: Some(rate), ..named("slow") }).await;
    for _ in 0..2 {
        begun(&client, spec("slow")).await.expect("the burst");
    }
    let spent = refused(&client, spec("slow")).await;
    assert_eq!((spent.code, spent.reason.as_str()), (Code::ResourceExhausted, "RATE_LIMITED"));
    declare(&server, v1::JobType { disabled: true, max_concurrent: 9, ..named("off") }).await;
    assert_eq!(begun(&client, spec("off")).await, Err(v1::SkipReason::TypeDisabled));
    server.abandon().await;
}

#[tokio::test]
async fn a_job_is_held_by_its_rate_and_no_longer() {
    let server = Server::setup().in_memory().start().await;
    let rate = v1::StartRate { per_second: 50.0, burst: 5 };
    declare(&server, v1::JobType { start_rate: Some(rate), ..named("paced") }).await;
    let client = server.client();
    let mut jobs = Vec::new();
    for _ in 0..40 {
        jobs.push(client.create(spec("paced")).await.id);
    }
    let gauge = Gauge::default();
    tokio::select! {
        () = work(&server, "w1", 40, &gauge) => {}
        () = until_all_are_over(&client, &jobs) => {}
    }
    let mut starts = Vec::new();
    for id in &jobs {
        let start = client.get(id).await.status().start_time.expect("it started");
        starts.push(Duration::new(start.seconds.unsigned_abs(), start.nanos.unsigned_abs()));
    }
    starts.sort_unstable();
    for (first, from) in starts.iter().enumerate() {
        for (last, until) in starts.iter().enumerate().skip(first) {
            let most = 5.0 + 50.0 * until.saturating_sub(*from).as_secs_f64() + 0.001;
            let count = u32::try_from(last - first + 1).expect("a few");
            assert!(f64::from(count) <= most, "{count} started where {most} may");
        }
    }
    server.abandon().await;
}

#[tokio::test]
async fn the_memory_of_a_worker_is_never_given_away_twice() {
    let server = Server::setup().in_memory().start().await;
    let client = server.client();
    let needing = |bytes| {
        let limits = Some(v1::ResourceLimits { memory_bytes: bytes, ..Default::default() });
        v1::JobSpec { limits, ..spec("sync") }
    };
    let worker = server.worker("w1").slots(3).memory(1_000).connect().await;
    let large = client.create(needing(800)).await.id;
    let held = worker.expect_assignment().await;
    assert_eq!(held.id, large);
    // Those at the front are too large beside it, more of them than it has slots.
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(client.create(needing(300)).await.id);
    }
    let small = client.create(needing(200)).await.id;
    let beside = worker.expect_assignment().await;
    assert_eq!(beside.id, small);
    for id in &waiting {
        assert_eq!(client.get(id).await.state(), State::Pending);
    }
    held.succeed().await.expect("taken");
    let first = worker.expect_assignment().await;
    let second = worker.expect_assignment().await;
    assert_eq!([&first.id, &second.id], [&waiting[0], &waiting[1]]);
    first.succeed().await.expect("taken");
    assert_eq!(worker.expect_assignment().await.id, waiting[2]);
    server.abandon().await;
}

#[tokio::test]
async fn what_fits_is_found_among_many_types_and_queues_whose_jobs_do_not() {
    let server = Server::setup().in_memory().start().await;
    let client = server.client();
    let needing = |queue: String, kind: usize, bytes: i64| {
        let limits = Some(v1::ResourceLimits { memory_bytes: bytes, ..Default::default() });
        let spec = v1::JobSpec { queue, limits, ..spec(&format!("t{kind}")) };
        v1::CreateJobRequest { spec: Some(spec), ..Default::default() }
    };
    let large = (0..63).map(|queue| needing(format!("q{queue}"), 0, 800));
    let large = large.chain((0..600).map(|kind| needing("z".to_owned(), kind, 800)));
    let small = needing("z".to_owned(), 599, 100);
    let requests = large.chain([small]).collect();
    let batch = v1::BatchCreateJobsRequest { requests };
    client.jobs.clone().batch_create_jobs(batch).await.expect("created");
    let worker = (0..63)
        .map(|queue| format!("q{queue}"))
        .fold(server.worker("w1").slots(3).memory(500).queue("z"), |worker, queue| {
            worker.queue(&queue)
        });
    let worker = worker.connect().await;
    let found = worker.expect_assignment().await;
    assert_eq!(client.get(&found.id).await.spec.expect("a spec").r#type, "t599");
    server.abandon().await;
}

#[tokio::test]
async fn full_values_at_the_front_let_others_pass() {
    let server = Server::start().await;
    let client = server.client();
    let key = v1::ConcurrencyKey { label: "tenant".to_owned(), max_running: 1 };
    declare(&server, v1::JobType { concurrency_key: Some(key), ..named("keyed") }).await;
    let mut first = Vec::new();
    for _ in 0..10 {
        first.push(client.create(tenant("keyed", "a")).await.id);
    }
    let other = client.create(tenant("keyed", "b")).await.id;
    let worker = server.worker("w1").slots(2).connect().await;
    let (one, two) = (worker.expect_assignment().await, worker.expect_assignment().await);
    let ids = [one.id.clone(), two.id.clone()];
    assert!(ids.contains(&first[0]) && ids.contains(&other), "{ids:?}");
    let front = if one.id == first[0] { one } else { two };
    front.succeed().await.expect("taken");
    assert_eq!(worker.expect_assignment().await.id, first[1]);
    server.abandon().await;
}

#[tokio::test]
async fn queues_share_starts_by_their_weights() {
    let server = Server::start().await;
    let client = server.client();
    queue(&client, "three", |queue| queue.weight = 3).await;
    queue(&client, "one", |queue| queue.weight = 1).await;
    let batch = |name: &str| {
        let spec = v1::JobSpec { queue: name.to_owned(), ..spec("sync") };
        let request = v1::CreateJobRequest { spec: Some(spec), ..Default::default() };
        v1::BatchCreateJobsRequest { requests: vec![request; 1_000] }
    };
    for name in ["one", "three"] {
        for _ in 0..8 {
            client.jobs.clone().batch_create_jobs(batch(name)).await.expect("created");
        }
    }
    let mut served = BTreeMap::<String, u32>::new();
    while served.values().sum::<u32>() < 10_000 {
        let request = v1::AcquireJobsRequest {
            worker_id: "w1".to_owned(),
            queues: vec!["one".to_owned(), "three".to_owned()],
            max_jobs: 100,
            ..v1::AcquireJobsRequest::default()
        };
        for assignment in client.acquire(request).await.expect("an answer") {
            let job = v1::Job::decode(assignment.job.expect("a job")).expect("a job");
            let queue = job.spec.expect("a spec").queue;
            *served.entry(queue).or_default() += 1;
        }
    }
    let share = f64::from(served["three"]) / f64::from(served["one"]);
    assert!((2.7..=3.3).contains(&share), "{served:?}");
    server.abandon().await;
}

#[tokio::test]
async fn queues_share_starts_by_their_weights_however_many_types_wait_in_them() {
    let server = Server::setup().in_memory().start().await;
    let client = server.client();
    queue(&client, "three", |queue| queue.weight = 3).await;
    queue(&client, "one", |queue| queue.weight = 1).await;
    // As many as a round looks at, in each.
    for name in ["one", "three"] {
        let request = |kind: usize| v1::CreateJobRequest {
            spec: Some(v1::JobSpec { queue: name.to_owned(), ..spec(&format!("t{}", kind % 64)) }),
            ..Default::default()
        };
        let batch = v1::BatchCreateJobsRequest { requests: (0..400).map(request).collect() };
        client.jobs.clone().batch_create_jobs(batch).await.expect("created");
    }
    let mut served = BTreeMap::<String, u32>::new();
    while served.values().sum::<u32>() < 400 {
        let request = v1::AcquireJobsRequest {
            worker_id: "w1".to_owned(),
            queues: vec!["one".to_owned(), "three".to_owned()],
            max_jobs: 1,
            ..v1::AcquireJobsRequest::default()
        };
        for assignment in client.acquire(request).await.expect("an answer") {
            let job = v1::Job::decode(assignment.job.expect("a job")).expect("a job");
            *served.entry(job.spec.expect("a spec").queue).or_default() += 1;
        }
    }
    let share = f64::from(served["three"]) / f64::from(served["one"]);
    assert!((2.7..=3.3).contains(&share), "{served:?}");
    server.abandon().await;
}

#[tokio::test]
async fn a_paused_queue_starts_nothing_until_it_is_resumed() {
    let server = Server::start().await;
    let client = server.client();
    queue(&client, "default", |queue| queue.paused = true).await;
    let worker = server.worker("w1").queue("default").queue("other").connect().await;
    let paused = client.create(spec("sync")).await.id;
    let free = client.create(v1::JobSpec { queue: "other".to_owned(), ..spec("sync") }).await.id;
    let held = worker.expect_assignment().await;
    assert_eq!(held.id, free);
    held.succeed().await.expect("taken");
    assert_eq!(client.get(&paused).await.state(), State::Pending);
    queue(&client, "default", |queue| queue.paused = false).await;
    assert_eq!(worker.expect_assignment().await.id, paused);
    server.abandon().await;
}

#[tokio::test]
async fn what_waits_is_skipped_when_its_type_was_disabled_meanwhile() {
    let server = Server::start().await;
    let client = server.client();
    declare(&server, named("sync")).await;
    let id = client.create(spec("sync")).await.id;
    declare(&server, v1::JobType { disabled: true, ..named("sync") }).await;
    let worker = server.worker("w1").connect().await;
    let job = client.until(&id, |job| job.state() == State::Skipped).await;
    assert_eq!(job.status().skip_reason(), v1::SkipReason::TypeDisabled);
    server.stop_with(worker).await;
}

#[tokio::test]
async fn a_full_cap_is_explained_with_those_that_fill_it() {
    let server = Server::start().await;
    let client = server.client();
    declare(&server, v1::JobType { max_concurrent: 1, ..named("one") }).await;
    let worker = server.worker("w1").slots(5).connect().await;
    let first = client.create(spec("one")).await.id;
    let held = worker.expect_assignment().await;
    let id = client.create(spec("one")).await.id;
    let request = v1::ExplainJobRequest { job_id: id.clone() };
    let told = client.jobs.clone().explain_job(request).await.expect("told").into_inner();
    let reason = told.reasons.first().expect("a reason");
    assert_eq!((reason.code.as_str(), &reason.ids[..]), ("TYPE_FULL", &[first][..]));
    held.succeed().await.expect("taken");
    let next = within(SOON, "the next", worker.expect_assignment()).await;
    assert_eq!(next.id, id);
    server.abandon().await;
}

#[tokio::test]
async fn each_of_several_full_caps_is_explained_with_those_that_fill_it() {
    let server = Server::start().await;
    let client = server.client();
    let key = v1::ConcurrencyKey { label: "tenant".to_owned(), max_running: 1 };
    let two = v1::JobType { max_concurrent: 2, concurrency_key: Some(key), ..named("two") };
    declare(&server, two).await;
    let worker = server.worker("w1").slots(5).connect().await;
    let mut running = Vec::new();
    for of in ["a", "b"] {
        running.push(client.create(tenant("two", of)).await.id);
        worker.expect_assignment().await;
    }
    let job_id = client.create(tenant("two", "b")).await.id;
    let request = v1::ExplainJobRequest { job_id };
    let told = client.jobs.clone().explain_job(request).await.expect("told").into_inner();
    let of = |code: &str| {
        let mut reasons = told.reasons.iter().filter(|reason| reason.code == code);
        let mut ids = reasons.next().expect("it is told").ids.clone();
        ids.sort();
        ids
    };
    assert_eq!(of("TYPE_FULL"), running);
    assert_eq!(of("CONCURRENCY_KEY_FULL"), running[1..]);
    server.abandon().await;
}
