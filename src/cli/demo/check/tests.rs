//! Agreement is not said where there is none.

use super::*;
use crate::proto::v1::get_stats_response::Stats;
use crate::proto::v1::{JobStatus, Progress, StateCount};

fn job(id: &str, state: JobState, attempt: i32, completed: i64) -> Job {
    let progress = Some(Progress { completed, ..Progress::default() });
    let status = JobStatus { state: state.into(), attempt, progress, ..JobStatus::default() };
    Job { id: id.to_owned(), status: Some(status), ..Job::default() }
}

fn figures(counts: &[(JobState, i64)]) -> GetStatsResponse {
    let count =
        |(state, count): &(JobState, i64)| StateCount { state: (*state).into(), count: *count };
    let totals = Stats { counts: counts.iter().map(count).collect(), ..Stats::default() };
    GetStatsResponse { totals: Some(totals), ..GetStatsResponse::default() }
}

fn ledger(entries: &[(&str, &[Ending])]) -> BTreeMap<String, Entry> {
    let ledger = super::super::ledger::Ledger::default();
    for (id, endings) in entries {
        for (epoch, ending) in (1..).zip(*endings) {
            ledger.reported(id, epoch, *ending);
            ledger.answered(id, epoch, true);
        }
    }
    ledger.entries()
}

#[test]
fn both_sides_agree() {
    let jobs = [
        job("a", JobState::Succeeded, 2, 40),
        job("b", JobState::Failed, 1, 3),
        job("c", JobState::Cancelled, 1, 5),
        job("d", JobState::Cancelled, 0, 0),
    ];
    let figures =
        figures(&[(JobState::Succeeded, 1), (JobState::Failed, 1), (JobState::Cancelled, 2)]);
    let ledger = ledger(&[
        ("a", &[Ending::Failed, Ending::Done(40)]),
        ("b", &[Ending::Failed]),
        ("c", &[Ending::Cancelled]),
    ]);
    let account = account(&jobs, &figures, &ledger);
    assert_eq!(account.differences, Vec::<String>::new());
    assert_eq!((account.jobs, account.attempts, account.retried, account.items), (4, 4, 1, 40));
}

#[test]
fn each_kind_of_disagreement_is_found() {
    let one = |job: Job, counted: i64, endings: &[Ending]| {
        let figures = figures(&[(status(&job).state(), counted)]);
        let ledger = ledger(&[(job.id.as_str(), endings)]);
        account(&[job], &figures, &ledger).differences.len()
    };
    let done = job("a", JobState::Succeeded, 1, 40);
    assert_eq!(one(done.clone(), 1, &[Ending::Done(40)]), 0);
    assert_eq!(one(done.clone(), 1, &[Ending::Done(39)]), 1, "items");
    assert_eq!(one(done.clone(), 2, &[Ending::Done(40)]), 1, "counts");
    assert_eq!(one(done.clone(), 1, &[]), 1, "nobody did it");
    assert_eq!(one(done, 1, &[Ending::Failed, Ending::Done(40)]), 1, "attempts");
    assert_eq!(one(job("a", JobState::Running, 1, 1), 1, &[Ending::Done(1)]), 1, "not over");
    let unknown = ledger(&[("z", &[Ending::Failed])]);
    assert_eq!(account(&[], &figures(&[]), &unknown).differences.len(), 1, "not listed");
}
