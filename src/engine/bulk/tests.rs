//! What becomes of jobs that move on while a command is under way.

use std::sync::Arc;

use super::{Asked, Row, key};
use crate::auth::Caller;
use crate::domain::bulk::{BulkAction, BulkAsk, BulkOutcome};
use crate::domain::job_type::Draft;
use crate::domain::limits::CANCEL_GRACE_DEFAULT;
use crate::domain::{Job, JobFilter, JobId, JobSpec, JobType, QueueName, StateKind};
use crate::engine::bulk::BulkWish;
use crate::engine::pipeline::{RuleChange, RulesChanged, Seen, Work};
use crate::engine::schedule::tests::{Server, create, name, server};
use crate::engine::{CreateJob, Started};
use crate::store::RuleWrite;
use crate::store::memory::MemoryStore;

const CANCEL: BulkAction = BulkAction::Cancel { grace: CANCEL_GRACE_DEFAULT };

fn cancel_of_pending() -> BulkWish {
    let filter = JobFilter {
        types: vec![name("sync")],
        states: vec![StateKind::Pending],
        ..JobFilter::default()
    };
    let ask = BulkAsk {
        action: CANCEL,
        filter,
        reason: String::new(),
        expected_max: 10,
        rate: 0.0,
        requested_by: "ann".to_owned(),
        validate_only: false,
    };
    BulkWish { ask, payload: None, request: None }
}

/// Cancelled and opened again: the same state, and another job than was seen.
async fn moved_on(server: &Server, job: &Job) {
    let caller = Caller::anonymous();
    server.cancel(&caller, job.id, String::new(), None).await.expect("cancelled");
    server.retry(&caller, job.id, None, false, String::new()).await.expect("opened");
}

async fn state(server: &Server, job_id: JobId) -> StateKind {
    server.find(job_id).await.expect("an answer").expect("there").status.kind()
}

/// A command that was begun, with its row.
async fn begun(server: &Server) -> (JobId, i64, Row) {
    let begun = server.bulk(&Caller::anonymous(), cancel_of_pending()).await.expect("begun");
    let job_id = begun.job.expect("a job").id;
    let (revision, row) = server.bulk_row(job_id).await.expect("an answer").expect("a row");
    (job_id, revision, row)
}

#[tokio::test(start_paused = true)]
async fn jobs_that_stand_otherwise_than_they_were_seen_are_left_out_and_named() {
    let server = server(&Arc::new(MemoryStore::new()));
    let caller = Caller::anonymous();
    let (stays, moves) = (create(&server, "sync").await, create(&server, "sync").await);
    let (over, again) = (create(&server, "sync").await, create(&server, "sync").await);
    let mut deletes = Vec::new();
    for job in [&over, &again] {
        let job = server.cancel(&caller, job.id, String::new(), None).await.expect("cancelled");
        deletes.push(Seen::of(&job));
    }
    server.retry(&caller, again.id, None, false, String::new()).await.expect("opened");
    server.cancel(&caller, again.id, String::new(), None).await.expect("cancelled");
    moved_on(&server, &moves).await;
    let (job_id, revision, row) = begun(&server).await;
    let command = || CANCEL.command("", "ann").expect("a command");
    let change = Box::new(RuleChange {
        writes: vec![RuleWrite::put(key(job_id), revision, &row).expect("a row")],
        commands: [&stays, &moves].map(|job| (Seen::of(job), command())).to_vec(),
        deletes,
        ..RuleChange::default()
    });
    let answer = server.pipeline.ask(|reply| Work::Rules { change, reply }).await;
    let missed = vec![moves.id, again.id];
    assert_eq!(answer.expect("done"), RulesChanged::Done { creates: Vec::new(), missed });
    assert_eq!(state(&server, stays.id).await, StateKind::Cancelled);
    assert_eq!(state(&server, moves.id).await, StateKind::Pending);
    assert_eq!(state(&server, again.id).await, StateKind::Cancelled);
    assert!(server.find(over.id).await.expect("an answer").is_none());
}

/// A job that this server runs, without a row.
async fn started(server: &Server) -> Job {
    let (job_type, queue) = (JobType::bulk(), QueueName::bulk());
    let draft = Draft { started: true, ..Draft::new(JobSpec::new(job_type, queue)) };
    let create = CreateJob { draft, request: None, validate_only: false };
    match server.start(server.bulk_waiter(), create).await {
        Ok(Started::Assigned(bulk)) => bulk.job,
        _ => panic!("not started"),
    }
}

#[tokio::test(start_paused = true)]
async fn who_goes_on_asks_those_anew_that_may_not_have_heard() {
    let server = server(&Arc::new(MemoryStore::new()));
    let (done, deaf) = (create(&server, "sync").await, create(&server, "sync").await);
    let (moves, gone) = (create(&server, "sync").await, create(&server, "sync").await);
    let opened = create(&server, "sync").await;
    let (_, _, mut row) = begun(&server).await;
    let bulk = started(&server).await;
    // As if a step had asked all of them, and its server had died.
    for job in [&opened, &gone, &moves, &deaf, &done] {
        row.state.record(job.id, BulkOutcome::Changed);
        row.asked.push(Asked { seen: Seen::of(job), over: false });
    }
    let change = Box::new(RuleChange {
        writes: vec![RuleWrite::put(key(bulk.id), 0, &row).expect("a row")],
        commands: vec![(Seen::of(&opened), CANCEL.command("", "ann").expect("a command"))],
        deed: Some(row.spec.deeds().1),
        ..RuleChange::default()
    });
    server.pipeline.ask(|reply| Work::Rules { change, reply }).await.expect("written");
    assert_eq!(state(&server, opened.id).await, StateKind::Cancelled);
    let caller = Caller::anonymous();
    server.cancel(&caller, done.id, String::new(), None).await.expect("cancelled");
    server.cancel(&caller, gone.id, String::new(), None).await.expect("cancelled");
    server.delete(&caller, gone.id).await.expect("deleted");
    moved_on(&server, &moves).await;
    server.retry(&caller, opened.id, None, false, String::new()).await.expect("opened");
    server.run_bulk_job(bulk.clone()).await;
    assert_eq!(state(&server, bulk.id).await, StateKind::Succeeded);
    for job in [&done, &deaf, &moves] {
        assert_eq!(state(&server, job.id).await, StateKind::Cancelled);
    }
    // It heard, and was opened by a later decision.
    assert_eq!(state(&server, opened.id).await, StateKind::Pending);
    let bulk = server.find(bulk.id).await.expect("an answer").expect("there");
    let told = "cancel: 3 done, 2 had nothing to do, 0 refused";
    assert_eq!(bulk.status.progress.message, told);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_cannot_be_read_fails() {
    let server = server(&Arc::new(MemoryStore::new()));
    let bulk = started(&server).await;
    let writes =
        vec![RuleWrite { key: key(bulk.id), expected_revision: 0, body: Some(vec![0xc1]) }];
    let change = Box::new(RuleChange { writes, ..RuleChange::default() });
    server.pipeline.ask(|reply| Work::Rules { change, reply }).await.expect("written");
    server.run_bulk_job(bulk.clone()).await;
    let bulk = server.find(bulk.id).await.expect("an answer").expect("there");
    assert_eq!(bulk.status.kind(), StateKind::Failed);
    assert_eq!(bulk.status.error.expect("an error").code, "UNREADABLE");
}
