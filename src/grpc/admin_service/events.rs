//! ListEvents and ListAuditEvents.

use tonic::Status;

use crate::auth::Caller;
use crate::domain::audit::AuditAction;
use crate::domain::ids::JobType;
use crate::domain::limits::{PAGE_SIZE_MAX, TEXT_BYTES_MAX};
use crate::domain::validate::Violations;
use crate::domain::{JobId, Timestamp};
use crate::engine::Engine;
use crate::proto::v1;
use crate::store::{AuditQuery, EventQuery, EventsFrom, StoredAudit};

use super::super::convert::{Path, event, filter, ids, names, number, text};
use super::super::status::{invalid, to_status};
use super::super::{event_cursor, page_token};

/// What a place that is none is told.
const NO_PLACE: &str = "must be the next_id of an answer about the same database, whole";

pub(super) async fn events(
    engine: &Engine,
    caller: &Caller,
    request: v1::ListEventsRequest,
) -> Result<v1::ListEventsResponse, Status> {
    let store = engine.origin().await.map_err(to_status)?.store;
    let mut wrong = Violations::default();
    let names = event::event_names(&request.names, "names", &mut wrong);
    let types = names::types(&request.types, "types", &mut wrong);
    let page_size = number::page_size(request.page_size, "page_size", &mut wrong);
    let from = match (request.after_id.as_str(), request.tail) {
        ("", None) => Some(EventsFrom::Oldest),
        ("", Some(tail)) => last(tail, &mut wrong),
        (_, Some(_)) => {
            wrong.add("tail", "must not be set with after_id, which says where to go on");
            None
        }
        (after, None) => {
            let cursor = event_cursor::from_id(after, store).map(EventsFrom::After);
            wrong.check(cursor.is_some(), "after_id", || NO_PLACE.to_owned());
            cursor
        }
    };
    let (Some(names), Some(types), Some(page_size), Some(from)) = (names, types, page_size, from)
    else {
        return Err(invalid(wrong));
    };
    let limit = if matches!(from, EventsFrom::Last(_)) { PAGE_SIZE_MAX } else { page_size };
    let query = EventQuery { names, types, from, limit };
    let Some(page) = engine.events(caller, query).await.map_err(to_status)? else {
        wrong.add("after_id", NO_PLACE);
        return Err(invalid(wrong));
    };
    Ok(v1::ListEventsResponse {
        events: page.events.iter().map(event::to_proto).collect(),
        next_id: event_cursor::to_id(&page.cursor, store),
        more: page.more,
    })
}

fn last(tail: i32, wrong: &mut Violations) -> Option<EventsFrom> {
    let count = usize::try_from(tail).ok().filter(|count| *count <= PAGE_SIZE_MAX);
    wrong
        .check(count.is_some(), "tail", || format!("must be from 0 to {PAGE_SIZE_MAX}, is {tail}"));
    count.map(EventsFrom::Last)
}

/// Which deeds, and how many.
struct Wanted {
    actor: Option<String>,
    job_id: Option<JobId>,
    job_type: Option<JobType>,
    actions: Vec<AuditAction>,
    time_after: Option<Timestamp>,
    time_before: Option<Timestamp>,
    page_size: usize,
}

fn wanted(request: &v1::ListAuditEventsRequest) -> Result<Wanted, Status> {
    let mut wrong = Violations::default();
    text::key(&request.actor, TEXT_BYTES_MAX, Path::root("actor"), &mut wrong);
    let actor = (!request.actor.is_empty()).then(|| request.actor.clone());
    let job_id = match request.job_id.as_str() {
        "" => None,
        id => ids::job_id(id, "job_id", &mut wrong),
    };
    let job_type = match request.r#type.as_str() {
        "" => None,
        name => wrong.take("type", JobType::new(name)),
    };
    let actions = event::actions(&request.actions, "actions", &mut wrong);
    let range = filter::range(
        (request.time_after, Path::root("time_after")),
        (request.time_before, Path::root("time_before")),
        &mut wrong,
    );
    let page_size = number::page_size(request.page_size, "page_size", &mut wrong);
    match (actions, page_size) {
        (Some(actions), Some(page_size)) if wrong.is_empty() => Ok(Wanted {
            actor,
            job_id,
            job_type,
            actions,
            time_after: range.after,
            time_before: range.before,
            page_size,
        }),
        _ => Err(invalid(wrong)),
    }
}

pub(super) async fn audit(
    engine: &Engine,
    caller: &Caller,
    mut request: v1::ListAuditEventsRequest,
) -> Result<v1::ListAuditEventsResponse, Status> {
    let wanted = wanted(&request)?;
    // What a token is good for: the same wish, in pages of any size.
    let token = std::mem::take(&mut request.page_token);
    request.page_size = 0;
    let before = page_token::from_audit_token(&token, &request)?;
    let query = AuditQuery {
        actor: wanted.actor,
        job_id: wanted.job_id,
        job_type: wanted.job_type,
        actions: wanted.actions,
        time_after: wanted.time_after,
        time_before: wanted.time_before,
        before,
        // One more than wanted tells whether there is a next page.
        limit: wanted.page_size + 1,
    };
    let mut found = engine.audit(caller, query).await.map_err(to_status)?;
    let more = found.len() > wanted.page_size;
    found.truncate(wanted.page_size);
    let last = found.last().filter(|_| more).map(StoredAudit::place);
    Ok(v1::ListAuditEventsResponse {
        events: found.iter().map(event::deed_to_proto).collect(),
        next_page_token: last
            .map(|last| page_token::to_audit_token(last, &request))
            .unwrap_or_default(),
    })
}
