//! A store that fails, hangs, or loses the answer of a commit.

use std::time::Duration;

use futures_util::future::join_all;
use jobplane::proto::v1;
use jobplane::proto::v1::JobState as State;
use jobplane::proto::v1::report_progress_request::update::{Released, Report, Succeeded};
use jobplane::runtime::{Clock, Tasks};
use jobplane::store::JobWrite;
use tonic::{Code, Status};

use crate::harness::{
    Client, Fault, JobFacts as _, Refusal, SOON, Server, Setup, Told as _, Weather, eventually,
    lines, percent, spec, within,
};

/// What callers wait for the store: with room for a busy machine while it works.
const STORE_TIMEOUT: Duration = Duration::from_secs(1);

fn setup() -> Setup {
    Server::setup().store_timeout(STORE_TIMEOUT)
}

type Call = std::pin::Pin<Box<dyn Future<Output = Result<(), Status>>>>;

/// Every call that cannot be answered without the store, by name.
fn calls(client: &Client, id: &str, epoch: i64, other: &str) -> Vec<(&'static str, Call)> {
    macro_rules! call {
        ($service:ident.$method:ident, $request:expr) => {{
            let (mut service, request) = (client.$service.clone(), $request);
            let call: Call = Box::pin(async move { service.$method(request).await.map(drop) });
            (stringify!($method), call)
        }};
    }
    let job_id = || id.to_owned();
    let worker_id = || "w2".to_owned();
    let (lease_epoch, default) = (epoch, || Some(spec("sync")));
    vec![
        call!(jobs.create_job, v1::CreateJobRequest { spec: default(), ..Default::default() }),
        call!(jobs.get_job, v1::GetJobRequest { job_id: job_id(), view: 0 }),
        call!(jobs.list_jobs, v1::ListJobsRequest::default()),
        call!(jobs.watch_job, v1::WatchJobRequest { job_id: job_id(), ..Default::default() }),
        call!(jobs.cancel_job, v1::CancelJobRequest { job_id: job_id(), ..Default::default() }),
        call!(jobs.retry_job, v1::RetryJobRequest { job_id: job_id(), ..Default::default() }),
        call!(jobs.delete_job, v1::DeleteJobRequest { job_id: other.to_owned() }),
        call!(
            jobs.list_job_logs,
            v1::ListJobLogsRequest { job_id: job_id(), ..Default::default() }
        ),
        call!(jobs.list_job_attempts, v1::ListJobAttemptsRequest { job_id: job_id() }),
        call!(jobs.get_stats, v1::GetStatsRequest::default()),
        call!(jobs.get_summary, v1::GetSummaryRequest::default()),
        call!(
            workers.acquire_jobs,
            v1::AcquireJobsRequest { worker_id: worker_id(), ..Default::default() }
        ),
        call!(
            workers.start_job,
            v1::StartJobRequest { worker_id: worker_id(), spec: default(), ..Default::default() }
        ),
        call!(
            workers.report_job,
            v1::ReportJobRequest { job_id: job_id(), lease_epoch, ..Default::default() }
        ),
        call!(
            workers.complete_job,
            v1::CompleteJobRequest { job_id: job_id(), lease_epoch, ..Default::default() }
        ),
        call!(
            workers.fail_job,
            v1::FailJobRequest { job_id: job_id(), lease_epoch, ..Default::default() }
        ),
        call!(
            workers.release_job,
            v1::ReleaseJobRequest { job_id: job_id(), lease_epoch, ..Default::default() }
        ),
        call!(admin.list_queues, v1::ListQueuesRequest {}),
        call!(admin.list_workers, v1::ListWorkersRequest::default()),
    ]
}

async fn every_call_is_unavailable_in(weather: Weather) {
    let server = setup().start().await;
    let client = server.client();
    let id = client.create(spec("sync")).await.id;
    let (_, epoch) = client.acquire_one("sync").await;
    let other = client.create(spec("sync")).await.id;
    server.faults.set(weather);
    let began = Clock::monotonic();
    let calls = calls(&client, &id, epoch, &other).into_iter();
    let answers = join_all(calls.map(|(name, call)| async move { (name, call.await) }));
    let answers = within(SOON, "every call is answered", answers).await;
    let took = Clock::monotonic().duration_since(began);
    assert!(took < STORE_TIMEOUT * 10, "the answers took {took:?}");
    for (name, answer) in answers {
        let refusal = Refusal::of(&answer.expect_err(name));
        assert_eq!(refusal.code, Code::Unavailable, "{name}: {refusal:?}");
        assert!(refusal.retry_after.is_some(), "{name} says when to try again: {refusal:?}");
    }
    let batch = vec![v1::CreateJobRequest { spec: Some(spec("sync")), ..Default::default() }];
    let batch = v1::BatchCreateJobsRequest { requests: batch };
    let made = client.jobs.clone().batch_create_jobs(batch).await.expect("each by itself");
    match made.into_inner().results.remove(0).outcome {
        Some(v1::batch_create_jobs_response::result::Outcome::Error(status)) => {
            assert_eq!(status.code, Code::Unavailable as i32);
        }
        other => panic!("not refused: {other:?}"),
    }
    let info = client.admin.clone().get_server_info(v1::GetServerInfoRequest {}).await;
    let info = info.expect("the server speaks of itself").into_inner();
    assert!(!info.store.expect("its store").reachable);

    server.faults.set(Weather::Fair);
    eventually(SOON, "the server works again", || async {
        client.request("after", spec("sync")).await.is_ok()
    })
    .await;
    // What hung may have happened since; nothing is lost by it.
    client.get(&id).await;
    client.get(&other).await;
    server.stop().await;
}

#[tokio::test]
async fn every_call_is_unavailable_while_the_store_fails_and_works_after_it() {
    every_call_is_unavailable_in(Weather::Failing).await;
}

#[tokio::test]
async fn every_call_is_unavailable_while_the_store_hangs_and_works_after_it() {
    every_call_is_unavailable_in(Weather::Hanging).await;
}

async fn outcomes_outlive(weather: Weather) {
    let server = setup().start().await;
    let client = server.client();
    for _ in 0..3 {
        client.create(spec("sync")).await;
    }
    let worker = server.worker("w1").slots(3).connect().await;
    let held = [
        worker.expect_assignment().await,
        worker.expect_assignment().await,
        worker.expect_assignment().await,
    ];
    server.faults.set(weather);
    held[0].send(Report::Progress(percent(50.0)));
    held[0].send(Report::Logs(v1::LogBatch { entries: lines(["kept"]) }));
    held[0].send(Report::Succeeded(Succeeded::default()));
    held[1].send(Report::Failed(v1::report_progress_request::update::Failed::default()));
    let last = held[2].send(Report::Released(Released::default()));
    let refused = client.request("seen", spec("other")).await.refusal();
    assert_eq!(refused.code, Code::Unavailable);
    let acked = worker.told().into_iter().filter_map(|message| match message {
        crate::harness::Message::Ack(ack) => Some(ack.through_seq),
        _ => None,
    });
    assert!(acked.max().unwrap_or(0) <= 1, "nothing durable is acked without the store");

    server.faults.set(Weather::Fair);
    worker.settled(last).await.expect("taken");
    assert_eq!(client.get(&held[0].id).await.state(), State::Succeeded);
    assert_eq!(client.get(&held[0].id).await.percent(), Some(50.0));
    assert_eq!(client.get(&held[1].id).await.status().attempt, 1);
    let logs = v1::ListJobLogsRequest { job_id: held[0].id.clone(), ..Default::default() };
    assert_eq!(client.logs(logs).await.entries.len(), 1);
    server.stop().await;
}

#[tokio::test]
async fn outcomes_of_a_stream_outlive_a_failing_store_and_are_acked_after_it() {
    Box::pin(outcomes_outlive(Weather::Failing)).await;
}

#[tokio::test]
async fn outcomes_of_a_stream_outlive_a_hanging_store_and_are_acked_after_it() {
    Box::pin(outcomes_outlive(Weather::Hanging)).await;
}

#[tokio::test]
async fn a_create_whose_fate_is_unknown_is_made_once() {
    let server = setup().start().await;
    let client = server.client();
    for (request, fault) in [("lost-answer", Fault::AnswerLost), ("lost", Fault::RequestLost)] {
        server.faults.plan(fault, |batch| !batch.creates.is_empty());
        let first = client.request(request, spec("sync")).await;
        assert!(server.faults.happened());
        let again = client.request(request, spec("sync")).await.expect("a job");
        if let Ok(first) = first {
            assert_eq!(first.job.map(|job| job.id), again.job.map(|job| job.id));
        }
    }
    let unnamed = client.create(spec("sync")).await;
    let jobs = client.list(v1::ListJobsRequest::default()).await.expect("a page").jobs;
    assert_eq!(jobs.len(), 3, "one for each: {jobs:?}");
    assert_eq!(jobs[0].id, unnamed.id);
    server.stop().await;
}

#[tokio::test]
async fn a_create_that_nobody_heard_of_is_handed_out_and_watched() {
    let server = setup().start().await;
    let client = server.client();
    let worker = server.worker("w1").connect().await;
    server.faults.plan(Fault::AnswerLost, |batch| !batch.creates.is_empty());
    let id = client.create(spec("sync")).await.id;
    assert_eq!(worker.expect_assignment().await.id, id);
    server.stop().await;
}

#[tokio::test]
async fn an_outcome_whose_fate_is_unknown_is_neither_lost_nor_hidden() {
    let server = setup().start().await;
    let client = server.client();
    let worker = server.worker("w1").connect().await;
    for fault in [Fault::AnswerLost, Fault::RequestLost, Fault::Refused, Fault::GuardsMissed] {
        let id = client.create(spec("sync")).await.id;
        let held = worker.expect_assignment().await;
        let watcher = server.watch(&id).await;
        let over = |batch: &jobplane::store::Batch| {
            batch.writes.iter().any(|write| write.job.status.kind().is_terminal())
        };
        server.faults.plan(fault, over);
        held.succeed().await.unwrap_or_else(|refusal| panic!("{fault:?}: {refusal:?}"));
        assert!(server.faults.happened(), "{fault:?}");
        assert_eq!(client.get(&id).await.state(), State::Succeeded, "{fault:?}");
        watcher.until_state(State::Succeeded).await;
        watcher.end().await.1.expect("ends well");
    }
    let counts = client.stats().await.totals.expect("totals").counts;
    assert_eq!(counts.len(), 1, "all are done: {counts:?}");
    assert_eq!(counts[0].count, 4);
    server.stop().await;
}

#[tokio::test]
async fn what_was_done_as_the_store_went_away_is_told_when_it_is_back() {
    let server = setup().start().await;
    let client = server.client();
    let (done, asked) = (client.create(spec("a")).await.id, client.create(spec("b")).await.id);
    let worker = server.worker("w1").slots(3).connect().await;
    let held = [worker.expect_assignment().await, worker.expect_assignment().await];
    let first = held.iter().find(|held| held.id == done).expect("the job");
    let watcher = server.watch(&done).await;
    let back = async || {
        let down = || async { client.try_get(&done).await.is_err() };
        eventually(SOON, "the store is gone", down).await;
        server.faults.set(Weather::Fair);
    };

    server.faults.plan(Fault::StoreLost, |batch| !batch.writes.is_empty());
    let seq = first.send(Report::Succeeded(Succeeded::default()));
    back().await;
    worker.settled(seq).await.expect("taken");
    watcher.until_state(State::Succeeded).await;

    server.faults.plan(Fault::StoreLost, |batch| !batch.writes.is_empty());
    assert_eq!(client.cancel(&asked, None).await.refusal().code, Code::Unavailable);
    back().await;
    assert_eq!(worker.expect_cancel().await.job_id, asked);

    server.faults.plan(Fault::StoreLost, |batch| !batch.creates.is_empty());
    assert_eq!(client.request("r", spec("c")).await.refusal().code, Code::Unavailable);
    back().await;
    let made = worker.expect_assignment().await;
    let again = client.request("r", spec("c")).await.expect("known");
    assert_eq!(again.job.map(|job| job.id), Some(made.id));
    server.stop().await;
}

#[tokio::test]
async fn a_cancel_whose_fate_is_unknown_reaches_the_worker() {
    let server = setup().start().await;
    let client = server.client();
    let worker = server.worker("w1").connect().await;
    for fault in [Fault::AnswerLost, Fault::RequestLost, Fault::GuardsMissed] {
        let id = client.create(spec("sync")).await.id;
        let held = worker.expect_assignment().await;
        server.faults.plan(fault, |batch| {
            batch.writes.iter().any(|write| write.job.status.cancel_request.is_some())
        });
        let job = client.cancel(&id, None).await.unwrap_or_else(|why| panic!("{fault:?}: {why}"));
        assert!(job.status().cancel_request.is_some(), "{fault:?}");
        assert_eq!(worker.expect_cancel().await.job_id, id, "{fault:?}");
        held.cancelled().await.expect("taken");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_delete_whose_fate_is_unknown_is_answered_well() {
    let server = setup().start().await;
    let client = server.client();
    for fault in [Fault::AnswerLost, Fault::RequestLost] {
        let id = client.create(spec("sync")).await.id;
        client.cancel(&id, None).await.expect("cancelled");
        server.faults.plan(fault, |batch| !batch.deletes.is_empty());
        client.delete(&id).await.unwrap_or_else(|why| panic!("{fault:?}: {why}"));
        assert_eq!(client.try_get(&id).await.reason(), "JOB_NOT_FOUND");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_start_whose_fate_is_unknown_strands_no_job() {
    let server = setup().start().await;
    let client = server.client();
    let starts = |batch: &jobplane::store::Batch| {
        batch.writes.iter().any(|write| write.job.status.session().is_some())
    };
    for fault in [Fault::AnswerLost, Fault::RequestLost, Fault::Refused, Fault::GuardsMissed] {
        let worker = server.worker("w1").connect().await;
        server.faults.plan(fault, starts);
        let id = client.create(spec("sync")).await.id;
        let held = worker.expect_assignment().await;
        assert!(server.faults.happened());
        assert_eq!((&held.id, held.job.status().attempt), (&id, 1), "{fault:?}");
        held.succeed().await.expect("taken");
    }
    let id = client.create(spec("called")).await.id;
    server.faults.plan(Fault::AnswerLost, starts);
    let (job, epoch) = client.acquire_one("called").await;
    assert_eq!((&job.id, job.status().attempt), (&id, 1));
    client.complete(&id, epoch).await.expect("taken");
    server.stop().await;
}

#[tokio::test]
async fn a_start_that_happens_after_nobody_waits_for_it_strands_no_job() {
    let server = setup().start().await;
    let client = server.client();
    let starts = |batch: &jobplane::store::Batch| {
        batch.writes.iter().any(|write| write.job.status.session().is_some())
    };
    let worker = server.worker("w1").connect().await;
    server.faults.plan(Fault::Late, starts);
    let id = client.create(spec("sync")).await.id;
    let begun = || async { server.faults.happened() };
    eventually(SOON, "a start is under way", begun).await;
    // Time for whoever gives the job back without looking whether it was started.
    let other = client.create(spec("other")).await.id;
    client.cancel(&other, None).await.expect("cancelled");
    server.faults.happen().await;
    let held = worker.expect_assignment().await;
    assert_eq!((&held.id, held.job.status().attempt), (&id, 1));
    held.succeed().await.expect("taken");
    server.stop().await;
}

#[tokio::test]
async fn lines_whose_fate_is_unknown_are_kept_once_and_not_refused() {
    let server = setup().start().await;
    let client = server.client();
    let logs_of = async |id: &str| {
        let query = v1::ListJobLogsRequest { job_id: id.to_owned(), ..Default::default() };
        client.logs(query).await.entries.len()
    };
    for fault in [Fault::AnswerLost, Fault::RequestLost] {
        let id = client.create(spec("sync")).await.id;
        let (_, lease_epoch) = client.acquire_one("sync").await;
        server.faults.plan(fault, |batch| !batch.logs.is_empty());
        let report = v1::ReportJobRequest {
            job_id: id.clone(),
            lease_epoch,
            logs: lines(["without a number"]),
            ..Default::default()
        };
        client.report(report).await.unwrap_or_else(|why| panic!("{fault:?}: {why}"));
        assert!(server.faults.happened(), "{fault:?}");
        assert_eq!(logs_of(&id).await, 1, "{fault:?}");
        client.complete(&id, lease_epoch).await.expect("taken");
    }
    server.stop().await;
}

#[tokio::test]
async fn lines_of_a_lease_that_ended_in_a_commit_of_unknown_fate_are_not_refused() {
    let server = setup().start().await;
    let client = server.client();
    client.create(spec("beacon")).await;
    let worker = server.worker("w1").slots(2).connect().await;
    let beacon = worker.expect_assignment().await;
    for (shine, fault) in
        [(1.0, Fault::AnswerLost), (2.0, Fault::StoreLost), (3.0, Fault::RequestLost)]
    {
        let id = client.create(spec("sync")).await.id;
        let held = worker.expect_assignment().await;
        server.faults.plan(Fault::AnswerHeld, |batch| !batch.creates.is_empty());
        let other = server.client();
        let request = format!("{fault:?}");
        let elsewhere = v1::JobSpec { queue: "elsewhere".to_owned(), ..spec("other") };
        let made =
            Tasks::new().spawn("create", async move { other.request(&request, elsewhere).await });
        let happened = || async { server.faults.happened() };
        eventually(SOON, "the writer waits", happened).await;
        server.faults.plan(fault, |batch| {
            let ends = |write: &JobWrite| write.job.status.kind().is_terminal();
            !batch.logs.is_empty() && batch.writes.iter().any(ends)
        });
        let logs = held.send(Report::Logs(v1::LogBatch { entries: lines(["the last"]) }));
        let last = held.send(Report::Succeeded(Succeeded::default()));
        // What was said before this was heard, too.
        beacon.send(Report::Progress(percent(shine)));
        let shines = || async { client.get(&beacon.id).await.percent() == Some(shine) };
        eventually(SOON, "both wait for the writer", shines).await;
        server.faults.answer();
        eventually(SOON, "the commit is lost", happened).await;
        if fault == Fault::StoreLost {
            let down = || async { client.try_get(&id).await.is_err() };
            eventually(SOON, "the store is gone", down).await;
            server.faults.set(Weather::Fair);
        }
        worker.settled(logs).await.unwrap_or_else(|why| panic!("{fault:?}: {why:?}"));
        worker.settled(last).await.unwrap_or_else(|why| panic!("{fault:?}: {why:?}"));
        let query = v1::ListJobLogsRequest { job_id: id.clone(), ..Default::default() };
        assert_eq!(client.logs(query).await.entries.len(), 1, "{fault:?}");
        assert_eq!(client.get(&id).await.state(), State::Succeeded, "{fault:?}");
        made.await.expect("it ends").expect("a job");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_session_whose_opening_is_unknown_is_opened_once() {
    let server = setup().start().await;
    let id = server.client().create(spec("sync")).await.id;
    server.faults.plan(Fault::AnswerLost, |batch| !batch.sessions.is_empty());
    let worker = server.worker("w1").connect().await;
    let held = worker.expect_assignment().await;
    assert_eq!(held.id, id);
    let mut worker = worker;
    for fault in [Fault::AnswerLost, Fault::RequestLost, Fault::GuardsMissed] {
        worker.cut();
        server.faults.plan(fault, |batch| !batch.writes.is_empty());
        let again = server.worker("w1").same_process_as(&worker).has(&id, held.epoch);
        worker = again.connect().await;
        assert!(server.faults.happened());
        assert_eq!(worker.welcome.adopted.len(), 1, "{fault:?}");
        assert_eq!(server.open_sessions().await.len(), 1, "{fault:?}");
    }
    let seq = worker.update(&id, held.epoch, Report::Succeeded(Succeeded::default()));
    worker.settled(seq).await.expect("taken");
    assert_eq!(server.client().get(&id).await.state(), State::Succeeded);
    server.stop().await;
}

#[tokio::test]
async fn a_goodbye_outlives_a_failing_store() {
    let server = setup().start().await;
    let client = server.client();
    let id = client.create(spec("sync")).await.id;
    let worker = server.worker("w1").connect().await;
    worker.expect_assignment().await;
    let ends = |batch: &jobplane::store::Batch| {
        let mut writes = batch.sessions.iter();
        writes.any(|write| matches!(write, jobplane::store::SessionWrite::End { .. }))
    };
    server.faults.plan(Fault::Refused, ends);
    worker.goodbye().await.expect("ends well");
    let job = client.until(&id, |job| job.state() == State::Pending).await;
    assert!(server.faults.happened());
    assert_eq!(job.status().attempt, 0, "released, not lost");
    server.stop().await;
}
