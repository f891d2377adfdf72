//! A running attempt that shows nothing, or takes unusually long.

use std::time::Duration;

use crate::domain::job::OnStuck;
use crate::domain::limits::CANCEL_GRACE_DEFAULT;
use crate::domain::status::{CancelCause, CancelRequest, JobStatus};
use crate::domain::time::{Timestamp, roughly};
use crate::domain::typical::Slow;

use super::closing::{Closing, changed, transition};
use super::transition::{Applied, Effect};

/// How it was found.
pub(super) struct Found {
    pub(super) revision: i64,
    pub(super) since: Timestamp,
    pub(super) spare_active: bool,
}

impl Found {
    /// Whether it stands as it was found, whatever happened since.
    fn holds(&self, status: &JobStatus) -> bool {
        let moved = self.spare_active && status.progress.activity_time > Some(self.since);
        !moved && self.revision == status.revision && status.cancel_request.is_none()
    }

    const fn effect(&self) -> Effect {
        Effect::FoundStuck { since: self.since, spare_active: self.spare_active }
    }
}

/// It is asked to stop, unless it moved since.
pub(super) fn stop(closing: &Closing<'_>, found: &Found, request: CancelRequest) -> Applied {
    if !found.holds(closing.status) {
        return Applied::Unchanged;
    }
    let mut next = changed(closing.status, closing.now);
    next.cancel_request = Some(request.clone());
    let ask = Effect::AskToStop { session: closing.session, request };
    transition(next, vec![found.effect(), ask])
}

/// It runs on, and that it is stuck is told once in an attempt.
pub(super) fn note(closing: &Closing<'_>, found: &Found) -> Applied {
    if !found.holds(closing.status) || closing.status.attention.stuck_time.is_some() {
        return Applied::Unchanged;
    }
    let mut next = changed(closing.status, closing.now);
    next.attention.stuck_time = Some(closing.now.time);
    next.attention.look_time = None;
    transition(next, vec![found.effect()])
}

/// That it is slow is told once in an attempt; of one that is to stop, nothing.
pub(super) fn note_slow(closing: &Closing<'_>, p95: Duration) -> Applied {
    let status = closing.status;
    if status.attention.slow_time.is_some() || status.cancel_request.is_some() {
        return Applied::Unchanged;
    }
    let run = status.run_duration(closing.now.time).unwrap_or_default();
    let mut next = changed(status, closing.now);
    next.attention.slow_time = Some(closing.now.time);
    transition(next, vec![Effect::FoundSlow { slow: Slow { run, p95 } }])
}

/// Looks whether it is stuck by its own `stuck_after`, if it is time to. If it moved since the last look,
/// the next one is when it can be stuck at the earliest; one that reported nothing yet may begin to now.
pub(super) fn look(closing: &Closing<'_>) -> Applied {
    let Closing { spec, status, now, .. } = closing;
    let due = status.attention.look_time.is_some_and(|time| time <= now.time);
    let Some(after) = spec.stuck_after.filter(|_| due) else { return Applied::Unchanged };
    let active = status.progress.activity_time;
    let stuck_since = active.filter(|active| active.plus(after) <= now.time);
    let Some(since) = stuck_since else {
        let mut next = changed(status, *now);
        next.attention.look_time = Some(active.unwrap_or(now.time).plus(after));
        return transition(next, Vec::new());
    };
    let found = Found { revision: status.revision, since, spare_active: true };
    match spec.on_stuck {
        OnStuck::Notify => note(closing, &found),
        OnStuck::Fail => {
            let request = CancelRequest {
                cause: CancelCause::Stuck,
                time: now.time,
                reason: format!("showed no activity for {}", roughly(now.time.since(since))),
                requested_by: String::new(),
                grace: CANCEL_GRACE_DEFAULT,
            };
            stop(closing, &found, request)
        }
    }
}
