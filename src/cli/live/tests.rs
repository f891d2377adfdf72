use super::*;
use crate::proto::v1::{JobError, JobSpec, Progress};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn wire(seconds: i64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds, nanos: 0 }
}

fn job(id: &str, state: JobState, revision: i64) -> Job {
    let status = JobStatus {
        state: state.into(),
        revision,
        attempt: 1,
        max_attempts: 3,
        create_time: Some(wire(0)),
        start_time: Some(wire(10)),
        ..JobStatus::default()
    };
    let spec = JobSpec { r#type: "sync".to_owned(), ..JobSpec::default() };
    Job { id: id.to_owned(), spec: Some(spec), status: Some(status) }
}

fn upsert(jobs: &mut Jobs, job: Job) -> Vec<What> {
    jobs.take(Seen::Upsert(vec![job]), at(20)).iter().map(|change| change.what).collect()
}

fn unmatched(jobs: &mut Jobs, job: Job) -> Vec<What> {
    let seen = Seen::Removed { job_id: job.id.clone(), deleted: false, job: Some(Box::new(job)) };
    jobs.take(seen, at(20)).iter().map(|change| change.what).collect()
}

fn ids(jobs: &Jobs) -> Vec<&str> {
    jobs.all().map(|job| job.id.as_str()).collect()
}

#[test]
fn a_job_comes_moves_on_and_ends() {
    let mut jobs = Jobs::default();
    assert_eq!(upsert(&mut jobs, job("a", JobState::Pending, 1)), [What::New]);
    assert_eq!(upsert(&mut jobs, job("a", JobState::Running, 2)), [What::Moved]);
    assert_eq!(upsert(&mut jobs, job("a", JobState::Running, 2)), [What::Progressed]);
    assert_eq!(jobs.count(JobState::Running), 1);
    assert_eq!(unmatched(&mut jobs, job("a", JobState::Succeeded, 3)), [What::Moved]);
    assert!(ids(&jobs).is_empty());
    assert_eq!(jobs.tally(), Tally { succeeded: 1, ..Tally::default() });
    assert_eq!(jobs.endings().map(|job| job.id.as_str()).collect::<Vec<_>>(), ["a"]);
    assert_eq!((jobs.ended_last_minute(at(79)), jobs.ended_last_minute(at(81))), (1, 0));
}

#[test]
fn what_was_over_before_it_was_seen_is_not_counted_as_an_ending() {
    let mut jobs = Jobs::default();
    upsert(&mut jobs, job("old", JobState::Failed, 3));
    jobs.take(Seen::Complete, at(20));
    assert_eq!(jobs.tally(), Tally::default());
    upsert(&mut jobs, job("new", JobState::Failed, 3));
    upsert(&mut jobs, job("new", JobState::Failed, 3));
    assert_eq!(jobs.tally(), Tally { failed: 1, ..Tally::default() });
}

#[test]
fn an_attempt_that_is_followed_by_another_counts_as_retried_and_a_release_does_not() {
    let mut jobs = Jobs::default();
    upsert(&mut jobs, job("a", JobState::Running, 2));
    let mut waiting = job("a", JobState::Pending, 3);
    waiting.status.as_mut().unwrap().error = Some(JobError::default());
    assert_eq!(upsert(&mut jobs, waiting), [What::Moved]);
    upsert(&mut jobs, job("b", JobState::Running, 2));
    let mut released = job("b", JobState::Pending, 3);
    released.status.as_mut().unwrap().attempt = 0;
    upsert(&mut jobs, released);
    // The states in between were left out.
    upsert(&mut jobs, job("c", JobState::Running, 2));
    let mut again = job("c", JobState::Running, 4);
    again.status.as_mut().unwrap().attempt = 2;
    assert_eq!(upsert(&mut jobs, again), [What::Moved]);
    assert_eq!(jobs.tally().retried, 2);
}

#[test]
fn after_a_reset_only_what_comes_again_stays_and_nothing_flickers() {
    let mut jobs = Jobs::default();
    upsert(&mut jobs, job("a", JobState::Running, 5));
    upsert(&mut jobs, job("b", JobState::Running, 5));
    jobs.take(Seen::Complete, at(20));
    jobs.take(Seen::Reset, at(20));
    assert_eq!(ids(&jobs), ["a", "b"]);
    // A store that was set back has a lower revision, and is believed.
    upsert(&mut jobs, job("b", JobState::Running, 4));
    let gone = jobs.take(Seen::Complete, at(20));
    assert_eq!((gone.len(), gone[0].job.id.as_str(), gone[0].what), (1, "a", What::Left));
    assert_eq!(ids(&jobs), ["b"]);
}

#[test]
fn an_older_revision_changes_nothing() {
    let mut jobs = Jobs::default();
    upsert(&mut jobs, job("a", JobState::Running, 5));
    assert!(upsert(&mut jobs, job("a", JobState::Pending, 4)).is_empty());
    assert_eq!(jobs.count(JobState::Running), 1);
}

#[test]
fn progress_that_is_older_changes_nothing_within_a_revision() {
    let mut jobs = Jobs::default();
    let reported = |revision: i64, sequence: i64| {
        let mut job = job("a", JobState::Running, revision);
        let progress = Progress { sequence, ..Progress::default() };
        job.status = job.status.map(|status| JobStatus { progress: Some(progress), ..status });
        job
    };
    upsert(&mut jobs, reported(2, 9));
    assert!(upsert(&mut jobs, reported(2, 8)).is_empty());
    assert_eq!(upsert(&mut jobs, reported(2, 10)).len(), 1);
    assert_eq!(upsert(&mut jobs, reported(3, 8)).len(), 1, "it is as the new state has it");
}

#[test]
fn a_lost_server_is_told_until_it_is_heard_again() {
    let mut jobs = Jobs::default();
    jobs.take(Seen::Lost { cause: "gone".to_owned(), pause: Duration::ZERO }, at(20));
    jobs.take(Seen::Reset, at(20));
    assert_eq!(jobs.lost(), Some("gone"));
    jobs.take(Seen::Heartbeat, at(20));
    assert_eq!(jobs.lost(), None);
}

#[test]
fn a_row_has_all_there_is_to_say_of_a_running_job() {
    let mut running = job("01890a5d-ac96-774b-bcce-b302099a8057", JobState::Running, 2);
    let status = running.status.as_mut().unwrap();
    status.worker_id = "w\x1b[2J".to_owned();
    status.progress = Some(Progress {
        total: Some(2847),
        completed: 1523,
        percent: Some(53.4948),
        rate_per_second: 42.0,
        remaining: Some(prost_types::Duration { seconds: 31, nanos: 0 }),
        report_time: Some(wire(19)),
        step_number: 2,
        step_count: 3,
        current_step: "copy".to_owned(),
        message: "photos".to_owned(),
        ..Progress::default()
    });
    let row = Row::of(&running, at(20));
    assert_eq!(
        [&row.id, &row.amount, &row.rate, &row.eta, &row.doing, &row.age],
        ["099a8057", "1523/2847 (53.5 %)", "42.0/s", "31s", "step 2/3 copy  photos", "10s"]
    );
    assert!(!row.worker.contains('\x1b'));
    // Of a worker that says nothing more, neither pace nor end is claimed.
    let row = Row::of(&running, at(60));
    assert_eq!([row.rate.as_str(), &row.eta], ["", ""]);
    assert!(row.doing.starts_with("last report 41s ago"), "{}", row.doing);
}

#[test]
fn a_bar_is_full_only_at_the_end_and_keeps_its_width() {
    assert_eq!(bar(99.9, 10, Style::Ascii), "#########.");
    assert_eq!(bar(100.0, 10, Style::Ascii), "##########");
    assert_eq!(bar(0.0, 4, Style::Blocks), "····");
    assert_eq!(bar(37.5, 4, Style::Blocks), "█▌··");
    for tenth in 0..=1000 {
        assert_eq!(bar(f64::from(tenth) / 10.0, 7, Style::Blocks).chars().count(), 7);
    }
}
