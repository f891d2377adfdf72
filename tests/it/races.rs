//! Commits whose answer comes late, and what is decided meanwhile.

use std::time::Duration;

use jobplane::proto::v1::JobState as State;
use jobplane::store::{Batch, SessionWrite};

use crate::harness::{Fault, JobFacts as _, Message, SOON, Server, Worker, eventually, spec};

fn starts(batch: &Batch) -> bool {
    batch.writes.iter().any(|write| write.job.status.session().is_some())
}

fn opens(batch: &Batch) -> bool {
    batch.sessions.iter().any(|write| matches!(write, SessionWrite::Open(_)))
}

/// What it was told about jobs, in order.
fn of_jobs(worker: &Worker) -> Vec<Message> {
    let told = worker.told().into_iter();
    told.filter(|told| {
        matches!(told, Message::Assignment(_) | Message::CancelRequest(_) | Message::Revoke(_))
    })
    .collect()
}

#[tokio::test]
async fn a_cancel_that_comes_before_its_job_was_handed_out_is_told_after_it() {
    let server = Server::start().await;
    let client = server.client();
    let worker = server.worker("w1").connect().await;
    server.faults.plan(Fault::AnswerHeld, starts);
    let id = client.create(spec("sync")).await.id;
    client.until(&id, |job| job.state() == State::Running).await;
    client.cancel(&id, None).await.expect("asked");
    server.faults.answer();
    let held = worker.expect_assignment().await;
    assert_eq!(worker.expect_cancel().await.job_id, id);
    let told = of_jobs(&worker);
    assert!(matches!(told[..], [Message::Assignment(_), Message::CancelRequest(_)]), "{told:?}");
    held.cancelled().await.expect("taken");
    server.stop().await;
}

#[tokio::test]
async fn a_job_that_ended_before_it_was_handed_out_never_is_and_takes_no_slot() {
    let server = Server::start().await;
    let client = server.client();
    let worker = server.worker("w1").connect().await;
    server.faults.plan(Fault::AnswerHeld, starts);
    let dead = client.create(spec("sync")).await.id;
    client.until(&dead, |job| job.state() == State::Running).await;
    let job = client.cancel(&dead, Some(0.0)).await.expect("cancelled");
    assert_eq!(job.state(), State::Cancelled);
    server.faults.answer();
    let id = client.create(spec("sync")).await.id;
    assert_eq!(worker.expect_assignment().await.id, id);
    let told = of_jobs(&worker);
    assert!(matches!(told[..], [Message::Assignment(_)]), "{told:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_start_that_misses_its_guard_takes_no_slot() {
    let server = Server::start().await;
    let client = server.client();
    let worker = server.worker("w1").connect().await;
    for fault in [Fault::GuardsMissed, Fault::Refused] {
        server.faults.plan(fault, starts);
        let id = client.create(spec("sync")).await.id;
        let held = worker.expect_assignment().await;
        assert_eq!(held.id, id, "{fault:?}");
        held.succeed().await.expect("taken");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_stream_that_ends_while_its_session_is_opened_again_is_not_attached() {
    let server = Server::start().await;
    let worker = server.worker("w1").slots(0).connect().await;
    let open = server.open_sessions().await;
    server.faults.plan(Fault::AnswerHeld, opens);
    let lapse = |id| SessionWrite::Shorten { id, keep: Duration::ZERO };
    server.change_sessions(open.into_iter().map(lapse).collect()).await;
    eventually(SOON, "traffic opens another", || async {
        worker.heartbeat();
        server.faults.happened()
    })
    .await;
    let tasks = server.engine().tasks().running();
    worker.cut();
    eventually(SOON, "its stream is over", || async { server.engine().tasks().running() < tasks })
        .await;
    server.faults.answer();
    eventually(SOON, "the session is open", || async { !server.open_sessions().await.is_empty() })
        .await;
    let created = server.client().create(spec("sync")).await;
    assert_eq!(server.engine().sessions().count(), 0, "after {}", created.id);
    server.stop().await;
}

#[tokio::test]
async fn a_cancel_in_the_moment_of_a_reattach_reaches_the_worker() {
    let server = Server::start().await;
    let client = server.client();
    let id = client.create(spec("sync")).await.id;
    let worker = server.worker("w1").connect().await;
    worker.expect_assignment().await;
    worker.cut();
    server.faults.plan(Fault::AnswerHeld, opens);
    let again = server.worker("w1").same_process_as(&worker).has(&id, 1);
    let (again, asked) = tokio::join!(again.connect(), async {
        eventually(SOON, "the session is opened", || async { server.faults.happened() }).await;
        let cancel = client.cancel(&id, None);
        let (asked, ()) = tokio::join!(cancel, async { server.faults.answer() });
        asked
    });
    asked.expect("asked");
    assert_eq!(again.welcome.adopted.len(), 1);
    assert_eq!(again.expect_cancel().await.job_id, id);
    server.stop().await;
}
