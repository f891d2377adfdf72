//! What people read.

use super::*;
use crate::proto::v1::explain_job_response::{Action, Reason};

#[test]
fn reasons_come_with_what_they_are_about_and_actions_with_what_stands_against_them() {
    let answer = ExplainJobResponse {
        summary: "PENDING: queue is paused".to_owned(),
        reasons: vec![Reason {
            code: "QUEUE_PAUSED".to_owned(),
            message: "queue\u{1b}[2J is paused".to_owned(),
            ids: vec!["a".to_owned(), "b".to_owned()],
            until: Some(prost_types::Timestamp::default()),
        }],
        next_run_time: None,
        actions: vec![
            Action { name: "cancel".to_owned(), allowed: true, why_not: String::new() },
            Action { name: "delete".to_owned(), allowed: false, why_not: "it waits".to_owned() },
        ],
    };
    let lines = lines(&answer);
    assert_eq!(lines[0], "PENDING: queue is paused");
    assert!(lines[1].starts_with("  QUEUE_PAUSED: queue") && !lines[1].contains('\u{1b}'));
    assert!(lines[1].contains("(a, b); until "), "{}", lines[1]);
    assert_eq!(lines[2..], ["  can cancel", "  cannot delete: it waits"]);
}
