//! Whether the server's account and the workers' own agree.

use std::collections::BTreeMap;

use super::ledger::{Ending, Entry};
use super::show::status;
use crate::cli::{names, stats};
use crate::proto::v1::{GetStatsResponse, Job, JobState};

#[cfg(test)]
mod tests;

/// The states a job of the demo ends in.
const ENDS: [JobState; 3] = [JobState::Succeeded, JobState::Failed, JobState::Cancelled];

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// Jobs in each state that there are.
    pub states: BTreeMap<&'static str, i64>,
    /// Jobs in all.
    pub jobs: i64,
    /// Executions in all.
    pub attempts: i64,
    /// Jobs that needed more than one.
    pub retried: i64,
    /// Items of the jobs that succeeded.
    pub items: i64,
    /// Where the two disagree, for people. Empty if they do not.
    pub differences: Vec<String>,
}

/// Holds the jobs and the statistics of the server against what the workers say they did.
#[must_use]
pub fn account(
    jobs: &[Job],
    figures: &GetStatsResponse,
    ledger: &BTreeMap<String, Entry>,
) -> Account {
    let mut account = Account::default();
    for job in jobs {
        account.add(job, ledger.get(&job.id));
    }
    for id in ledger.keys().filter(|id| !jobs.iter().any(|job| job.id == **id)) {
        account.differences.push(format!("{id}: worked on, and the server does not list it"));
    }
    let counts = figures.totals.clone().unwrap_or_default().counts;
    for state in ENDS {
        let name = names::short(state);
        let (listed, counted) = (account.count(state), stats::count(&counts, state));
        if listed != counted {
            let said = format!("{name}: {listed} jobs are listed, {counted} are counted");
            account.differences.push(said);
        }
    }
    account
}

impl Account {
    /// Jobs in a state.
    #[must_use]
    pub fn count(&self, state: JobState) -> i64 {
        self.states.get(names::short(state)).copied().unwrap_or(0)
    }

    fn add(&mut self, job: &Job, entry: Option<&Entry>) {
        let status = status(job);
        let none = Entry::default();
        let endings = &entry.unwrap_or(&none).endings;
        *self.states.entry(names::short(status.state())).or_default() += 1;
        self.jobs += 1;
        self.attempts += i64::from(status.attempt);
        self.retried += i64::from(status.attempt > 1);
        let completed = status.progress.as_ref().map_or(0, |progress| progress.completed);
        if status.state() == JobState::Succeeded {
            self.items += completed;
        }
        let last = endings.values().next_back().copied();
        let agrees = match (status.state(), last) {
            (JobState::Succeeded, Some(Ending::Done(items))) => {
                i64::try_from(items).is_ok_and(|items| items == completed)
            }
            // What waited, for the first time or for another, was cancelled without a worker.
            (JobState::Failed, Some(Ending::Failed))
            | (JobState::Cancelled, None | Some(Ending::Cancelled | Ending::Failed)) => true,
            _ => false,
        };
        let executions = i64::try_from(endings.len()).unwrap_or(i64::MAX);
        if !agrees || executions != i64::from(status.attempt) {
            let state = names::short(status.state());
            self.differences.push(format!(
                "{}: {state} after {} attempts and {completed} items, while its workers say \
                 {executions} attempts, the last one {last:?}",
                job.id, status.attempt
            ));
        }
    }
}
