//! What can be done with a job: the machine is asked, so that nothing is promised that it refuses.

use std::time::Duration;

use super::Facts;
use crate::domain::job::Job;
use crate::domain::machine::{Applied, Command, Now, Refusal, apply};
use crate::domain::status::StateKind;
use crate::domain::time::Timestamp;

/// An action and whether it is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// `cancel`, `retry`, `retry_force` or `delete`.
    pub name: &'static str,
    /// Whether it would change the job now.
    pub allowed: bool,
    /// Why not; empty if it would.
    pub why_not: String,
}

impl Action {
    fn new(name: &'static str, why_not: String) -> Self {
        Self { name, allowed: why_not.is_empty(), why_not }
    }
}

pub(super) fn actions(job: &Job, facts: &Facts, now: Timestamp) -> Vec<Action> {
    let cancel = Command::Cancel {
        reason: String::new(),
        requested_by: String::new(),
        grace: Duration::ZERO,
    };
    let retry = |force| Command::Retry { schedule_time: None, force };
    let is_over = job.status.kind().is_terminal();
    let holder = facts.unique_holder.filter(|_| is_over);
    let taken = holder.map(|holder| format!("job {holder} holds its unique key"));
    let retry_why_not = |force| {
        let refused = why_not(job, retry(force), now);
        if refused.is_empty() { taken.clone().unwrap_or_default() } else { refused }
    };
    let mut actions = vec![
        Action::new("cancel", why_not(job, cancel, now)),
        Action::new("retry", retry_why_not(false)),
    ];
    if job.status.kind() == StateKind::Succeeded {
        actions.push(Action::new("retry_force", retry_why_not(true)));
    }
    let alive = if is_over { "" } else { "it is not over: cancel it first" };
    actions.push(Action::new("delete", alive.to_owned()));
    actions
}

fn why_not(job: &Job, command: Command, now: Timestamp) -> String {
    let forced = matches!(command, Command::Retry { force: false, .. })
        && job.status.kind() == StateKind::Succeeded;
    match apply(&job.spec, &job.status, command, Now::at(now)) {
        Ok(Applied::Changed(_)) => String::new(),
        Ok(Applied::Unchanged) => "it would change nothing".to_owned(),
        Err(Refusal::IllegalTransition { .. }) if forced => {
            "it succeeded: it is run again only by force".to_owned()
        }
        Err(refusal) => refusal.to_string(),
    }
}
