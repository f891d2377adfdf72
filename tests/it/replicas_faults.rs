//! Several servers over one store, of which some hear nothing, are wrong about the time, or fail.

use std::sync::Arc;
use std::time::Duration;

use jobplane::proto::v1;
use jobplane::proto::v1::JobState as State;
use jobplane::proto::v1::report_progress_request::update::Report;
use jobplane::runtime::Clock;
use jobplane::store::SessionWrite;

use crate::harness::{
    Fault, Held, JobFacts as _, JobsWatcher, Message, Refusal, SOON, Server, Setup, Shared,
    Told as _, Weather, eventually, lines, percent, seconds, spec,
};

const TEN_MINUTES: i64 = 600_000_000;

crate::on_each_shared_store! {
    what_no_hint_told_of_is_found_by_looking
    what_a_server_knows_of_old_refuses_no_valid_report
    servers_whose_clocks_differ_by_ten_minutes_decide_alike
    the_jobs_of_a_server_that_died_run_elsewhere
    a_server_that_lost_its_store_sends_its_workers_on
    lines_that_were_kept_are_not_refused_although_their_job_has_moved_on
}

fn setup(store: Shared) -> Setup {
    Server::setup().over(store)
}

async fn held_by_a_worker(server: &Server) -> Held {
    server.worker("w1").connect().await.expect_assignment().await
}

async fn what_no_hint_told_of_is_found_by_looking(store: Shared) {
    let a = setup(store).start().await;
    let b = a.beside().await;
    a.faults.lose_hints();
    b.faults.lose_hints();
    let id = b.client().create(spec("sync")).await.id;
    let held = held_by_a_worker(&a).await;
    let one = b.watch(&id).await;
    let many = JobsWatcher::open(&b.client(), JobsWatcher::of_type("sync")).await;
    many.started().await;
    held.report(percent(40.0)).await.expect("taken");
    one.until_status("progress", |status| status.percent() == Some(40.0)).await;
    many.until("progress", |copy| copy.jobs[&id].percent() == Some(40.0)).await;
    b.client().cancel(&id, None).await.expect("asked");
    assert_eq!(held.worker.expect_cancel().await.job_id, id);
    held.cancelled().await.expect("taken");
    one.until_state(State::Cancelled).await;
    many.until("the end", |copy| copy.gone.contains_key(&id)).await;
    drop((held, one, many));
    a.stop().await;
    b.stop().await;
}

async fn what_a_server_knows_of_old_refuses_no_valid_report(store: Shared) {
    // The first server neither hears nor looks: all it knows of its jobs gets old.
    let a = setup(store).hearing_only().start().await;
    let b = setup(store).start_beside(&a).await;
    a.faults.lose_hints();
    let [first, second, third] = [
        a.client().create(spec("sync")).await.id,
        a.client().create(spec("sync")).await.id,
        a.client().create(spec("sync")).await.id,
    ];
    let worker = a.worker("w1").slots(3).connect().await;
    let mut held = vec![
        worker.expect_assignment().await,
        worker.expect_assignment().await,
        worker.expect_assignment().await,
    ];
    let mut take = |id: &str| {
        let at = held.iter().position(|held| held.id == id).expect("it has the job");
        held.swap_remove(at)
    };
    for id in [&first, &second] {
        b.client().cancel(id, None).await.expect("asked");
    }
    // Decided on a state that is not there any more, and again on the one that is.
    take(&first).succeed().await.expect("the work is done");
    take(&second).cancelled().await.expect("a cancel that only the store knows of");
    b.client().cancel(&third, Some(0.0)).await.expect("at once");
    b.client().retry(&third, false).await.expect("again");
    let elsewhere = held_by_a_worker(&b).await;
    assert_eq!((elsewhere.id.as_str(), elsewhere.epoch), (third.as_str(), 2));
    let late = take(&third);
    let refused = late.succeed().await.expect_err("its lease is over");
    assert_eq!((refused.reason.as_str(), refused.fact("held")), ("STALE_LEASE", "2"));
    let refused = late.log(crate::harness::lines(["late"])).await.expect_err("and so for lines");
    assert_eq!(refused.reason, "STALE_LEASE");
    elsewhere.succeed().await.expect("taken");
    // A no-op and a refusal are as fresh as any other answer.
    assert_eq!(a.client().cancel(&second, None).await.expect("is").state(), State::Cancelled);
    let refused = a.client().cancel(&third, None).await.refusal();
    assert_eq!(refused.fact("state"), "SUCCEEDED");
    for (id, state) in
        [(&first, State::Succeeded), (&second, State::Cancelled), (&third, State::Succeeded)]
    {
        assert_eq!(a.client().get(id).await.state(), state);
    }
    drop((worker, held, late, elsewhere));
    a.stop().await;
    b.stop().await;
}

async fn servers_whose_clocks_differ_by_ten_minutes_decide_alike(store: Shared) {
    let a = setup(store).by(Clock::ahead_by(TEN_MINUTES)).start().await;
    let b = setup(store).by(Clock::ahead_by(-TEN_MINUTES)).start_beside(&a).await;
    let apart = a.now().since(b.now()).max(b.now().since(a.now()));
    assert!(apart < Duration::from_secs(5), "{apart:?} apart");
    // With a lease and a timeout that ten minutes would end.
    let wish = v1::JobSpec { timeout: seconds(300.0), ..spec("sync") };
    let ids = [a.client().create(wish.clone()).await.id, b.client().create(wish).await.id];
    let workers = [a.worker("w1").connect().await, b.worker("w2").connect().await];
    let held = [workers[0].expect_assignment().await, workers[1].expect_assignment().await];
    // One that is to wait for a while waits as long on either.
    let schedule_time = a.now().plus(Duration::from_secs(400)).as_micros();
    let schedule_time = Some(prost_types::Timestamp {
        seconds: schedule_time / 1_000_000,
        nanos: i32::try_from(schedule_time % 1_000_000 * 1_000).expect("below a second"),
    });
    let later = v1::JobSpec { schedule_time, ..spec("later") };
    let later = b.client().create(later).await.id;
    for server in [&a, &b] {
        for _ in 0..3 {
            assert_eq!(server.engine().expire_sessions().await.expect("a look"), 0);
            assert_eq!(server.engine().meet_deadlines().await.expect("a look"), 0);
        }
    }
    for id in &ids {
        let job = a.client().get(id).await;
        assert_eq!((job.state(), job.status().attempt), (State::Running, 1));
    }
    assert_eq!(a.client().get(&later).await.state(), State::Pending);
    for held in &held {
        held.succeed().await.expect("taken");
    }
    let ended: Vec<i64> = {
        let mut ended = Vec::new();
        for id in &ids {
            let end = b.client().get(id).await.status().end_time.expect("it ended");
            ended.push(end.seconds);
        }
        ended
    };
    assert!(ended[0].abs_diff(ended[1]) <= 5, "{ended:?}: one time for all");
    drop((workers, held));
    a.stop().await;
    b.stop().await;
}

async fn the_jobs_of_a_server_that_died_run_elsewhere(store: Shared) {
    let a = setup(store).start().await;
    let b = a.beside().await;
    let id = b.client().create(spec("sync")).await.id;
    let held = a.worker("w1").lease(10.0).connect().await.expect_assignment().await;
    // It does not say a word any more, to nobody: its lease runs out unheard.
    let sessions = a.open_sessions().await;
    a.faults.set(Weather::Hanging);
    let keep = Duration::ZERO;
    b.change_sessions(sessions.into_iter().map(|id| SessionWrite::Shorten { id, keep }).collect())
        .await;
    let other = b.worker("w2").connect().await;
    // A database that came up just now lets a lease pass first.
    eventually(3 * SOON, "it runs again", || async {
        b.client().get(&id).await.status().lease_epoch == 2
    })
    .await;
    let next = other.expect_assignment().await;
    assert_eq!((next.id.as_str(), next.epoch), (id.as_str(), 2));
    let attempts = b.client().attempts(&id).await;
    assert_eq!(attempts[0].error.as_ref().expect("an error").code, "LEASE_LOST");
    // It was only asleep, and its worker with it: nothing that they still say counts.
    a.faults.set(Weather::Fair);
    let refused = held.succeed().await.expect_err("its lease is over");
    assert_eq!((refused.reason.as_str(), refused.fact("held")), ("STALE_LEASE", "2"));
    assert_eq!(a.client().get(&id).await.state(), State::Running);
    next.succeed().await.expect("taken");
    assert_eq!(a.client().get(&id).await.state(), State::Succeeded);
    drop((held, other, next));
    a.stop().await;
    b.stop().await;
}

async fn lines_that_were_kept_are_not_refused_although_their_job_has_moved_on(store: Shared) {
    let a = setup(store).start().await;
    let b = a.beside().await;
    let id = a.client().create(spec("sync")).await.id;
    let held = held_by_a_worker(&a).await;
    a.faults.plan(Fault::StoreLost, |batch| !batch.logs.is_empty());
    let seq = held.send(Report::Logs(v1::LogBatch { entries: lines(["in time"]) }));
    eventually(SOON, "the commit is lost", async || a.faults.happened()).await;
    // Until the first server has its store again, its lease is over and the job waits anew.
    b.client().cancel(&id, Some(0.0)).await.expect("at once");
    b.client().retry(&id, false).await.expect("again");
    a.faults.set(Weather::Fair);
    held.worker.settled(seq).await.expect("they were kept");
    let query = v1::ListJobLogsRequest { job_id: id, ..v1::ListJobLogsRequest::default() };
    assert_eq!(b.client().logs(query).await.entries.len(), 1);
    let refused = held.log(lines(["late"])).await.expect_err("its lease is over");
    assert_eq!(refused.reason, "STALE_LEASE");
    drop(held);
    a.stop().await;
    b.stop().await;
}

async fn a_server_that_lost_its_store_sends_its_workers_on(store: Shared) {
    let a = setup(store).start().await;
    let b = a.beside().await;
    let id = a.client().create(spec("sync")).await.id;
    let worker = a.worker("w1").lease(10.0).connect().await;
    let held = worker.expect_assignment().await;
    a.faults.set(Weather::Failing);
    let reconnect = worker.expect("to attach elsewhere", |message| match message {
        Message::Reconnect(reconnect) => Some(*reconnect),
        _ => None,
    });
    reconnect.await;
    let ended = Refusal::of(&worker.end().await.expect_err("its stream is over"));
    assert_eq!(ended.reason, "STORE_UNAVAILABLE");
    let again = b.worker("w1").same_process_as(&worker).has(&id, held.epoch).connect().await;
    assert_eq!(again.welcome.adopted.len(), 1, "well within its lease");
    let readiness = a.http_get("/readyz").await;
    assert!(readiness.starts_with("HTTP/1.1 503"), "{readiness}");
    let readiness = b.http_get("/readyz").await;
    assert!(readiness.starts_with("HTTP/1.1 200"), "{readiness}");
    a.faults.set(Weather::Fair);
    let a = Arc::new(a);
    eventually(SOON, "it is ready again", || {
        let a = Arc::clone(&a);
        async move { a.http_get("/readyz").await.starts_with("HTTP/1.1 200") }
    })
    .await;
    drop((worker, held, again));
    Arc::into_inner(a).expect("nobody else asks").stop().await;
    b.stop().await;
}
