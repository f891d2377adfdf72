//! What other servers decided about jobs that workers hold here.

use std::sync::Arc;

use crate::domain::{Job, JobId, SessionId};

use super::attach::Attach;
use super::registry::Sessions;

/// What a worker is told of a job that it lost by another server's decision.
const DECIDED_ELSEWHERE: &str = "the lease has ended";

/// What became of a job for one who held it.
enum Fate {
    /// It is still its own, or was never.
    Unchanged,
    /// It is not held any more; a slot may be free.
    LetGo,
    /// Another attach of the process has it.
    Adopted(SessionId),
}

impl Sessions {
    /// Takes note of how jobs stand that are, or were, held here. What was decided here is in it too, and
    /// says nothing new.
    pub(in super::super) fn heard_of(self: &Arc<Self>, jobs: &[Job]) {
        let mut moved = Vec::new();
        for job in jobs {
            let status = &job.status;
            let holder = status.session().and_then(|session| self.attached.get(&session));
            if let (Some(attach), Some(request)) = (&holder, &status.cancel_request) {
                attach.ask_to_stop(job, request);
            }
            // Under its first lease nobody else held it before.
            if holder.is_none() || status.lease_epoch > 1 {
                moved.push(job);
            }
            if status.session().is_none() {
                self.live.close(job.id, status.lease_epoch);
            }
        }
        if moved.is_empty() {
            return;
        }
        for attach in self.all() {
            for job in &moved {
                match attach.fate(job) {
                    Fate::Unchanged => {}
                    Fate::LetGo => self.line.wake(),
                    Fate::Adopted(session) => self.lapsed(&attach, session),
                }
            }
        }
    }

    /// A job is gone, so it was over before.
    pub(in super::super) fn heard_gone(&self, job_id: JobId) {
        self.live.close(job_id, i64::MAX);
        for attach in self.all() {
            attach.revoke_any(job_id);
            if attach.let_go(job_id, i64::MAX) {
                self.line.wake();
            }
        }
    }
}

impl Attach {
    /// What a job, as it stands, means to this holder, who is told.
    fn fate(&self, job: &Job) -> Fate {
        let status = &job.status;
        let held_epoch = {
            let state = self.state.lock();
            let Some(held) = state.held.get(&job.id) else { return Fate::Unchanged };
            // A start under way is newer than what was read; what is being adopted is told by its Welcome.
            if held.lease_epoch > status.lease_epoch || state.opening || state.over {
                return Fate::Unchanged;
            }
            let same_lease = held.lease_epoch == status.lease_epoch;
            match status.session() {
                Some(session) if same_lease && session == state.session => return Fate::Unchanged,
                Some(_) if same_lease => return Fate::Adopted(state.session),
                Some(_) | None => held.lease_epoch,
            }
        };
        // Its own report needs no answer but the ack, and its stream may not have heard of that yet.
        let reported = status.execution.as_ref().is_some_and(|run| run.report.is_some());
        if !(reported && held_epoch == status.lease_epoch) {
            self.revoke(job.id, held_epoch, DECIDED_ELSEWHERE);
        }
        if self.let_go(job.id, held_epoch) { Fate::LetGo } else { Fate::Unchanged }
    }

    fn revoke_any(&self, job_id: JobId) {
        let lease_epoch = self.state.lock().held.get(&job_id).map(|held| held.lease_epoch);
        if let Some(lease_epoch) = lease_epoch {
            self.revoke(job_id, lease_epoch, DECIDED_ELSEWHERE);
        }
    }
}
