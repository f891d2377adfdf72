//! Several equal servers over one store. No loop looks for what others did: what is seen here came by a
//! hint, or was asked for.

use jobplane::proto::v1;
use jobplane::proto::v1::JobState as State;
use jobplane::proto::v1::report_progress_request::update::{Report, Succeeded};
use tonic::Code;

use crate::harness::{
    JobFacts as _, JobsWatcher, Refusal, SOON, Server, Shared, Watcher, done, eventually, lines,
    percent, seconds, spec,
};

/// Some servers over one store of this kind.
async fn servers<const N: usize>(store: Shared) -> [Server; N] {
    let first = Server::setup().over(store).hearing_only().start().await;
    let mut servers = Vec::from([first]);
    while servers.len() < N {
        let next = servers[0].beside().await;
        servers.push(next);
    }
    servers.try_into().map_err(|_| "so many").expect("as many as asked for")
}

async fn stop(servers: Vec<Server>) {
    for server in servers {
        server.stop().await;
    }
}

crate::on_each_shared_store! {
    a_job_made_on_one_server_is_run_on_another_and_watched_on_a_third
    a_cancel_reaches_the_worker_on_another_server
    progress_and_lines_reach_watchers_on_another_server
    a_worker_that_attaches_to_another_server_goes_on_with_its_jobs
    a_watch_goes_on_at_another_server_with_its_token
    what_is_reported_by_single_calls_is_read_on_every_server
    the_peak_of_what_single_calls_report_never_falls
    what_an_outcome_says_is_the_last_whoever_was_told_before
    a_job_that_another_server_ended_frees_the_slot_of_its_worker
    twenty_racing_repeats_of_a_request_make_one_job_on_all_servers
    a_call_that_waits_for_a_job_gets_what_another_server_made
    every_server_lists_every_worker
    what_a_server_did_itself_is_not_read_again
    what_is_set_up_otherwise_on_one_server_holds_for_starts_on_another_that_did_not_hear
}

async fn a_job_made_on_one_server_is_run_on_another_and_watched_on_a_third(store: Shared) {
    let [a, b, c] = servers(store).await;
    let many = JobsWatcher::open(&c.client(), JobsWatcher::of_type("sync")).await;
    many.started().await;
    let worker = b.worker("w1").connect().await;
    let id = a.client().create(spec("sync")).await.id;
    c.client().try_get(&id).await.expect("it is there at once after the answer");
    let one = c.watch(&id).await;
    many.until("the job", |copy| copy.jobs.contains_key(&id)).await;
    let held = worker.expect_assignment().await;
    one.until_state(State::Running).await;
    many.until("that it runs", |copy| copy.jobs[&id].state() == State::Running).await;
    held.succeed().await.expect("taken");
    one.until_state(State::Succeeded).await;
    one.end().await.1.expect("the watch of a job that is over ends well");
    many.until("that it is over", |copy| copy.gone.contains_key(&id)).await;
    drop((worker, held, many));
    stop(vec![a, b, c]).await;
}

async fn a_cancel_reaches_the_worker_on_another_server(store: Shared) {
    let [a, b, c] = servers(store).await;
    let worker = b.worker("w1").connect().await;
    let id = a.client().create(spec("sync")).await.id;
    let held = worker.expect_assignment().await;
    c.client().cancel(&id, None).await.expect("asked");
    let cancel = worker.expect_cancel().await;
    assert_eq!((cancel.job_id.as_str(), cancel.lease_epoch), (id.as_str(), held.epoch));
    assert_eq!(cancel.reason, "enough");
    held.cancelled().await.expect("taken");
    assert_eq!(c.client().get(&id).await.state(), State::Cancelled);
    drop((worker, held));
    stop(vec![a, b, c]).await;
}

async fn progress_and_lines_reach_watchers_on_another_server(store: Shared) {
    let [a, b, c] = servers(store).await;
    let worker = b.worker("w1").connect().await;
    let id = a.client().create(spec("sync")).await.id;
    let held = worker.expect_assignment().await;
    let wish = v1::WatchJobRequest { include_logs: true, ..Watcher::wish(&id) };
    let one = Watcher::open(c.client(), wish).await;
    let many = JobsWatcher::open(&c.client(), JobsWatcher::of_type("sync")).await;
    many.started().await;
    for at in [40.0, 80.0] {
        held.report(percent(at)).await.expect("taken");
        one.until_status("progress", |status| status.percent() == Some(at)).await;
        many.until("progress", |copy| copy.jobs[&id].percent() == Some(at)).await;
        c.client().until(&id, |job| job.percent() == Some(at)).await;
        held.log(lines([at])).await.expect("taken");
        let line = at.to_string();
        one.until("the line", |seen| {
            Watcher::lines(seen).iter().any(|entry| entry.message == line).then_some(())
        })
        .await;
    }
    held.succeed().await.expect("taken");
    let (seen, end) = one.end().await;
    end.expect("it ends well");
    assert_eq!(Watcher::lines(&seen).len(), 2, "each line once");
    drop((worker, held, many));
    stop(vec![a, b, c]).await;
}

async fn a_worker_that_attaches_to_another_server_goes_on_with_its_jobs(store: Shared) {
    let [a, b] = servers(store).await;
    let worker = a.worker("w1").connect().await;
    let id = b.client().create(spec("sync")).await.id;
    worker.expect_assignment().await.progress(30.0).await;
    // The stream to the first server hangs: nobody has told it anything.
    let again = b.worker("w1").same_process_as(&worker).has(&id, 1).connect().await;
    assert_eq!(again.welcome.adopted.len(), 1);
    let ended = Refusal::of(&worker.end().await.expect_err("the older stream is over"));
    assert_eq!((ended.code, ended.reason.as_str()), (Code::Aborted, "SESSION_SUPERSEDED"));
    a.client().cancel(&id, None).await.expect("asked");
    assert_eq!(again.expect_cancel().await.job_id, id);
    let seq = again.update(&id, 1, Report::Succeeded(Succeeded::default()));
    again.settled(seq).await.expect("taken");
    assert_eq!(a.client().get(&id).await.state(), State::Succeeded);
    drop((worker, again));
    stop(vec![a, b]).await;
}

async fn a_watch_goes_on_at_another_server_with_its_token(store: Shared) {
    let [a, b] = servers(store).await;
    let ids = [a.client().create(spec("sync")).await.id, b.client().create(spec("sync")).await.id];
    let wish = || JobsWatcher::of_type("sync");
    let watcher = JobsWatcher::open(&a.client(), wish()).await;
    let copy = watcher.until("both", |copy| copy.snapshots == 1 && copy.jobs.len() == 2).await;
    watcher.stop().await;
    b.client().cancel(&ids[0], None).await.expect("cancelled");
    let third = a.client().create(spec("sync")).await.id;
    let again = JobsWatcher::resume(&b.client(), wish(), copy).await;
    let copy = again
        .until("what changed", |copy| {
            copy.gone.contains_key(&ids[0]) && copy.jobs.contains_key(&third)
        })
        .await;
    assert_eq!((copy.resets, copy.jobs.len()), (0, 2));
    drop(again);
    stop(vec![a, b]).await;
}

async fn what_is_reported_by_single_calls_is_read_on_every_server(store: Shared) {
    let [a, b, c] = servers(store).await;
    a.client().create(spec("sync")).await;
    let (job, epoch) = b.client().acquire_one("sync").await;
    let report = |at: f64| v1::ReportJobRequest {
        job_id: job.id.clone(),
        lease_epoch: epoch,
        progress: Some(percent(at)),
        ..v1::ReportJobRequest::default()
    };
    let mut sequence = 0;
    for (at, server) in [(10.0, &a), (20.0, &b), (30.0, &c), (40.0, &a), (50.0, &c)] {
        server.client().report(report(at)).await.expect("taken");
        for reader in [&a, &b, &c] {
            let read = reader.client().get(&job.id).await;
            assert_eq!(read.percent(), Some(at));
            let counted = read.status().progress.as_ref().expect("progress").sequence;
            assert!(counted >= sequence, "{counted} after {sequence}");
            sequence = counted;
        }
    }
    let over = b.client().complete(&job.id, epoch).await.expect("taken");
    assert_eq!((over.state(), over.percent()), (State::Succeeded, Some(50.0)));
    stop(vec![a, b, c]).await;
}

async fn the_peak_of_what_single_calls_report_never_falls(store: Shared) {
    let [a, b] = servers(store).await;
    a.client().create(spec("sync")).await;
    let (job, epoch) = a.client().acquire_one("sync").await;
    let report = |memory_bytes: i64| v1::ReportJobRequest {
        job_id: job.id.clone(),
        lease_epoch: epoch,
        resource_usage: Some(v1::ResourceUsage {
            memory_bytes: Some(memory_bytes),
            ..v1::ResourceUsage::default()
        }),
        ..v1::ReportJobRequest::default()
    };
    for (memory, peak, server) in [(500, 500, &a), (900, 900, &b), (10, 900, &a), (20, 900, &b)] {
        server.client().report(report(memory)).await.expect("taken");
        for reader in [&a, &b] {
            let read = reader.client().get(&job.id).await;
            let usage = read.status().resource_usage.expect("usage");
            assert_eq!((usage.memory_bytes, usage.peak_memory_bytes), (Some(memory), Some(peak)));
        }
    }
    stop(vec![a, b]).await;
}

async fn what_an_outcome_says_is_the_last_whoever_was_told_before(store: Shared) {
    let [a, b] = servers(store).await;
    // Once where nothing was reported, once where less was.
    for ends_at in [&b, &a] {
        a.client().create(spec("sync")).await;
        let (job, lease_epoch) = a.client().acquire_one("sync").await;
        for (server, completed) in [(&a, 1), (&a, 2), (&b, 3), (&b, 4), (&b, 5)] {
            if server.address() == b.address() && ends_at.address() == b.address() {
                continue;
            }
            let request = v1::ReportJobRequest {
                job_id: job.id.clone(),
                lease_epoch,
                progress: Some(done(completed, 10)),
                ..v1::ReportJobRequest::default()
            };
            server.client().report(request).await.expect("taken");
        }
        let request = v1::CompleteJobRequest {
            job_id: job.id.clone(),
            lease_epoch,
            progress: Some(done(10, 10)),
            ..v1::CompleteJobRequest::default()
        };
        ends_at.client().workers.clone().complete_job(request).await.expect("taken");
        for server in [&a, &b] {
            let job = server.client().get(&job.id).await;
            assert_eq!(job.status().progress.as_ref().map(|last| last.completed), Some(10));
        }
    }
    stop(vec![a, b]).await;
}

async fn a_job_that_another_server_ended_frees_the_slot_of_its_worker(store: Shared) {
    let [a, b] = servers(store).await;
    let worker = a.worker("w1").connect().await;
    let first = b.client().create(spec("sync")).await.id;
    let held = worker.expect_assignment().await;
    b.client().cancel(&first, Some(0.0)).await.expect("at once");
    assert_eq!(worker.expect_revoke().await.job_id, first);
    let second = b.client().create(spec("sync")).await.id;
    let next = worker.expect_assignment().await;
    assert_eq!(next.id, second, "the slot is free");
    // A script on the same machine ends it by a single call.
    b.client().complete(&second, next.epoch).await.expect("taken");
    b.client().create(spec("sync")).await;
    let last = worker.expect_assignment().await;
    assert_eq!(held.succeed().await.expect_err("it lost that one").reason, "STALE_LEASE");
    last.succeed().await.expect("taken");
    drop((worker, held, next, last));
    stop(vec![a, b]).await;
}

async fn twenty_racing_repeats_of_a_request_make_one_job_on_all_servers(store: Shared) {
    let [a, b, c] = servers(store).await;
    let clients = [a.client(), b.client(), c.client()];
    let repeats = (0..20).map(|at| clients[at % 3].request("once", spec("sync")));
    let answers = futures_util::future::join_all(repeats).await;
    let mut ids: Vec<String> = answers
        .into_iter()
        .map(|answer| answer.expect("an answer").job.expect("a job").id)
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), 1);
    stop(vec![a, b, c]).await;
}

async fn a_call_that_waits_for_a_job_gets_what_another_server_made(store: Shared) {
    let [a, b] = servers(store).await;
    let (client, other) = (a.client(), b.client());
    let waiting = client.acquire_one("sync");
    let made = async {
        eventually(SOON, "the call waits", || async {
            !b.client().workers().await.is_empty() || !a.client().workers().await.is_empty()
        })
        .await;
        other.create(spec("sync")).await.id
    };
    let ((job, _), id) = futures_util::future::join(waiting, made).await;
    assert_eq!(job.id, id);
    stop(vec![a, b]).await;
}

async fn every_server_lists_every_worker(store: Shared) {
    let [a, b] = servers(store).await;
    let worker = a.worker("w1").slots(3).connect().await;
    let id = b.client().create(spec("sync")).await.id;
    let held = worker.expect_assignment().await;
    for server in [&a, &b] {
        let listed = server.client().workers().await;
        assert_eq!(listed.len(), 1);
        let running: Vec<_> = listed[0].running.iter().map(|job| job.job_id.as_str()).collect();
        assert_eq!((listed[0].held, running), (1, vec![id.as_str()]));
    }
    drop((worker, held));
    stop(vec![a, b]).await;
}

async fn what_a_server_did_itself_is_not_read_again(store: Shared) {
    let [a, b] = servers(store).await;
    let worker = a.worker("w1").slots(2).connect().await;
    let [own, other] =
        [a.client().create(spec("sync")).await.id, b.client().create(spec("sync")).await.id];
    let held = [worker.expect_assignment().await, worker.expect_assignment().await];
    held[0].report(percent(10.0)).await.expect("taken");
    let (own_before, other_before) = (a.faults.loads(&own), a.faults.loads(&other));
    a.client().cancel(&own, None).await.expect("asked");
    assert_eq!(worker.expect_cancel().await.job_id, own);
    // Whoever hears of this has read on in the change log past that.
    b.client().cancel(&other, None).await.expect("asked");
    assert_eq!(worker.expect_cancel().await.job_id, other);
    assert_eq!(a.faults.loads(&own), own_before, "it was there when it was written");
    assert!(a.faults.loads(&other) > other_before, "what another one did is read");
    drop((worker, held));
    stop(vec![a, b]).await;
}

async fn what_is_set_up_otherwise_on_one_server_holds_for_starts_on_another_that_did_not_hear(
    store: Shared,
) {
    let [a, b] = servers(store).await;
    let queue = async |paused| {
        let queue = v1::Queue { name: "mail".to_owned(), weight: 3, paused, ..Default::default() };
        let request = v1::UpdateQueueRequest { queue: Some(queue), update_mask: None };
        a.client().admin.update_queue(request).await.expect("set up");
    };
    let declare = async |max_concurrent, disabled| {
        let r#type = "sync".to_owned();
        let job_type = v1::JobType { r#type, max_concurrent, disabled, ..Default::default() };
        let request = v1::PutJobTypeRequest { job_type: Some(job_type), ..Default::default() };
        a.client().types.put_job_type(request).await.expect("declared");
    };
    queue(false).await;
    declare(0, false).await;
    // So the other one knows of both.
    b.client().types.list_job_types(v1::ListJobTypesRequest::default()).await.expect("a list");
    b.faults.lose_hints();
    for _ in 0..4 {
        b.client().create(spec("sync")).await;
        b.client().create(v1::JobSpec { queue: "mail".to_owned(), ..spec("other") }).await;
    }
    let start = async |queue: &str, wait| {
        let request = v1::AcquireJobsRequest {
            worker_id: "w1".to_owned(),
            queues: vec![queue.to_owned()],
            max_jobs: 4,
            wait: seconds(wait),
            ..Default::default()
        };
        b.client().acquire(request).await.expect("an answer").len()
    };
    declare(1, false).await;
    queue(true).await;
    assert_eq!(start("default", 30.0).await, 1, "one at once");
    assert_eq!((start("default", 0.3).await, start("mail", 0.3).await), (0, 0), "full; paused");
    declare(0, true).await;
    assert_eq!(start("default", 0.3).await, 0, "disabled");
    stop(vec![a, b]).await;
}
