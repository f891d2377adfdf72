//! What a session write does to the sessions that stand.

use std::collections::BTreeMap;

use crate::domain::session::{EndReason, Session};
use crate::domain::{SessionId, Timestamp};

use super::SessionWrite;

/// Applies one write; answers whether it applied. `sessions` holds at least the one it names and,
/// for a new one, the open ones of its process.
pub(super) fn apply(
    sessions: &mut BTreeMap<SessionId, Session>,
    write: &SessionWrite,
    now: Timestamp,
) -> bool {
    let mut open = |id: &SessionId, change: &dyn Fn(&mut Session) -> bool| {
        sessions.get_mut(id).is_some_and(|session| session.end.is_none() && change(session))
    };
    match write {
        SessionWrite::Open(new) => attach(sessions, new, now),
        SessionWrite::Renew { id, age, ttl } => open(id, &|session| {
            session.ttl = *ttl;
            session.expire_time = session.expire_time.max(now.minus(*age).plus(*ttl));
            true
        }),
        SessionWrite::Shorten { id, keep } => open(id, &|session| {
            session.expire_time = session.expire_time.min(now.plus(*keep));
            true
        }),
        SessionWrite::End { id, reason } => open(id, &|session| {
            session.end = Some((now, *reason));
            true
        }),
        SessionWrite::EndIfUnary { id } => open(id, &|session| {
            if session.unary {
                session.end = Some((now, EndReason::Done));
            }
            session.unary
        }),
        SessionWrite::Expire { id } => open(id, &|session| {
            let over = session.expire_time <= now;
            if over {
                session.end = Some((now, EndReason::Expired));
            }
            over
        }),
    }
}

/// A stream takes the place of the open streams of its process; a unary assignment stands beside
/// them.
fn attach(sessions: &mut BTreeMap<SessionId, Session>, new: &Session, now: Timestamp) -> bool {
    if sessions.contains_key(&new.id) {
        return false;
    }
    if !new.unary && !new.instance_id.as_str().is_empty() {
        for older in sessions.values_mut() {
            if older.end.is_none()
                && !older.unary
                && older.instance_id == new.instance_id
                && older.principal == new.principal
            {
                older.end = Some((now, EndReason::Superseded));
            }
        }
    }
    sessions.insert(new.id, new.clone());
    true
}
