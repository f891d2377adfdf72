//! Statistics, summaries, queues, workers, and what the server says of itself.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use jobplane::proto::v1;
use jobplane::proto::v1::{JobState, WorkerState};

use crate::harness::{Client, JobFacts as _, SOON, Server, eventually, percent, seconds, spec};

/// Jobs by what they are counted by.
type Recount = BTreeMap<(String, String, JobState), i64>;

async fn recount(client: &Client) -> Recount {
    let (mut counted, mut page_token) = (Recount::new(), String::new());
    loop {
        let request =
            v1::ListJobsRequest { page_size: 100, page_token, ..v1::ListJobsRequest::default() };
        let page = client.list(request).await.expect("a page");
        for job in page.jobs {
            let spec = job.spec.clone().expect("a spec");
            *counted.entry((spec.r#type, spec.queue, job.state())).or_default() += 1;
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return counted;
        }
    }
}

fn summed(counted: &Recount, of: impl Fn(&str, &str) -> bool) -> BTreeMap<JobState, i64> {
    let mut sums = BTreeMap::new();
    for ((job_type, queue, state), count) in counted {
        if of(job_type, queue) {
            *sums.entry(*state).or_default() += count;
        }
    }
    sums
}

fn by_state(counts: &[v1::StateCount]) -> BTreeMap<JobState, i64> {
    counts.iter().map(|count| (count.state(), count.count)).collect()
}

/// One job's life, chosen by its number; answers whether it is deleted at the end.
async fn live(client: &Client, number: usize) -> bool {
    let policy = v1::RetryPolicy { max_attempts: 2, ..v1::RetryPolicy::default() };
    let of = v1::JobSpec {
        queue: format!("q{}", number % 2),
        retry_policy: Some(policy),
        ..spec(&format!("t{number}"))
    };
    let queues = vec![of.queue.clone()];
    let id = client.create(of).await.id;
    if number.is_multiple_of(7) {
        return false;
    }
    let request = v1::AcquireJobsRequest {
        worker_id: "w1".to_owned(),
        types: vec![format!("t{number}")],
        queues,
        ..v1::AcquireJobsRequest::default()
    };
    let epoch = client.acquire(request.clone()).await.expect("an answer")[0].lease_epoch;
    match number % 7 {
        1 => client.complete(&id, epoch).await.map(drop).expect("done"),
        2 => client.fail(&id, epoch, "E").await.map(drop).expect("tried again later"),
        3 => {
            client.cancel(&id, Some(0.0)).await.expect("cancelled");
            client.delete(&id).await.expect("deleted");
            return true;
        }
        4 => {
            client.fail(&id, epoch, "E").await.expect("tried again later");
            client.retry(&id, false).await.expect("now");
            let epoch = client.acquire(request).await.expect("an answer")[0].lease_epoch;
            client.fail(&id, epoch, "E").await.expect("failed for good");
        }
        5 => {
            client.complete(&id, epoch).await.expect("done");
            client.retry(&id, true).await.expect("again");
        }
        _ => {}
    }
    false
}

#[tokio::test]
async fn counts_equal_a_recount_after_any_work() {
    let mut server = Server::start().await;
    let client = server.client();
    let deleted = join_all((0..56).map(|number| live(&client, number))).await;
    let deleted = i64::try_from(deleted.into_iter().filter(|gone| *gone).count()).expect("a count");

    let check = async |client: &Client| {
        let counted = recount(client).await;
        let stats = client.stats().await;
        let totals = stats.totals.as_ref().expect("totals");
        assert_eq!(by_state(&totals.counts), summed(&counted, |_, _| true));
        for of in &stats.by_type {
            let counts = &of.stats.as_ref().expect("figures").counts;
            assert_eq!(by_state(counts), summed(&counted, |t, _| t == of.r#type), "{}", of.r#type);
        }
        for of in &stats.by_queue {
            let counts = &of.stats.as_ref().expect("figures").counts;
            assert_eq!(by_state(counts), summed(&counted, |_, q| q == of.queue), "{}", of.queue);
        }
        let sums = summed(&counted, |_, _| true);
        let day = totals.day.as_ref().expect("a day");
        assert_eq!(day.created, sums.values().sum::<i64>() + deleted);
        // Done and run again: it counts as done in the day, and as finished.
        let again = 8;
        assert_eq!(day.succeeded, sums[&JobState::Succeeded] + again);
        assert_eq!((day.failed, day.cancelled), (sums[&JobState::Failed], deleted));
        assert_eq!(totals.finished_total, day.succeeded + day.failed + day.cancelled);
    };
    check(&client).await;
    server.restart().await;
    check(&server.client()).await;
    server.stop().await;
}

#[tokio::test]
async fn statistics_tell_how_long_jobs_wait_and_run_and_what_their_workers_count() {
    let server = Server::start().await;
    let client = server.client();
    client.create(spec("sync")).await;
    let held = server.worker("w1").slots(3).connect().await.expect_assignment().await;
    let counters = [("rows".to_owned(), 7.0)].into();
    held.report(v1::Progress { counters, ..percent(50.0) }).await.expect("taken");
    client.create(spec("waits")).await;
    let waiting = v1::JobSpec { queue: "other".to_owned(), ..spec("waits") };
    client.create(waiting).await;
    held.succeed().await.expect("taken");
    let stats = client.stats().await;
    assert_eq!((stats.workers, stats.slots), (1, 3));
    let totals = stats.totals.expect("totals");
    assert!(totals.oldest_pending_age.is_some());
    let minute = totals.hour.expect("an hour");
    assert_eq!(minute.counters.get("rows"), Some(&7.0));
    let run = minute.run.expect("run times");
    assert_eq!(run.count, 1);
    assert!(run.p50.is_some() && run.p99.is_some());
    assert!(minute.wait.expect("waits").count >= 1);
    let only = v1::GetStatsRequest { queues: vec!["other".to_owned()], ..Default::default() };
    let only = client.jobs.clone().get_stats(only).await.expect("stats").into_inner();
    assert_eq!(only.totals.expect("totals").counts.iter().map(|c| c.count).sum::<i64>(), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_summary_tells_how_a_type_does() {
    let server = Server::start().await;
    let client = server.client();
    let policy = v1::RetryPolicy { max_attempts: 1, ..v1::RetryPolicy::default() };
    for good in [true, true, false] {
        let of = v1::JobSpec { retry_policy: Some(policy.clone()), ..spec("sync") };
        let id = client.create(of).await.id;
        let (_, epoch) = client.acquire_one("sync").await;
        let answer = if good {
            client.complete(&id, epoch).await
        } else {
            client.fail(&id, epoch, "E").await
        };
        answer.expect("taken");
    }
    client.create(spec("other")).await;
    let last = client.create(spec("sync")).await.id;
    let request = v1::GetSummaryRequest { recent_runs: 2, ..v1::GetSummaryRequest::default() };
    let answer = client.jobs.clone().get_summary(request).await.expect("a summary").into_inner();
    let types: Vec<_> = answer.summaries.iter().map(|summary| summary.r#type.as_str()).collect();
    assert_eq!(types, ["other", "sync"]);
    let sync = &answer.summaries[1];
    assert_eq!(sync.last_job.as_ref().map(|job| &job.id), Some(&last));
    assert_eq!(sync.recent_jobs.len(), 2);
    assert!(sync.last_success_time.is_some() && sync.typical_run_duration.is_some());
    assert_eq!((sync.failed_last_hour, sync.failed_last_day), (1, 1));
    let wanted = [(JobState::Pending, 1), (JobState::Succeeded, 2), (JobState::Failed, 1)].into();
    assert_eq!(by_state(&sync.counts), wanted);
    server.stop().await;
}

#[tokio::test]
async fn queues_are_listed_with_what_waits_in_them() {
    let server = Server::start().await;
    let client = server.client();
    for queue in ["b", "a", "b"] {
        client.create(v1::JobSpec { queue: queue.to_owned(), ..spec("sync") }).await;
    }
    let answer = client.admin.clone().list_queues(v1::ListQueuesRequest {}).await;
    let queues = answer.expect("queues").into_inner().queues;
    let found: Vec<_> = queues
        .iter()
        .map(|queue| (queue.name.as_str(), by_state(&queue.counts)[&JobState::Pending]))
        .collect();
    assert_eq!(found, [("a", 1), ("b", 2)]);
    assert!(queues.iter().all(|queue| queue.oldest_pending_age.is_some() && !queue.paused));
    server.stop().await;
}

#[tokio::test]
async fn workers_are_listed_with_what_they_hold_and_when_they_are_lost() {
    let server = Server::start().await;
    let client = server.client();
    let worker = server.worker("w1").slots(3).queue("q").connect().await;
    let id = client.create(v1::JobSpec { queue: "q".to_owned(), ..spec("sync") }).await.id;
    worker.expect_assignment().await.progress(20.0).await;
    let listed = client.workers().await.remove(0);
    assert_eq!((listed.worker_id.as_str(), listed.state()), ("w1", WorkerState::Online));
    assert_eq!(listed.instance_id, worker.instance_id);
    assert_eq!((listed.slots, listed.held, listed.queues.len()), (3, 1, 1));
    let running = &listed.running[0];
    assert_eq!((&running.job_id, running.percent), (&id, Some(20.0)));

    let state = |wanted: WorkerState| {
        let client = client.clone();
        async move { client.workers().await.first().is_some_and(|w| w.state() == wanted) }
    };
    worker.capacity(0);
    eventually(SOON, "it takes no more", || state(WorkerState::Draining)).await;
    let open = server.open_sessions().await;
    worker.cut();
    eventually(SOON, "its stream is gone", || async { server.engine().sessions().count() == 0 })
        .await;
    let lapse = |id| jobplane::store::SessionWrite::Shorten { id, keep: std::time::Duration::ZERO };
    server.change_sessions(open.into_iter().map(lapse).collect()).await;
    eventually(SOON, "it is lost", || state(WorkerState::Lost)).await;

    let other = server.worker("w2").connect().await;
    let online = v1::ListWorkersRequest {
        states: vec![WorkerState::Online.into()],
        ..v1::ListWorkersRequest::default()
    };
    let answer = client.admin.clone().list_workers(online).await.expect("workers").into_inner();
    assert_eq!(answer.workers.len(), 1);
    other.goodbye().await.expect("ends well");
    eventually(SOON, "who said Goodbye is gone", || async { client.workers().await.len() == 1 })
        .await;
    server.stop().await;
}

#[tokio::test]
async fn the_server_says_what_it_is_and_how_its_loops_do() {
    let server = Server::start().await;
    let client = server.client();
    let info = || async {
        let answer = client.admin.clone().get_server_info(v1::GetServerInfoRequest {}).await;
        answer.expect("info").into_inner()
    };
    eventually(SOON, "every loop ran", || async {
        let loops = info().await.loops;
        !loops.is_empty() && loops.iter().all(|of| of.last_run_time.is_some())
    })
    .await;
    let info = info().await;
    assert_eq!(info.version, env!("CARGO_PKG_VERSION"));
    let store = info.store.expect("a store");
    assert_eq!((store.kind.as_str(), store.reachable), ("sqlite", true));
    assert!(info.loops.iter().all(|of| of.last_result == "ok"), "{:?}", info.loops);
    assert_eq!(info.limits.get("payload_bytes_max"), Some(&(256 * 1024)));
    assert_eq!(info.resume_retention, seconds(900.0));
    server.stop().await;
}

#[tokio::test]
async fn loops_that_leave_no_backlog_are_not_run_again_at_once() {
    let server = Server::setup().in_memory().start().await;
    server.client().create(spec("nobody-takes-this")).await;
    let worker = server.worker("w1").job_type("other").connect().await;
    let engine = server.engine();
    assert_eq!(engine.poll_line().await.expect("polled"), 0);
    assert_eq!(engine.keep_sessions().expect("kept"), 0);
    worker.goodbye().await.expect("ends well");
    server.stop().await;
}
