//! The screen, driven by events and read line by line.

mod keys;
mod picture;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::draw::{Theme, draw};
use super::model::Figures;
use super::screen::{Event, Order, Screen};
use crate::cli::client::Seen;
use crate::domain::Timestamp;
use crate::proto::v1::get_stats_response::{Stats, Window};
use crate::proto::v1::job_status::Effective;
use crate::proto::v1::{
    GetStatsResponse, Job, JobError, JobSpec, JobState, JobStatus, Progress, Queue, StateCount,
    Worker, WorkerState,
};

/// Seconds since the epoch at which all of this happens.
const NOW: i64 = 1_800_000_000;

fn now() -> Timestamp {
    Timestamp::from_micros(NOW * 1_000_000)
}

fn ago(seconds: i64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: NOW - seconds, nanos: 0 }
}

fn id(number: usize) -> String {
    format!("01930000-0000-7000-8000-{number:012}")
}

/// A job that runs, with so many of a hundred items done.
fn running(number: usize, job_type: &str, done: i64) -> Job {
    let progress = Progress {
        total: Some(100),
        completed: done,
        percent: Some(f64::from(i32::try_from(done).unwrap())),
        rate_per_second: 4.0,
        remaining: Some(prost_types::Duration { seconds: (100 - done) / 4, nanos: 0 }),
        message: "a message".to_owned(),
        report_time: Some(ago(0)),
        ..Progress::default()
    };
    let status = JobStatus {
        state: JobState::Running.into(),
        revision: done + 1,
        attempt: 1,
        max_attempts: 3,
        worker_id: "w-1".to_owned(),
        start_time: Some(ago(100 - i64::try_from(number).unwrap())),
        progress: Some(progress),
        effective: Some(Effective { queue: "default".to_owned(), ..Effective::default() }),
        ..JobStatus::default()
    };
    let spec = JobSpec { r#type: job_type.to_owned(), ..JobSpec::default() };
    Job { id: id(number), spec: Some(spec), status: Some(status) }
}

/// A job that failed for good so many seconds ago.
fn failed(number: usize, job_type: &str, seconds: i64, message: &str) -> Job {
    let mut job = running(number, job_type, 50);
    let status = job.status.as_mut().unwrap();
    status.set_state(JobState::Failed);
    status.revision = 1_000;
    status.end_time = Some(ago(seconds));
    status.error = Some(JobError {
        code: "E_TEST".to_owned(),
        message: message.to_owned(),
        ..JobError::default()
    });
    job
}

fn queue(name: &str, pending: i64, running: i64) -> Queue {
    let count = |state: JobState, count| StateCount { state: state.into(), count };
    Queue {
        name: name.to_owned(),
        counts: vec![count(JobState::Pending, pending), count(JobState::Running, running)],
        oldest_pending_age: Some(prost_types::Duration { seconds: 61, nanos: 0 }),
        ..Queue::default()
    }
}

fn figures() -> Figures {
    let counts = queue("", 12, 3).counts;
    let minute = Some(Window { created: 7, succeeded: 5, failed: 1, ..Window::default() });
    let totals = Some(Stats { counts, minute, ..Stats::default() });
    let mut figures = Figures {
        stats: GetStatsResponse {
            totals,
            workers: 2,
            slots: 8,
            slots_used: 3,
            ..Default::default()
        },
        queues: vec![queue("default", 10, 2), queue("mail", 2, 1)],
        workers: vec![
            Worker {
                worker_id: "w-1".to_owned(),
                instance_id: "i-1".to_owned(),
                slots: 4,
                held: 3,
                state: WorkerState::Online.into(),
                last_seen_time: Some(ago(2)),
                ..Worker::default()
            },
            Worker {
                worker_id: "w-2".to_owned(),
                instance_id: "i-2".to_owned(),
                slots: 4,
                state: WorkerState::Lost.into(),
                last_seen_time: Some(ago(200)),
                ..Worker::default()
            },
        ],
        failed: vec![failed(91, "import", 30, "record 17 is broken")],
        failed_all: true,
        ..Figures::default()
    };
    figures.info.version = "9.9.9".to_owned();
    figures.info.start_time = Some(ago(3_700));
    figures.info.store = Some(crate::proto::v1::get_server_info_response::Store {
        kind: "sqlite".to_owned(),
        size_bytes: 2_097_152,
        ..Default::default()
    });
    figures
}

/// A screen at work.
struct Bench {
    screen: Screen,
    terminal: Terminal<TestBackend>,
}

impl Bench {
    /// Of this size, and nothing is known yet.
    fn empty(width: u16, height: u16) -> Self {
        let screen = Screen::new("http://h:1".to_owned(), String::new());
        Self { screen, terminal: Terminal::new(TestBackend::new(width, height)).unwrap() }
    }

    /// Of this size, with three jobs that run and one that failed.
    fn busy(width: u16, height: u16) -> Self {
        let mut bench = Self::empty(width, height);
        let jobs = vec![running(1, "resize", 25), running(2, "backup", 50), running(3, "mail", 75)];
        bench.sees([Seen::Upsert(jobs), Seen::Complete]);
        bench.happens(Event::Polled(Box::new(figures())));
        bench
    }

    fn happens(&mut self, event: Event) -> Option<Order> {
        self.screen.update(event, now())
    }

    fn sees<const N: usize>(&mut self, seen: [Seen; N]) {
        for seen in seen {
            self.happens(Event::Seen(seen));
        }
    }

    /// Presses keys, by their letters.
    fn types(&mut self, text: &str) -> Option<Order> {
        text.chars().map(|letter| self.press(KeyCode::Char(letter))).last().flatten()
    }

    fn press(&mut self, code: KeyCode) -> Option<Order> {
        self.happens(Event::Key(KeyEvent::new(code, KeyModifiers::NONE)))
    }

    fn control(&mut self, letter: char) -> Option<Order> {
        let key = KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL);
        self.happens(Event::Key(key))
    }

    /// The lines on the screen.
    fn lines(&mut self) -> Vec<String> {
        let theme = Theme { colour: false };
        self.terminal.draw(|frame| draw(frame, &self.screen, theme, now())).unwrap();
        let buffer = self.terminal.backend().buffer();
        let (width, height) = (buffer.area.width, buffer.area.height);
        let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        (0..height).map(|y| line(y).trim_end().to_owned()).collect()
    }

    fn text(&mut self) -> String {
        self.lines().join("\n")
    }

    /// The line that holds this.
    #[track_caller]
    fn line(&mut self, wanted: &str) -> String {
        let text = self.text();
        let line = text.lines().find(|line| line.contains(wanted));
        line.unwrap_or_else(|| panic!("no line with {wanted:?}:\n{text}")).to_owned()
    }
}
