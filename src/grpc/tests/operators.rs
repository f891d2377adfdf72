use std::time::Duration;

use crate::proto::v1::admin_service_server::AdminService as _;
use crate::proto::v1::worker_service_server::WorkerService as _;

use super::*;

fn counted(counts: &[v1::StateCount]) -> Vec<(v1::JobState, i64)> {
    counts.iter().map(|count| (count.state(), count.count)).collect()
}

/// One job succeeded, one runs, one waits.
async fn busy() -> Server {
    let server = Server::start();
    for _ in 0..3 {
        server.waiting("t").await;
    }
    let take = || v1::AcquireJobsRequest { worker_id: "w".to_owned(), ..Default::default() };
    let mut taken = Vec::new();
    for _ in 0..2 {
        let answer = said(server.workers.acquire_jobs(Request::new(take())).await).expect("a job");
        let job = answer.assignments[0].job.clone().expect("a job");
        let job: v1::Job = prost::Message::decode(job).expect("a job");
        taken.push(job.id);
    }
    let job_id = taken.remove(0);
    let request = v1::CompleteJobRequest { job_id, lease_epoch: 1, ..Default::default() };
    server.workers.complete_job(Request::new(request)).await.expect("completed");
    server
}

#[tokio::test]
async fn stats_count_what_is_there_and_what_happened() {
    let server = busy().await;
    let stats = said(server.jobs.get_stats(unset()).await).expect("stats");
    let totals = stats.totals.expect("totals");
    let expected = [v1::JobState::Pending, v1::JobState::Running, v1::JobState::Succeeded];
    assert_eq!(counted(&totals.counts), expected.map(|state| (state, 1)));
    assert_eq!(totals.finished_total, 1);
    for window in [totals.minute, totals.hour, totals.day] {
        let window = window.expect("a window");
        assert_eq!((window.created, window.started, window.succeeded), (3, 2, 1));
        assert!(window.throughput_per_second > 0.0);
    }
    assert_eq!((stats.by_type.len(), stats.by_queue.len()), (1, 1));
    assert_eq!(stats.by_queue[0].queue, "default");
    assert!(totals.oldest_pending_age.is_some());
    let category =
        v1::GetStatsRequest { categories: vec!["sync".to_owned()], ..Default::default() };
    let none = said(server.jobs.get_stats(Request::new(category)).await).expect("stats");
    assert!(none.by_type.is_empty());
}

#[tokio::test]
async fn a_summary_tells_how_a_type_does() {
    let server = busy().await;
    let request = v1::GetSummaryRequest { recent_runs: 2, ..Default::default() };
    let answer = said(server.jobs.get_summary(Request::new(request)).await).expect("a summary");
    let [summary] = answer.summaries.as_slice() else { panic!("one type") };
    assert_eq!((summary.r#type.as_str(), summary.recent_jobs.len()), ("t", 2));
    assert_eq!(summary.origin(), v1::JobTypeOrigin::Observed);
    // The newest job waits; it is the last of three.
    assert_eq!(state(summary.last_job.as_ref()), v1::JobState::Pending);
    assert_eq!(summary.last_job.as_ref().map(|job| &job.id), Some(&summary.recent_jobs[0].id));
    assert!(summary.recent_jobs[0].id > summary.recent_jobs[1].id);
    assert!(summary.last_success_time.is_some() && summary.typical_run_duration.is_some());
}

#[tokio::test]
async fn queues_and_workers_are_listed() {
    let server = busy().await;
    let queues = said(server.admin.list_queues(unset()).await).expect("queues").queues;
    assert_eq!(
        (queues[0].name.as_str(), queues[0].paused, queues[0].weight),
        ("default", false, 0)
    );
    assert_eq!(counted(&queues[0].counts)[0], (v1::JobState::Pending, 1));
    let workers = said(server.admin.list_workers(unset()).await).expect("workers");
    let [worker] = workers.workers.as_slice() else { panic!("one worker") };
    assert_eq!((worker.worker_id.as_str(), worker.running.len()), ("w", 1));
    assert_eq!(worker.state(), v1::WorkerState::Online);
    let lost =
        v1::ListWorkersRequest { states: vec![v1::WorkerState::Lost.into()], ..Default::default() };
    let lost = said(server.admin.list_workers(Request::new(lost)).await).expect("workers");
    assert!(lost.workers.is_empty());
}

#[tokio::test]
async fn the_server_tells_what_it_is() {
    let server = Server::start();
    server.board.announce("pruner", Duration::from_secs(60));
    server.board.ran("pruner", server.engine.clock().now(), Ok(3));
    let info = said(server.admin.get_server_info(unset()).await).expect("info");
    let again = said(server.admin.get_server_info(unset()).await).expect("info");
    assert_eq!(
        (info.version.as_str(), &info.replica_id),
        (env!("CARGO_PKG_VERSION"), &again.replica_id)
    );
    let store = info.store.expect("a store");
    assert_eq!((store.kind.as_str(), store.reachable), ("memory", true));
    assert_eq!(info.loops[0].last_result, "ok");
    assert_eq!(info.resume_retention.map(|span| span.seconds), Some(900));
}

#[tokio::test]
async fn figures_that_are_read_reach_the_metrics() {
    let server = busy().await;
    let metrics = Metrics::new();
    server.engine.refresh(&metrics).await.expect("refreshed");
    let page = metrics.encode();
    assert!(page.contains(r#"jobplane_jobs{type="t",state="PENDING"} 1"#), "{page}");
    assert!(page.contains(r#"jobplane_queue_depth_jobs{queue="default"} 1"#), "{page}");
    server.engine.recall_last_successes().await.expect("recalled");
}
