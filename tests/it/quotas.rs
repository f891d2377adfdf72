//! Outside quotas under load and over time: who draws from a busy one keeps nobody else from it, and that it is used
//! up is told once in a period.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use jobplane::proto::v1;
use jobplane::proto::v1::JobState as State;
use jobplane::proto::v1::event::Facts;
use jobplane::runtime::Clock;
use parking_lot::Mutex;
use prost::Message as _;
use tonic::{Code, Status};

use crate::harness::{
    Client, JobFacts as _, Server, Setup, Shared, eventually, seconds, spec, within,
};

crate::on_each_store! {
    a_quota_that_starts_use_up_is_told_once_in_a_period
    whoever_was_outrun_at_a_busy_quota_has_it_held
    what_goes_by_no_rule_does_not_wait_for_one_that_others_keep
}

mod together {
    use super::outcomes_and_creates_get_through_while_starts_draw_from_a_busy_quota;

    crate::on_each_shared_store! {
        outcomes_and_creates_get_through_while_starts_draw_from_a_busy_quota
    }
}

const DAY: Duration = Duration::from_secs(24 * 3_600);
/// Reports about the quota while others start.
const REPORTS: usize = 10;
/// Whoever waits this long at a busy quota is starved: a round takes milliseconds.
const STARVED: Duration = Duration::from_secs(60);
/// Calls at once, at each server, for one job each.
const STARTERS: usize = 2;

/// Sets up a quota of a day, and a type that draws from it.
async fn set_up(client: &Client, limit: i64, cost: i64) {
    let api = v1::Quota {
        name: "api".to_owned(),
        limit,
        period: v1::QuotaPeriod::Day.into(),
        ..v1::Quota::default()
    };
    let request = v1::PutQuotaRequest { quota: Some(api) };
    client.admin.clone().put_quota(request).await.expect("set up");
    let sync = v1::JobType {
        r#type: "sync".to_owned(),
        quota_costs: [("api".to_owned(), cost)].into(),
        ..v1::JobType::default()
    };
    let request = v1::PutJobTypeRequest { job_type: Some(sync), ..Default::default() };
    client.types.clone().put_job_type(request).await.expect("declared");
}

async fn acquire(client: &Client, max_jobs: i32, wait: f64) -> Vec<(String, i64)> {
    let request = v1::AcquireJobsRequest {
        worker_id: "w1".to_owned(),
        max_jobs,
        wait: seconds(wait),
        lease_ttl: seconds(86_400.0),
        ..v1::AcquireJobsRequest::default()
    };
    let ask = async || client.workers.clone().acquire_jobs(request.clone()).await;
    let assigned = answered(ask).await.into_inner().assignments.into_iter();
    assigned
        .map(|assigned| {
            let job = v1::Job::decode(assigned.job.expect("a job")).expect("a job");
            (job.id, assigned.lease_epoch)
        })
        .collect()
}

async fn used(client: &Client) -> i64 {
    let quotas = client.stats().await.quotas;
    quotas.into_iter().find(|quota| quota.name == "api").expect("in the stats").used
}

fn uses(units: i64) -> Vec<v1::QuotaUse> {
    vec![v1::QuotaUse { name: "api".to_owned(), units }]
}

/// Asks until there is an answer, as clients do: a machine that is busy with other things may be late for the store.
async fn answered<T>(mut ask: impl AsyncFnMut() -> Result<T, Status>) -> T {
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(status) if status.code() == Code::Unavailable => tokio::task::yield_now().await,
            Err(status) => panic!("{status:?}"),
        }
    }
}

async fn report(client: &Client, (job_id, lease_epoch): &(String, i64), units: i64) {
    let request = v1::ReportJobRequest {
        job_id: job_id.clone(),
        lease_epoch: *lease_epoch,
        quota_use: uses(units),
        ..v1::ReportJobRequest::default()
    };
    answered(async || client.workers.clone().report_job(request.clone()).await).await;
}

async fn complete(client: &Client, (job_id, lease_epoch): &(String, i64), units: i64) {
    let request = v1::CompleteJobRequest {
        job_id: job_id.clone(),
        lease_epoch: *lease_epoch,
        quota_use: uses(units),
        ..v1::CompleteJobRequest::default()
    };
    answered(async || client.workers.clone().complete_job(request.clone()).await).await;
}

async fn create(client: &Client) {
    let request = v1::CreateJobRequest {
        spec: Some(spec("sync")),
        request_id: uuid::Uuid::now_v7().to_string(),
        ..v1::CreateJobRequest::default()
    };
    answered(async || client.jobs.clone().create_job(request.clone()).await).await;
}

/// What was told of quotas that were used up: name, limit, and when they begin anew.
async fn exhausted(client: &Client) -> Vec<(String, i64, i64)> {
    let names = vec!["quota_exhausted".to_owned()];
    let request = v1::ListEventsRequest { names, page_size: 1_000, ..Default::default() };
    let events = client.admin.clone().list_events(request).await.expect("events").into_inner();
    let facts = events.events.into_iter().filter_map(|event| match event.facts {
        Some(Facts::QuotaExhausted(facts)) => {
            assert_eq!(event.severity, i32::from(v1::EventSeverity::Warning));
            let reset_time = facts.reset_time.expect("known");
            assert!(facts.cost > 0 && facts.used + facts.cost > facts.limit, "{facts:?}");
            Some((facts.quota, facts.limit, reset_time.seconds))
        }
        _ => None,
    });
    facts.collect()
}

async fn a_quota_that_starts_use_up_is_told_once_in_a_period(setup: Setup) {
    let clock = Clock::new();
    let server = setup.in_its_own_time(clock.clone()).start().await;
    let client = server.client();
    // An hour past midnight: no period ends while the test runs.
    let day = i64::try_from(DAY.as_micros()).expect("small");
    let since_midnight = u64::try_from(clock.now().as_micros() % day).expect("after 1970");
    let to_midnight = DAY.saturating_sub(Duration::from_micros(since_midnight));
    let to_one = to_midnight + Duration::from_secs(3_600);
    clock.follow(clock.now().plus(to_one));
    let midnight = (clock.now().as_micros() / day + 1) * day / 1_000_000;

    // What is left of it at last is too little for another start.
    set_up(&client, 100, 30).await;
    let mut ids = Vec::new();
    for _ in 0..8 {
        ids.push(client.create(spec("sync")).await.id);
    }
    let mut runs = acquire(&client, 1, 30.0).await;
    runs.extend(acquire(&client, 1, 30.0).await);
    assert_eq!(exhausted(&client).await, [], "enough is left for one more");
    runs.extend(acquire(&client, 1, 30.0).await);
    assert_eq!((runs.len(), used(&client).await), (3, 90));
    let once = [("api".to_owned(), 100, midnight)];
    assert_eq!(exhausted(&client).await, once);
    assert_eq!(acquire(&client, 9, 0.0).await, [], "the others wait");

    // Somebody used less: another one starts, uses that up, and nobody is told again.
    report(&client, &runs[0], 0).await;
    runs.extend(acquire(&client, 9, 30.0).await);
    assert_eq!((runs.len(), used(&client).await), (4, 90));
    // Nor is it told again that somebody used more.
    report(&client, &runs[1], 500).await;
    assert_eq!(exhausted(&client).await, once);
    for run in &runs {
        complete(&client, run, 0).await;
    }

    clock.follow(clock.now().plus(DAY));
    let mut tomorrow = Vec::new();
    while tomorrow.len() < 3 {
        tomorrow.extend(acquire(&client, 9, 30.0).await);
    }
    assert_eq!(tomorrow.len(), 3);
    let next = midnight + i64::try_from(DAY.as_secs()).expect("small");
    assert_eq!(exhausted(&client).await, [once[0].clone(), ("api".to_owned(), 100, next)]);
    server.abandon().await;
}

async fn whoever_was_outrun_at_a_busy_quota_has_it_held(setup: Setup) {
    let server = setup.start().await;
    let client = server.client();
    set_up(&client, 1_000, 10).await;
    client.create(spec("sync")).await;
    let runs = acquire(&client, 1, 30.0).await;
    // From now on others are always faster than whoever does not hold what it looks at.
    server.faults.outrun();
    within(STARVED, "the report gets through", report(&client, &runs[0], 7)).await;
    assert_eq!(used(&client).await, 7);
    client.create(spec("free")).await;
    within(STARVED, "the outcome gets through", complete(&client, &runs[0], 3)).await;
    assert_eq!(used(&client).await, 3);
    server.abandon().await;
}

async fn what_goes_by_no_rule_does_not_wait_for_one_that_others_keep(setup: Setup) {
    let server = setup.start().await;
    let client = server.client();
    set_up(&client, 1_000, 10).await;
    client.create(spec("sync")).await;
    let runs = acquire(&client, 1, 30.0).await;
    server.faults.outrun();
    server.faults.keep_rules(true);
    let reported = AtomicBool::new(false);
    let reporting = async {
        within(STARVED, "the report gets through in the end", report(&client, &runs[0], 7)).await;
        reported.store(true, Ordering::Relaxed);
    };
    let creating = async {
        for _ in 0..20 {
            within(STARVED, "a create", client.create(spec("free"))).await;
        }
        assert!(!reported.load(Ordering::Relaxed), "others keep what it goes by");
        server.faults.keep_rules(false);
    };
    Box::pin(futures_util::future::join(reporting, creating)).await;
    assert_eq!(used(&client).await, 7);
    server.abandon().await;
}

/// Starts one job after the other until it is told to stop, and ends none.
async fn start_on(
    client: &Client,
    held: &Mutex<Vec<(String, i64)>>,
    started: &AtomicUsize,
    stop: &AtomicBool,
) {
    while !stop.load(Ordering::Relaxed) {
        let got = acquire(client, 1, 0.2).await;
        started.fetch_add(got.len(), Ordering::Relaxed);
        held.lock().extend(got);
    }
}

async fn outcomes_and_creates_get_through_while_starts_draw_from_a_busy_quota(store: Shared) {
    let first = Server::setup().over(store).start().await;
    let (second, third) = (first.beside().await, first.beside().await);
    let clients: Vec<Client> = [&first, &second, &third].map(Server::client).into();
    set_up(&clients[0], 1 << 40, 1).await;
    for client in &clients {
        // From then on each knows of both.
        client
            .types
            .clone()
            .list_job_types(v1::ListJobTypesRequest::default())
            .await
            .expect("types");
    }
    let (held, started) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
    let (stop, slowest) = (AtomicBool::new(false), Mutex::new([Duration::ZERO; 3]));
    let timed = async |what: usize, done: std::pin::Pin<Box<dyn Future<Output = ()> + '_>>| {
        let began = Clock::monotonic();
        within(STARVED, ["a report", "an outcome", "a create"][what], done).await;
        let took = began.elapsed();
        let mut slowest = slowest.lock();
        slowest[what] = slowest[what].max(took);
    };
    let starters = clients
        .iter()
        .flat_map(|client| (0..STARTERS).map(|_| start_on(client, &held, &started, &stop)));
    let feeders = clients.iter().map(async |client| {
        let mut made = 0;
        while !stop.load(Ordering::Relaxed) {
            timed(2, Box::pin(create(client))).await;
            made += 1;
        }
        made
    });
    let reporter = async {
        let (mut reported, mut before) = (Vec::new(), 0);
        while reported.len() < REPORTS {
            let run = held.lock().pop();
            let Some(run) = run else {
                tokio::task::yield_now().await;
                continue;
            };
            let client = &clients[reported.len() % clients.len()];
            timed(0, Box::pin(report(client, &run, 5))).await;
            timed(1, Box::pin(complete(client, &run, 3))).await;
            reported.push(run.0);
            // Starts go on all the while.
            let now = started.load(Ordering::Relaxed);
            assert!(now > before, "nothing was started meanwhile");
            before = now;
        }
        stop.store(true, Ordering::Relaxed);
        reported
    };
    let (reported, made, _) = futures_util::join!(reporter, join_all(feeders), join_all(starters));
    let (started, made) = (started.load(Ordering::Relaxed), made.into_iter().sum::<usize>());
    println!("{started} starts, {made} creates, slowest {:?}", slowest.lock());
    // Starts that nobody heard of any more are given back: from then on each start and each word counts once.
    let recounted = async || {
        let filter =
            Some(v1::JobFilter { states: vec![State::Running.into()], ..Default::default() });
        let request = v1::ListJobsRequest { filter, ..Default::default() };
        let running = clients[0].list(request).await.expect("a page").total_size;
        let words = 3 * i64::try_from(REPORTS).expect("small");
        let used = used(&clients[0]).await;
        used == running + words
    };
    eventually(STARVED, "the quota is what a recount says", recounted).await;
    for id in &reported {
        assert_eq!(clients[1].get(id).await.state(), State::Succeeded);
    }
    third.abandon().await;
    second.abandon().await;
    first.abandon().await;
}
