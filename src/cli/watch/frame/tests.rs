use super::*;
use crate::cli::client::Seen;
use crate::proto::v1::{JobSpec, JobStatus, Progress};

fn job(id: &str, state: JobState, percent: f64) -> Job {
    #[expect(clippy::cast_possible_truncation, reason = "a small figure")]
    let completed = percent as i64;
    let progress =
        Progress { total: Some(100), completed, percent: Some(percent), ..Progress::default() };
    let status = JobStatus {
        state: state.into(),
        revision: 1,
        attempt: 1,
        max_attempts: 3,
        worker_id: "w1".to_owned(),
        progress: Some(progress),
        ..JobStatus::default()
    };
    let spec = JobSpec { r#type: "sync".to_owned(), ..JobSpec::default() };
    Job { id: id.to_owned(), spec: Some(spec), status: Some(status) }
}

fn held(jobs: impl IntoIterator<Item = Job>) -> Jobs {
    let mut held = Jobs::default();
    held.take(Seen::Upsert(jobs.into_iter().collect()), Timestamp::default());
    held.take(Seen::Complete, Timestamp::default());
    held
}

fn lines(jobs: &Jobs, size: (usize, usize)) -> Vec<String> {
    let mut frame = Frame::new("http://h:1".to_owned(), Filter::default());
    frame.style = Style::Ascii;
    frame.lines(jobs, Timestamp::default(), size, false)
}

#[test]
fn running_jobs_come_before_those_that_wait_and_endings_last() {
    let mut jobs = held([
        job("a-------a", JobState::Pending, 0.0),
        job("b-------b", JobState::Running, 45.0),
        job("c-------c", JobState::Running, 99.0),
    ]);
    let done = job("c-------c", JobState::Failed, 99.0);
    let done = Seen::Removed { job_id: done.id.clone(), deleted: false, job: Some(done.into()) };
    jobs.take(done, Timestamp::default());
    let lines = lines(&jobs, (100, 24));
    assert!(lines[1].starts_with("1 running   1 waiting   0 succeeded   1 failed"), "{}", lines[1]);
    let states: Vec<_> = lines[4..].iter().map(|line| line.split_whitespace().nth(2)).collect();
    assert_eq!(states, [Some("RUNNING"), Some("PENDING"), Some("FAILED")]);
    assert!(lines[4].contains("#####.......") && lines[4].contains("45/100 (45.0 %)"));
}

#[test]
fn a_frame_fits_its_screen_and_counts_what_it_leaves_out() {
    let jobs = (0..50).map(|n| job(&format!("{n:09}"), JobState::Running, f64::from(n)));
    let jobs = held(jobs);
    for size in [(80, 24), (40, 10), (200, 50), (20, 6)] {
        let lines = lines(&jobs, size);
        assert!(lines.len() <= size.1, "{size:?}: {}", lines.len());
        assert!(lines.iter().all(|line| format::width(line) <= size.0), "{size:?}: {lines:#?}");
        let shown = lines.iter().filter(|line| line.starts_with("00000")).count();
        let more = format!("… and {} more", 50 - shown);
        assert_eq!(lines.last().unwrap(), &more, "{size:?}: {lines:#?}");
    }
}

#[test]
fn nothing_and_a_lost_server_are_told() {
    let mut jobs = held([]);
    assert!(lines(&jobs, (80, 24))[3].starts_with("no job matches: waiting"));
    jobs.take(
        Seen::Lost { cause: "gone\x1b[2J".to_owned(), pause: std::time::Duration::ZERO },
        Timestamp::default(),
    );
    let second = lines(&jobs, (80, 24)).swap_remove(1);
    assert!(second.starts_with("lost the server (gone") && !second.contains('\x1b'), "{second}");
}
