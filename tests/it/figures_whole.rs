//! Every field of the statistics and of the summary, on each store.

use std::time::Duration;

use jobplane::domain::stats::FacetPolicy;
use jobplane::proto::v1;
use jobplane::proto::v1::JobState as State;
use jobplane::proto::v1::get_stats_response::{Distribution, Stats, Window};
use jobplane::proto::v1::job_type_service_client::JobTypeServiceClient;

use crate::harness::{Client, JobFacts as _, Server, Setup, channel, percent, seconds, spec};

crate::on_each_store! {
    stats_have_every_field
    stats_of_an_owner_or_a_label_say_what_is_known_of_them
    summary_lists_a_type_that_never_ran
}

/// Declares a type.
async fn declare(server: &Server, job_type: v1::JobType) {
    let mut types = JobTypeServiceClient::new(channel(server.address()).await);
    let request = v1::PutJobTypeRequest { job_type: Some(job_type), ..Default::default() };
    types.put_job_type(request).await.expect("declared");
}

async fn stats(client: &Client, request: v1::GetStatsRequest) -> v1::GetStatsResponse {
    client.jobs.clone().get_stats(request).await.expect("stats").into_inner()
}

/// Jobs of type `sync` in every state: for `ann` all but the one that waits, with label `team=blue` all but the
/// failed one.
async fn work(server: &Server) {
    let client = server.client();
    let sync = |owner: &str, team: &str| v1::JobSpec {
        owner: owner.to_owned(),
        labels: [("team".to_owned(), team.to_owned())].into(),
        retry_policy: Some(v1::RetryPolicy { max_attempts: 1, ..Default::default() }),
        ..spec("sync")
    };
    let worker = server.worker("w1").slots(3).connect().await;
    let held = async |owner, team| {
        client.create(sync(owner, team)).await;
        worker.expect_assignment().await
    };
    let one = held("ann", "blue").await;
    let counters = [("rows".to_owned(), 7.0)].into();
    one.report(v1::Progress { counters, ..percent(50.0) }).await.expect("taken");
    one.succeed().await.expect("taken");
    held("ann", "red").await.fail("E").await.expect("taken");
    let cancelled = held("ann", "blue").await;
    client.cancel(&cancelled.id, Some(0.0)).await.expect("cancelled");
    worker.goodbye().await.expect("ends well");
    client.create(sync("ann", "blue")).await;
    client.acquire_one("sync").await;
    client.create(sync("bob", "blue")).await;
    let off = v1::JobType { r#type: "sync".to_owned(), disabled: true, ..Default::default() };
    let category = v1::JobType { category: "night".to_owned(), ..off };
    declare(server, category).await;
    let skipped = client.create(sync("ann", "blue")).await;
    assert_eq!(skipped.state(), State::Skipped);
}

fn counts(counts: &[v1::StateCount]) -> Vec<(State, i64)> {
    counts.iter().map(|of| (of.state(), of.count)).collect()
}

fn check_distribution(of: Option<Distribution>, wanted: i64) {
    let Distribution { count, mean, p50, p95, p99 } = of.expect("it is told");
    assert_eq!(count, wanted);
    let (mean, p50) = (mean.expect("a mean"), p50.expect("a median"));
    let (p95, p99) = (p95.expect("a percentile"), p99.expect("a percentile"));
    let micros =
        |span: prost_types::Duration| span.seconds * 1_000_000 + i64::from(span.nanos / 1_000);
    assert!(micros(p50) <= micros(p95) && micros(p95) <= micros(p99));
    assert!(micros(mean) > 0);
}

/// Every field, by name: one that is new does not compile until somebody says here what it holds.
fn check_window(of: Option<Window>, longest: Duration) {
    let Window {
        created,
        started,
        succeeded,
        failed,
        cancelled,
        skipped,
        throughput_per_second,
        failure_rate,
        wait,
        run,
        counters,
        covered,
    } = of.expect("it is told");
    assert_eq!((created, started, succeeded, failed, cancelled, skipped), (6, 4, 1, 1, 1, 1));
    let covered = Duration::try_from(covered.expect("it is told")).expect("a length");
    assert!(covered <= longest, "{covered:?}");
    let rate = 3.0 / covered.as_secs_f64();
    assert!((throughput_per_second - rate).abs() < 1e-6);
    assert!((failure_rate - 0.5).abs() < 1e-9);
    check_distribution(wait, 4);
    check_distribution(run, 3);
    assert_eq!(counters, [("rows".to_owned(), 7.0)].into());
}

fn check_group(of: Option<Stats>) {
    let Stats { counts: found, finished_total, oldest_pending_age, minute, hour, day } =
        of.expect("it is told");
    let every = [
        State::Pending,
        State::Running,
        State::Succeeded,
        State::Failed,
        State::Cancelled,
        State::Skipped,
    ];
    assert_eq!(counts(&found), every.map(|state| (state, 1)));
    assert_eq!(finished_total, 4);
    assert!(oldest_pending_age.is_some());
    check_window(minute, Duration::from_secs(120));
    check_window(hour, Duration::from_secs(3_660));
    check_window(day, Duration::from_secs(25 * 3_600));
}

async fn stats_have_every_field(setup: Setup) {
    let server = setup.start().await;
    let client = server.client();
    let quota = v1::Quota {
        name: "api".to_owned(),
        limit: 100,
        period: v1::QuotaPeriod::Day.into(),
        ..v1::Quota::default()
    };
    let request = v1::PutQuotaRequest { quota: Some(quota) };
    client.admin.clone().put_quota(request).await.expect("set up");
    let worker = server.worker("w2").slots(5).queue("other").connect().await;
    work(&server).await;
    let v1::GetStatsResponse {
        as_of_time,
        totals,
        by_type,
        by_queue,
        quotas,
        workers,
        slots,
        slots_used,
        counts_capped,
    } = client.stats().await;
    let now = server.now().as_micros() / 1_000_000;
    assert!((now - as_of_time.expect("it is told").seconds).abs() < 60);
    check_group(totals);
    let [of_type] = by_type.try_into().expect("one type");
    let v1::get_stats_response::TypeStats { r#type, category, stats } = of_type;
    assert_eq!((r#type.as_str(), category.as_str()), ("sync", "night"));
    check_group(stats);
    let [of_queue] = by_queue.try_into().expect("one queue");
    let v1::get_stats_response::QueueStats { queue, stats } = of_queue;
    assert_eq!(queue, "default");
    check_group(stats);
    let [quota] = quotas.try_into().expect("one quota");
    let v1::QuotaUsage { name, limit, used, remaining, reset_time } = quota;
    assert_eq!((name.as_str(), limit, used + remaining), ("api", 100, 100));
    assert!(reset_time.is_some());
    assert_eq!((workers, slots, slots_used, counts_capped), (2, 6, 1, false));
    worker.goodbye().await.expect("ends well");

    let nothing = v1::GetStatsRequest { queues: vec!["other".to_owned()], ..Default::default() };
    let nothing = self::stats(&client, nothing).await;
    assert!(nothing.by_type.is_empty() && nothing.totals.expect("totals").counts.is_empty());
    server.stop().await;
}

async fn stats_of_an_owner_or_a_label_say_what_is_known_of_them(setup: Setup) {
    let policy = FacetPolicy { by_owner: true, by_labels: vec!["team".to_owned()] };
    let server = setup.with(|config| config.stats = policy).start().await;
    let client = server.client();
    work(&server).await;
    let of = |owner: &str, label: &str| v1::GetStatsRequest {
        owner: owner.to_owned(),
        label: label.to_owned(),
        ..v1::GetStatsRequest::default()
    };
    let ann = stats(&client, of("ann", "")).await;
    let totals = ann.totals.expect("totals");
    let every = [State::Running, State::Succeeded, State::Failed, State::Cancelled, State::Skipped];
    assert_eq!(counts(&totals.counts), every.map(|state| (state, 1)));
    assert_eq!(counts(&ann.by_type[0].stats.as_ref().expect("figures").counts).len(), 5);
    assert_eq!(ann.by_queue[0].queue, "default");
    assert!(totals.minute.is_none(), "nobody counts by the minute");
    for window in [totals.hour, totals.day] {
        let window = window.expect("it is told");
        assert_eq!((window.created, window.started, window.succeeded), (5, 4, 1));
        assert_eq!((window.failed, window.cancelled, window.skipped), (1, 1, 1));
        let (wait, run) = (window.wait.expect("waits"), window.run.expect("runs"));
        assert_eq!((wait.count, run.count), (4, 3));
        assert!(run.mean.is_some() && run.p95.is_none() && window.counters.is_empty());
    }
    let blue = stats(&client, of("", "team=blue")).await.totals.expect("totals");
    assert_eq!(blue.hour.as_ref().map(|hour| (hour.created, hour.failed)), Some((5, 0)));
    assert!(blue.oldest_pending_age.is_some());
    let nobody = stats(&client, of("eve", "")).await.totals.expect("totals");
    assert!(nobody.counts.is_empty());
    assert_eq!(nobody.hour.map(|hour| hour.created), Some(0), "it is known that there was nothing");

    // What is kept by one thing is not told as if it were of two.
    let both = stats(&client, of("ann", "team=blue")).await.totals.expect("totals");
    assert_eq!(counts(&both.counts).len(), 4);
    assert!(both.hour.is_none() && both.day.is_none());
    let typed = v1::GetStatsRequest { types: vec!["sync".to_owned()], ..of("ann", "") };
    assert!(stats(&client, typed).await.totals.expect("totals").hour.is_none());
    let none = v1::GetStatsRequest { categories: vec!["none".to_owned()], ..of("ann", "") };
    assert!(stats(&client, none).await.totals.expect("totals").counts.is_empty());
    let unkept = stats(&client, of("", "host=h1")).await.totals.expect("totals");
    assert!(unkept.counts.is_empty() && unkept.hour.is_none());
    for (owner, label, field) in
        [("", "team", "label"), ("", "=x", "label"), (&"o".repeat(257), "", "owner")]
    {
        let refused = client.jobs.clone().get_stats(of(owner, label)).await;
        let refused = crate::harness::Refusal::of(&refused.expect_err("refused"));
        assert!(refused.fields.iter().all(|named| named.starts_with(field)), "{refused:?}");
        assert!(!refused.fields.is_empty());
    }
    server.stop().await;
}

async fn summary_lists_a_type_that_never_ran(setup: Setup) {
    let server = setup.start().await;
    let client = server.client();
    client.create(spec("observed")).await;
    let schedule = v1::Schedule {
        times: Some(v1::schedule::Times::Cron("0 3 * * *".to_owned())),
        time_zone: "UTC".to_owned(),
        ..v1::Schedule::default()
    };
    let never = v1::JobType {
        r#type: "never".to_owned(),
        display_name: "Never ran".to_owned(),
        category: "night".to_owned(),
        schedule: Some(schedule),
        circuit: Some(v1::Circuit {
            max_failures: 3,
            window: seconds(60.0),
            probe_after: seconds(60.0),
            ..v1::Circuit::default()
        }),
        ..v1::JobType::default()
    };
    declare(&server, never).await;
    let summary = async |request: v1::GetSummaryRequest| {
        client.jobs.clone().get_summary(request).await.expect("a summary").into_inner().summaries
    };
    let all = summary(v1::GetSummaryRequest { recent_runs: 5, ..Default::default() }).await;
    let [never, observed] = all.try_into().expect("two types");
    let v1::get_summary_response::Summary {
        r#type,
        display_name,
        category,
        origin,
        disabled,
        last_job,
        recent_jobs,
        last_success_time,
        next_fire_time,
        typical_run_duration,
        counts,
        failed_last_hour,
        failed_last_day,
        circuit_state,
    } = never;
    assert_eq!(
        (r#type.as_str(), display_name.as_str(), category.as_str()),
        ("never", "Never ran", "night")
    );
    assert_eq!((origin, disabled), (v1::JobTypeOrigin::Declared.into(), false));
    assert!(last_job.is_none() && recent_jobs.is_empty() && counts.is_empty());
    assert!(last_success_time.is_none() && typical_run_duration.is_none());
    let next = next_fire_time.expect("it is told").seconds;
    assert_eq!(next.rem_euclid(86_400), 3 * 3_600, "at three");
    assert_eq!((failed_last_hour, failed_last_day), (0, 0));
    assert_eq!(circuit_state, i32::from(v1::CircuitState::Closed));
    assert_eq!(observed.origin(), v1::JobTypeOrigin::Observed);
    assert_eq!((observed.recent_jobs.len(), observed.circuit_state), (1, 0));

    let by = |types: &[&str], categories: &[&str]| v1::GetSummaryRequest {
        types: types.iter().map(|name| (*name).to_owned()).collect(),
        categories: categories.iter().map(|name| (*name).to_owned()).collect(),
        recent_runs: 0,
    };
    assert_eq!(summary(by(&["never"], &[])).await.len(), 1);
    assert_eq!(summary(by(&[], &["night"])).await[0].r#type, "never");
    assert!(summary(by(&["observed"], &["night"])).await.is_empty());
    server.stop().await;
}
