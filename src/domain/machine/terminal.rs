//! Commands to a job that is over.

use crate::domain::admission;
use crate::domain::status::{JobStatus, State, StateKind};
use crate::domain::time::Timestamp;
use crate::domain::usage::UsageWatch;

use super::command::{Command, Now};
use super::transition::{Applied, Effect, Refusal, Transition};

pub(super) fn apply(status: &JobStatus, command: &Command, now: Now) -> Result<Applied, Refusal> {
    let refusal = Refusal::IllegalTransition { state: status.kind(), command: command.kind() };
    match command {
        Command::Cancel { .. } if status.kind() == StateKind::Cancelled => Ok(Applied::Unchanged),
        Command::Retry { schedule_time, force } => {
            if status.kind() == StateKind::Succeeded && !*force {
                return Err(refusal);
            }
            let wanted = schedule_time.unwrap_or(now.time);
            Ok(Applied::Changed(Box::new(reopen(status, wanted, now))))
        }
        // The clock has nothing more to say to a job that is over.
        Command::MeetDeadline => Ok(Applied::Unchanged),
        Command::Start { .. }
        | Command::Adopt { .. }
        | Command::Succeed { .. }
        | Command::Fail { .. }
        | Command::ReportUse { .. }
        | Command::ConfirmCancelled { .. }
        | Command::Release { .. }
        | Command::LoseLease { .. }
        | Command::Cancel { .. }
        | Command::RequestStop { .. }
        | Command::StopStuck { .. }
        | Command::NoteStuck { .. }
        | Command::NoteSlow { .. }
        | Command::Expire { .. }
        | Command::Skip { .. } => Err(refusal),
    }
}

fn reopen(status: &JobStatus, wanted: Timestamp, now: Now) -> Transition {
    let mut next = status.clone();
    let at = wanted.max(now.time);
    next.revision += 1;
    next.update_time = now.time;
    next.state = State::Pending { ready_key: admission::ready_key(at, status.effective.priority) };
    next.schedule_time = at;
    next.max_attempts = status.max_attempts.max(status.attempt + 1);
    next.end_time = None;
    next.result = None;
    next.error = None;
    next.cancel_request = None;
    next.progress = status.progress.of_next();
    next.resource_usage = None;
    next.usage_watch = UsageWatch::default();
    next.releases = 0;
    next.execution = None;
    next.skip_until = None;
    Transition {
        status: next,
        superseded: status.last_attempt(),
        effects: vec![Effect::Ready { at }],
    }
}
