//! Acks and rejects of a worker's stream.

use jobplane::proto::v1;
use jobplane::proto::v1::report_progress_request::update::{Report, Succeeded};
use tonic::Code;

use crate::harness::{
    Message, Refusal, SOON, Server, Weather, Worker, eventually, lines, percent, spec,
};

fn logs<T: ToString>(messages: impl IntoIterator<Item = T>) -> Report {
    Report::Logs(v1::LogBatch { entries: lines(messages) })
}

fn acks(worker: &Worker) -> Vec<i64> {
    let acks = worker.told().into_iter().filter_map(|told| match told {
        Message::Ack(ack) => Some(ack.through_seq),
        _ => None,
    });
    acks.collect()
}

fn rejects(worker: &Worker) -> Vec<(i64, Refusal)> {
    let rejects = worker.told().into_iter().filter_map(|told| match told {
        Message::Reject(reject) => {
            Some((reject.seq, Refusal::of_message(&reject.error.expect("why"))))
        }
        _ => None,
    });
    rejects.collect()
}

#[tokio::test]
async fn acks_are_cumulative_and_a_reject_comes_before_the_ack_that_covers_it() {
    let server = Server::start().await;
    let worker = server.worker("w1").connect().await;
    server.client().create(spec("sync")).await;
    let held = worker.expect_assignment().await;
    let nobody = "0197b8a0-0000-7000-8000-000000000000";
    let mut wrong = Vec::new();
    for round in 0..50 {
        held.send(Report::Progress(percent(f64::from(round))));
        held.send(logs([round]));
        wrong.push(held.send(Report::Progress(percent(101.0))));
        wrong.push(worker.update(nobody, 1, Report::Progress(percent(1.0))));
        wrong.push(worker.update(&held.id, 9, logs(["stale"])));
    }
    let last = held.send(Report::Succeeded(Succeeded::default()));
    worker.settled(last).await.expect("taken");

    assert!(acks(&worker).is_sorted(), "{:?}", acks(&worker));
    for seq in &wrong {
        worker.settled(*seq).await.expect_err("rejected before its ack");
    }
    let mut rejected = rejects(&worker);
    rejected.sort_by_key(|(seq, _)| *seq);
    assert_eq!(rejected.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), wrong);
    let reasons: Vec<_> = rejected[..3].iter().map(|(_, why)| why.reason.as_str()).collect();
    assert_eq!(reasons, ["INVALID_FIELD", "JOB_NOT_FOUND", "STALE_LEASE"]);
    server.stop().await;
}

#[tokio::test]
async fn what_was_acked_is_acked_again_and_not_applied() {
    let server = Server::start().await;
    let worker = server.worker("w1").connect().await;
    let id = server.client().create(spec("sync")).await.id;
    let held = worker.expect_assignment().await;
    held.log(lines(["once"])).await.expect("taken");
    held.report(percent(10.0)).await.expect("taken");
    let before = acks(&worker).len();
    worker.update_as(1, &id, held.epoch, logs(["once"]));
    eventually(SOON, "it is acked again", || async { acks(&worker).len() > before }).await;
    assert_eq!(acks(&worker).last(), Some(&2));
    assert_eq!(rejects(&worker).len(), 0);
    let request = v1::ListJobLogsRequest { job_id: id, ..v1::ListJobLogsRequest::default() };
    assert_eq!(server.client().logs(request).await.entries.len(), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_log_batch_sent_again_on_a_new_stream_is_kept_once() {
    let server = Server::start().await;
    let worker = server.worker("w1").connect().await;
    let id = server.client().create(spec("sync")).await.id;
    let held = worker.expect_assignment().await;
    held.log(lines(["a", "b"])).await.expect("taken");
    worker.cut();
    let again = server.worker("w1").same_process_as(&worker).has(&id, 1).connect().await;
    again.update_as(1, &id, 1, logs(["a", "b"]));
    again.settled(1).await.expect("known");
    let next = again.update(&id, 1, logs(["c"]));
    again.settled(next).await.expect("taken");
    let request = v1::ListJobLogsRequest { job_id: id, ..v1::ListJobLogsRequest::default() };
    let kept = server.client().logs(request).await.entries;
    assert_eq!(kept.iter().map(|line| line.message.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    server.stop().await;
}

#[tokio::test]
async fn too_many_updates_in_flight_are_rejected_and_outcomes_are_taken() {
    let server = Server::start().await;
    let worker = server.worker("w1").slots(2).connect().await;
    for _ in 0..2 {
        server.client().create(spec("sync")).await;
    }
    let held = [worker.expect_assignment().await, worker.expect_assignment().await];
    server.faults.set(Weather::Hanging);
    let most = usize::try_from(worker.welcome.max_unacked_updates).expect("a bound");
    for number in 0..most {
        held[0].send(logs([number]));
    }
    let over = held[0].send(logs(["one too many"]));
    let outcome = held[1].send(Report::Succeeded(Succeeded::default()));
    let refused = worker.expect("a reject", |told| match told {
        Message::Reject(reject) => {
            reject.error.as_ref().map(|e| (reject.seq, Refusal::of_message(e)))
        }
        _ => None,
    });
    let (seq, refused) = refused.await;
    assert_eq!((seq, refused.code), (over, Code::ResourceExhausted));
    assert_eq!(refused.reason, "RATE_LIMITED");
    assert!(refused.retry_after.is_some(), "it says when to try again: {refused:?}");

    server.faults.set(Weather::Fair);
    worker.settled(outcome).await.expect("taken");
    assert_eq!(rejects(&worker).len(), 1);
    held[0].log(lines(["there is room again"])).await.expect("taken");
    server.stop().await;
}

#[tokio::test]
async fn too_many_bytes_in_flight_are_rejected() {
    let server = Server::start().await;
    let worker = server.worker("w1").connect().await;
    server.client().create(spec("sync")).await;
    let held = worker.expect_assignment().await;
    server.faults.set(Weather::Hanging);
    let batch = || logs(vec!["x".repeat(8_000); 7]);
    let most = usize::try_from(worker.welcome.max_unacked_bytes).expect("a bound");
    let fitting = most / (7 * 8_000);
    let sent: Vec<i64> = (0..fitting + 2).map(|_| held.send(batch())).collect();
    eventually(SOON, "the excess is rejected", || async { !rejects(&worker).is_empty() }).await;
    assert!(rejects(&worker)[0].0 >= sent[fitting - 1], "not before the bound");
    assert_eq!(rejects(&worker)[0].1.code, Code::ResourceExhausted);
    server.faults.set(Weather::Fair);
    held.succeed().await.expect("taken");
    server.stop().await;
}

#[tokio::test]
async fn numbers_that_go_back_are_rejected_and_the_stream_goes_on() {
    let server = Server::start().await;
    let worker = server.worker("w1").connect().await;
    server.client().create(spec("sync")).await;
    let held = worker.expect_assignment().await;
    server.faults.set(Weather::Hanging);
    worker.update_as(10, &held.id, 1, logs(["ten"]));
    worker.update_as(5, &held.id, 1, logs(["five"]));
    worker.update_as(0, &held.id, 1, logs(["none"]));
    eventually(SOON, "both are rejected", || async { rejects(&worker).len() == 2 }).await;
    server.faults.set(Weather::Fair);
    assert!(rejects(&worker).iter().all(|(_, why)| why.reason == "INVALID_FIELD"));
    worker.update_as(11, &held.id, 1, Report::Succeeded(Succeeded::default()));
    worker.settled(11).await.expect("taken");
    server.stop().await;
}

#[tokio::test]
async fn what_is_sent_again_before_its_ack_is_acked_once_it_is_applied() {
    let server = Server::start().await;
    let worker = server.worker("w1").connect().await;
    let id = server.client().create(spec("sync")).await.id;
    let held = worker.expect_assignment().await;
    server.faults.set(Weather::Hanging);
    let first = held.send(logs(["one"]));
    held.send(Report::Progress(percent(5.0)));
    let last = held.send(Report::Succeeded(Succeeded::default()));
    worker.update_as(first, &id, held.epoch, logs(["one"]));
    worker.update_as(last, &id, held.epoch, Report::Succeeded(Succeeded::default()));
    worker.heartbeat();
    server.faults.set(Weather::Fair);
    worker.settled(last).await.expect("taken");
    assert!(rejects(&worker).is_empty(), "{:?}", rejects(&worker));
    let request = v1::ListJobLogsRequest { job_id: id, ..v1::ListJobLogsRequest::default() };
    assert_eq!(server.client().logs(request).await.entries.len(), 1);
    server.stop().await;
}
