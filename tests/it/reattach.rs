//! Streams that break and workers that come back.

use jobplane::proto::v1;
use jobplane::proto::v1::JobState as State;
use jobplane::proto::v1::report_progress_request::update::{Failed, Report, Succeeded};
use tonic::Code;

use crate::harness::{JobFacts as _, Refusal, Server, spec};

fn succeeded() -> Report {
    Report::Succeeded(Succeeded::default())
}

#[tokio::test]
async fn a_worker_that_attaches_again_goes_on_with_what_it_names() {
    let server = Server::start().await;
    let client = server.client();
    let worker = server.worker("w1").slots(2).connect().await;
    let (kept, left) = (client.create(spec("sync")).await.id, client.create(spec("sync")).await.id);
    let held = [worker.expect_assignment().await, worker.expect_assignment().await];
    let held = held.iter().find(|held| held.id == kept).expect("the job").clone();
    held.clone().progress(30.0).await;

    let again = server.worker("w1").same_process_as(&worker).slots(1).has(&kept, 1).has(&left, 7);
    let again = again.connect().await;
    let adopted: Vec<_> = again.welcome.adopted.iter().map(|job| &job.job_id).collect();
    assert_eq!(adopted, [&kept]);
    let revoked: Vec<_> =
        again.welcome.revoked.iter().map(|job| (&job.job_id, job.lease_epoch)).collect();
    assert_eq!(revoked, [(&left, 7)], "an epoch that is not in force");
    let ended = Refusal::of(&worker.end().await.expect_err("the older stream is over"));
    assert_eq!((ended.code, ended.reason.as_str()), (Code::Aborted, "SESSION_SUPERSEDED"));

    // What was not named is released: no attempt is used.
    let released = client.until(&left, |job| job.state() == State::Pending).await;
    assert_eq!(released.status().attempt, 0);
    let job = client.get(&kept).await;
    assert_eq!(
        (job.state(), job.percent(), job.status().lease_epoch),
        (State::Running, Some(30.0), 1)
    );
    let seq = again.update(&kept, 1, succeeded());
    again.settled(seq).await.expect("taken");
    assert_eq!(client.get(&kept).await.state(), State::Succeeded);
    server.stop().await;
}

#[tokio::test]
async fn an_adopted_job_that_was_asked_to_stop_says_so() {
    let server = Server::start().await;
    let id = server.client().create(spec("sync")).await.id;
    let worker = server.worker("w1").connect().await;
    worker.expect_assignment().await;
    worker.cut();
    server.client().cancel(&id, None).await.expect("asked");
    let again = server.worker("w1").same_process_as(&worker).has(&id, 1).connect().await;
    let cancel = again.welcome.adopted[0].cancel_request.as_ref().expect("the wish");
    assert_eq!(cancel.reason, "enough");
    server.stop().await;
}

#[tokio::test]
async fn an_outcome_sent_again_is_acked_and_another_one_is_stale() {
    let server = Server::start().await;
    let client = server.client();
    let worker = server.worker("w1").connect().await;
    let id = client.create(spec("sync")).await.id;
    let held = worker.expect_assignment().await;
    // The ack is lost with the connection.
    let seq = held.send(succeeded());
    let job = client.until(&id, |job| job.state() == State::Succeeded).await;
    worker.cut();

    let again = server.worker("w1").same_process_as(&worker).has(&id, 1).connect().await;
    assert!(again.welcome.adopted.is_empty() && again.welcome.revoked.is_empty());
    again.update_as(seq, &id, 1, succeeded());
    again.settled(seq).await.expect("known");
    let other = again.update(&id, 1, Report::Failed(Failed::default()));
    let refused = again.settled(other).await.expect_err("another outcome");
    assert_eq!((refused.code, refused.reason.as_str()), (Code::Aborted, "STALE_LEASE"));
    assert_eq!(client.get(&id).await.status().revision, job.status().revision);
    server.stop().await;
}

#[tokio::test]
async fn an_outcome_of_an_older_epoch_is_known_from_the_history() {
    let server = Server::start().await;
    let client = server.client();
    let worker = server.worker("w1").connect().await;
    let id = client.create(spec("sync")).await.id;
    let held = worker.expect_assignment().await;
    let wait = v1::report_progress_request::update::Failed {
        retry_delay: Some(prost_types::Duration::default()),
        ..Failed::default()
    };
    let seq = held.send(Report::Failed(wait.clone()));
    let second = worker.expect_assignment().await;
    assert_eq!((&second.id, second.epoch), (&id, 2));
    worker.cut();
    let again = server.worker("w1").same_process_as(&worker).has(&id, 2).connect().await;
    again.update_as(seq, &id, 1, Report::Failed(wait));
    again.settled(seq).await.expect("known");
    let other = again.update(&id, 1, succeeded());
    assert_eq!(again.settled(other).await.expect_err("another").reason, "STALE_LEASE");
    assert_eq!(client.get(&id).await.status().lease_epoch, 2);
    server.stop().await;
}

#[tokio::test]
async fn goodbye_releases_what_is_still_held() {
    let server = Server::start().await;
    let client = server.client();
    let worker = server.worker("w1").slots(2).connect().await;
    let ids = [client.create(spec("sync")).await.id, client.create(spec("sync")).await.id];
    let held = [worker.expect_assignment().await, worker.expect_assignment().await];
    held[0].succeed().await.expect("taken");
    worker.goodbye().await.expect("ends well");
    let next = server.worker("w2").connect().await.expect_assignment().await;
    assert!(ids.contains(&next.id) && next.id == held[1].id);
    assert_eq!((next.epoch, next.job.status().attempt), (2, 1));
    server.stop().await;
}

#[tokio::test]
async fn last_words_before_a_closed_stream_are_acked() {
    let server = Server::start().await;
    let worker = server.worker("w1").connect().await;
    let id = server.client().create(spec("sync")).await.id;
    let held = worker.expect_assignment().await;
    let seq = held.send(succeeded());
    worker.close();
    worker.settled(seq).await.expect("taken");
    worker.end().await.expect("ends well");
    assert_eq!(server.client().get(&id).await.state(), State::Succeeded);
    server.stop().await;
}

#[tokio::test]
async fn two_processes_of_one_name_do_not_touch_each_other() {
    let server = Server::start().await;
    let client = server.client();
    let first = server.worker("pod").connect().await;
    let id = client.create(spec("sync")).await.id;
    let held = first.expect_assignment().await;
    let second = server.worker("pod").connect().await;
    client.create(spec("sync")).await;
    second.expect_assignment().await;
    held.succeed().await.expect("taken");
    assert_eq!(client.get(&id).await.state(), State::Succeeded);
    assert_eq!(client.workers().await.len(), 2);
    server.stop().await;
}

#[tokio::test]
async fn a_job_that_another_process_names_is_taken_from_the_first_and_both_are_told() {
    let server = Server::start().await;
    let id = server.client().create(spec("sync")).await.id;
    let first = server.worker("w1").connect().await;
    first.expect_assignment().await;
    let second = server.worker("w2").slots(0).has(&id, 1).connect().await;
    assert_eq!(second.welcome.adopted[0].job_id, id);
    let revoked = first.expect_revoke().await;
    assert_eq!((revoked.job_id.as_str(), revoked.lease_epoch), (id.as_str(), 1));
    let other = server.client().create(spec("sync")).await.id;
    assert_eq!(first.expect_assignment().await.id, other, "its slot is free again");
    server.stop().await;
}

#[tokio::test]
async fn a_worker_that_comes_while_all_are_sent_away_is_sent_away() {
    let server = Server::start().await;
    let before = server.worker("w1").connect().await;
    server.engine().sessions().reconnect_all(std::time::Duration::ZERO);
    let after = server.worker("w2").connect_unwelcomed().await;
    for worker in [before, after] {
        let ended = Refusal::of(&worker.end().await.expect_err("sent away"));
        assert_eq!((ended.code, ended.reason.as_str()), (Code::Unavailable, "SERVER_DRAINING"));
    }
    server.stop().await;
}
