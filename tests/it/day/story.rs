//! At the end of the day: what is told of it and who did what, each once and in full.

use std::collections::BTreeMap;

use jobplane::proto::v1;
use jobplane::proto::v1::JobState as State;

use super::model::{Deed, IsOver as _, Model, What};
use crate::harness::Client;

/// Whoever does not say who it is.
const OPERATOR: &str = "anonymous";

/// Events and audit of the day.
pub async fn check(client: &Client, model: &Model) {
    check_events(client, model).await;
    check_audit(client, model).await;
}

/// Each end of a job that is no success is told, once.
async fn check_events(client: &Client, model: &Model) {
    let names = ["job_failed", "job_cancelled", "job_skipped"].map(ToOwned::to_owned);
    let mut told: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut request =
        v1::ListEventsRequest { names: names.into(), page_size: 100, ..Default::default() };
    loop {
        let answer = client.admin.clone().list_events(request.clone()).await;
        let page = answer.expect("a page").into_inner();
        for event in page.events {
            *told.entry((event.name, event.r#type)).or_default() += 1;
        }
        request.after_id = page.next_id;
        if !page.more {
            break;
        }
    }
    let mut happened: BTreeMap<(String, String), usize> = BTreeMap::new();
    for one in &model.happened {
        let name = match one.what {
            What::Failed => "job_failed",
            What::Cancelled => "job_cancelled",
            What::Skipped => "job_skipped",
            What::Created | What::Started | What::AttemptEnded | What::Succeeded => continue,
        };
        *happened.entry((name.to_owned(), one.job_type.clone())).or_default() += 1;
    }
    assert_eq!(told, happened);
}

/// Who did what to what, and why: all that the operator did, each deed once, and nothing else.
pub async fn check_audit(client: &Client, model: &Model) {
    let (mut told, mut page_token) = (Vec::new(), String::new());
    loop {
        let request =
            v1::ListAuditEventsRequest { page_size: 100, page_token, ..Default::default() };
        let answer = client.admin.clone().list_audit_events(request).await;
        let page = answer.expect("a page").into_inner();
        told.extend(page.events.iter().map(deed));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let mut did = model.deeds.clone();
    told.sort();
    did.sort();
    assert_eq!(told, did);
}

fn deed(event: &v1::AuditEvent) -> Deed {
    assert_eq!(event.actor, OPERATOR, "{event:?}");
    let after = |name: &str| event.after.get(name).cloned().unwrap_or_default();
    let is_of_job = !event.job_id.is_empty();
    // What came of it for a job.
    match event.action.as_str() {
        "cancel_job" => assert_eq!(after("state"), "CANCELLED", "{event:?}"),
        "retry_job" => assert_eq!(after("state"), "PENDING", "{event:?}"),
        "sweep_stuck_jobs" if is_of_job => {
            assert_eq!(after("cancel_request.cause"), "STUCK", "{event:?}");
        }
        "delete_job" => {
            let before = State::from_str_name(&format!("JOB_STATE_{}", event.before["state"]));
            assert!(before.is_some_and(|before| before.is_over()), "{event:?}");
            assert!(event.after.is_empty(), "{event:?}");
        }
        _ => {}
    }
    let to = match event.action.as_str() {
        "update_queue" => event.queue.clone(),
        "put_job_type" => event.r#type.clone(),
        "purge_jobs" => after("jobs"),
        _ if is_of_job => event.job_id.clone(),
        _ => after("count"),
    };
    // Why a queue is paused is part of how it stands.
    let reason =
        if event.action == "update_queue" { after("pause_reason") } else { event.reason.clone() };
    Deed { action: event.action.clone(), to, reason }
}
