//! The four panes with rows.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::table::{Column, Rows, Text};
use super::theme::DIM;
use super::{Canvas, frame_of_pane};
use crate::cli::live::{Row, Style as Bar, bar, short_id};
use crate::cli::paint::Paint;
use crate::cli::top::listing::{self, Pane};
use crate::cli::{describe, format, names, stats};
use crate::proto::v1::{Job, JobState, WorkerState};

/// The width of a job's bar.
const BAR: u16 = 12;
/// The width of what is done; what does not fit is told as a share.
const DONE: u16 = 21;

/// What is said while nothing is known yet.
const WAITING: &str = "waiting for the server …";
/// What is said when a filter hides everything.
const NO_MATCH: &str = "nothing matches the filter; Esc clears it";

fn plain(text: impl Into<String>) -> Text {
    (text.into(), Style::default())
}

fn rows<'a>(
    pane: Pane,
    columns: &'a [Column],
    len: usize,
    empty: &'a str,
    canvas: &Canvas<'_>,
) -> Rows<'a> {
    let screen = canvas.screen;
    let keys = listing::keys(pane, canvas.sight, &screen.filter, screen.sort);
    // Where the cursor of another pane would be is of no interest.
    let cursor = screen.row(pane, &keys).filter(|_| pane == screen.pane);
    Rows { columns, titles: pane != Pane::Failures, len, cursor, empty }
}

/// What stands in a pane without rows: that there is nothing is only said once it is known.
fn nothing(canvas: &Canvas<'_>, all: usize, none: &'static str) -> &'static str {
    match (&canvas.sight.figures, all) {
        (None, _) => WAITING,
        (Some(_), 0) => none,
        (Some(_), _) => NO_MATCH,
    }
}

/// So many of so many, if a filter hides some.
fn counted(name: &str, shown: usize, all: usize) -> String {
    if shown == all { format!("{name} {all}") } else { format!("{name} {shown} of {all}") }
}

/// Where jobs wait.
pub fn queues(frame: &mut Frame<'_>, area: Rect, canvas: &Canvas<'_>) {
    const COLUMNS: [Column; 5] = [
        Column::text("QUEUE", 0, 0),
        Column::figure("WAIT", 6, 0),
        Column::figure("RUN", 5, 0),
        Column::figure("OLDEST", 7, 0),
        Column::text("", 8, 44),
    ];
    let queues = listing::queues(canvas.sight, &canvas.screen.filter);
    let all = canvas.sight.figures.as_ref().map_or(0, |figures| figures.queues.len());
    let block = frame_of_pane(&counted("Queues", queues.len(), all), Pane::Queues, canvas);
    let empty = nothing(canvas, all, "no queue yet");
    let rows = rows(Pane::Queues, &COLUMNS, queues.len(), empty, canvas);
    rows.draw(frame, area, block, |at| {
        let queue = queues[at];
        let name = format::plain(&queue.name);
        let name = if queue.paused { format!("‖ {name}") } else { name };
        let most = Some(queue.max_running).filter(|most| *most > 0);
        vec![
            (name, canvas.theme.paint(queue.paused.then_some(Paint::Yellow))),
            plain(format::count(stats::count(&queue.counts, JobState::Pending))),
            plain(format::count(stats::count(&queue.counts, JobState::Running))),
            plain(format::span_or_nothing(queue.oldest_pending_age.as_ref())),
            plain(most.map(|most| format!("max {most}")).unwrap_or_default()),
        ]
    });
}

/// Who runs jobs.
pub fn workers(frame: &mut Frame<'_>, area: Rect, canvas: &Canvas<'_>) {
    const COLUMNS: [Column; 6] = [
        Column::text("WORKER", 0, 0),
        Column::figure("HELD", 7, 0),
        Column::text("STATE", 8, 0),
        Column::text("SEEN", 8, 36),
        Column::figure("CPU", 5, 58),
        Column::text("QUEUES", 16, 70),
    ];
    let workers = listing::workers(canvas.sight, &canvas.screen.filter);
    let all = canvas.sight.figures.as_ref().map_or(0, |figures| figures.workers.len());
    let block = frame_of_pane(&counted("Workers", workers.len(), all), Pane::Workers, canvas);
    let empty = nothing(canvas, all, "no worker is attached");
    let rows = rows(Pane::Workers, &COLUMNS, workers.len(), empty, canvas);
    rows.draw(frame, area, block, |at| {
        let worker = workers[at];
        let paint = canvas.theme.paint(Paint::of_worker(worker.state()));
        let seen = worker.last_seen_time.as_ref();
        let busy = worker.host_usage.and_then(|usage| usage.cpu_percent);
        vec![
            plain(format::plain(&worker.worker_id)),
            plain(format!("{}/{}", worker.held, worker.slots)),
            (names::word::<WorkerState>(worker.state), paint),
            plain(seen.map(|seen| ago(seen, canvas)).unwrap_or_default()),
            plain(busy.map(|cpu| format!("{cpu:.0}%")).unwrap_or_default()),
            plain(format::plain(&worker.queues.join(","))),
        ]
    });
}

/// How long ago, without the word for it, for which there is no room.
fn ago(time: &prost_types::Timestamp, canvas: &Canvas<'_>) -> String {
    format::age(time, canvas.sight.now).trim_end_matches(" ago").to_owned()
}

/// What runs.
pub fn jobs(frame: &mut Frame<'_>, area: Rect, canvas: &Canvas<'_>) {
    const COLUMNS: [Column; 9] = [
        Column::text("JOB", 8, 0),
        Column::text("TYPE", 0, 0),
        Column::text("", BAR, 0),
        Column::figure("DONE", DONE, 0),
        Column::figure("RATE", 9, 100),
        Column::figure("ETA", 7, 0),
        Column::figure("RUNS", 7, 72),
        Column::text("WORKER", 14, 120),
        Column::text("STEP, MESSAGE", 0, 90),
    ];
    let (theme, screen) = (canvas.theme, canvas.screen);
    let jobs = listing::jobs(canvas.sight, &screen.filter, screen.sort);
    let mut title = counted("Jobs", jobs.len(), canvas.sight.jobs.len());
    title = format!("{title}, by {}", screen.sort.name());
    if !screen.filter.is_empty() {
        title = format!("{title}, with \"{}\"", format::plain(&screen.filter));
    }
    let block = frame_of_pane(&title, Pane::Jobs, canvas);
    let empty = match (canvas.sight.complete, canvas.sight.jobs.is_empty()) {
        (false, _) => WAITING,
        (true, false) => NO_MATCH,
        (true, true) => "nothing runs",
    };
    let rows = rows(Pane::Jobs, &COLUMNS, jobs.len(), empty, canvas);
    rows.draw(frame, area, block, |at| {
        let row = Row::of(jobs[at], canvas.sight.now);
        vec![
            (row.id.clone(), DIM),
            plain(named(jobs[at], &row.job_type)),
            (progress(&row), theme.paint(paint_of(jobs[at]))),
            plain(done(&row)),
            plain(row.rate),
            plain(row.eta),
            plain(row.age),
            plain(row.worker),
            plain(row.doing),
        ]
    });
}

/// How much is done; as a share alone where there is no room for the figures.
fn done(row: &Row) -> String {
    if row.amount.chars().count() <= usize::from(DONE) {
        return row.amount.clone();
    }
    row.percent.map(format::percent).unwrap_or_default()
}

/// The type, and what it works on.
fn named(job: &Job, job_type: &str) -> String {
    match job.spec.as_ref().map_or("", |spec| spec.subject.as_str()) {
        "" => job_type.to_owned(),
        subject => format!("{job_type} {}", format::plain(subject)),
    }
}

/// A bar if it is known how far it is; else the state.
fn progress(row: &Row) -> String {
    match (row.state, row.percent) {
        (JobState::Running, Some(percent)) => bar(percent, usize::from(BAR), Bar::Blocks),
        (state, _) => names::short(state).to_lowercase(),
    }
}

fn paint_of(job: &Job) -> Option<Paint> {
    let status = job.status.as_ref()?;
    match status.cancel_request {
        Some(_) => Some(Paint::Yellow),
        None => Paint::of_state(status.state()),
    }
}

/// What failed.
pub fn failures(frame: &mut Frame<'_>, area: Rect, canvas: &Canvas<'_>) {
    const COLUMNS: [Column; 5] = [
        Column::text("JOB", 8, 0),
        Column::text("TYPE", 18, 0),
        Column::text("WHEN", 11, 0),
        Column::text("ATTEMPT", 8, 100),
        Column::text("ERROR", 0, 0),
    ];
    let failures = listing::failures(canvas.sight, &canvas.screen.filter);
    let all = canvas.sight.failures.len();
    let title = counted("Failures", failures.len(), all);
    let block = frame_of_pane(&title, Pane::Failures, canvas);
    let empty = nothing(canvas, all, "nothing failed");
    let rows = rows(Pane::Failures, &COLUMNS, failures.len(), empty, canvas);
    rows.draw(frame, area, block, |at| failure(failures[at], canvas));
}

fn failure(job: &Job, canvas: &Canvas<'_>) -> Vec<Text> {
    let status = job.status.clone().unwrap_or_default();
    let job_type = format::plain(job.spec.as_ref().map_or("", |spec| &spec.r#type));
    let when = status.end_time.as_ref().map(|end| format::age(end, canvas.sight.now));
    let error = status.error.as_ref().map(describe::error).unwrap_or_default();
    vec![
        (short_id(&job.id), DIM),
        plain(named(job, &job_type)),
        plain(when.unwrap_or_default()),
        plain(describe::attempt(&status)),
        (error, canvas.theme.paint(Some(Paint::Red))),
    ]
}
