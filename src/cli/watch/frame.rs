//! The screen of a watch of many jobs: a head, those that run, those that wait, the last ones that ended.

use std::sync::Arc;

use crate::cli::filter::Filter;
use crate::cli::format;
use crate::cli::live::{self, Jobs, Row, Style, Tally};
use crate::cli::names;
use crate::cli::paint::{Paint, painted};
use crate::cli::table::{Cell, Table};
use crate::domain::Timestamp;
use crate::proto::v1::{Job, JobState};

#[cfg(test)]
mod tests;

/// Endings that are shown where jobs run too.
const ENDINGS: usize = 6;
/// The width of a bar on a screen of usual width, and on a wide one.
const BARS: [usize; 2] = [12, 24];
/// A screen is wide from here.
const WIDE: usize = 120;

/// Draws the frames; columns keep their widths from one to the next.
pub struct Frame {
    address: String,
    filter: Filter,
    table: Table,
    style: Style,
}

impl Frame {
    /// Frames of jobs that match the filter.
    #[must_use]
    pub fn new(address: String, filter: Filter) -> Self {
        let titles = ["JOB", "<TYPE", "STATE", "DONE", ">ITEMS", ">RATE", ">ETA", ">TIME", "~NOW"];
        let table = Table::new(&titles).spare(&["RATE", "TIME", "STATE", "DONE"]);
        Self { address, filter, table, style: Style::here() }
    }

    /// The lines of a frame of this size.
    pub fn lines(
        &mut self,
        jobs: &Jobs,
        now: Timestamp,
        (columns, lines): (usize, usize),
        colour: bool,
    ) -> Vec<String> {
        let mut frame = self.head(jobs, now, columns, colour);
        let room = lines.saturating_sub(frame.len() + 1);
        let left = |shown: &[Arc<Job>]| {
            let live = shown.iter().filter(|job| !live::is_over(live::state(job))).count();
            jobs.all().filter(|job| !live::is_over(live::state(job))).count() - live
        };
        let mut shown = self.choose(jobs, room);
        if left(&shown) > 0 {
            shown = self.choose(jobs, room.saturating_sub(1));
        }
        if jobs.all().next().is_none() {
            let state = if jobs.complete() { "no job matches" } else { "asking the server" };
            let hint = "waiting; Ctrl-C ends";
            frame.push(format::fit(&format!("{state}: {hint}"), columns));
            return frame;
        }
        let bar = if columns >= WIDE { BARS[1] } else { BARS[0] };
        let rows: Vec<_> = shown.iter().map(|job| cells(job, now, bar, self.style)).collect();
        frame.extend(self.table.frame(&rows, columns, colour));
        let left = left(&shown);
        if left > 0 {
            let more = format!("… and {} more", format::count(i64::try_from(left).unwrap_or(0)));
            frame.push(painted(&more, Some(Paint::Dim), colour));
        }
        frame
    }

    fn head(&self, jobs: &Jobs, now: Timestamp, columns: usize, colour: bool) -> Vec<String> {
        let title = format!("jobplane watch{}  {}", self.filter.words(), self.address);
        let second = match jobs.lost() {
            Some(cause) => {
                let said = format!("lost the server ({cause}); trying again");
                painted(&format::fit(&format::plain(&said), columns), Some(Paint::Red), colour)
            }
            None => format::fit(&counts(jobs, now), columns),
        };
        let title = painted(&format::fit(&title, columns), Some(Paint::Dim), colour);
        vec![title, second, String::new()]
    }

    /// Those that run first, then those that wait; the last endings have their place below.
    fn choose(&self, jobs: &Jobs, room: usize) -> Vec<Arc<Job>> {
        let most = room.min(self.filter.at_most(usize::MAX));
        let running = jobs.in_state(JobState::Running);
        let pending = jobs.in_state(JobState::Pending);
        let live = running.len() + pending.len();
        let endings = jobs.endings().count().min(ENDINGS.max(most.saturating_sub(live)));
        let endings = endings.min(if live > 0 { most / 3 } else { most });
        let mut shown: Vec<Arc<Job>> =
            running.into_iter().chain(pending).take(most - endings).cloned().collect();
        shown.extend(jobs.endings().take(endings).cloned());
        shown
    }
}

/// `3 running  12 waiting  5 succeeded  1 failed  42.0 items/s`.
fn counts(jobs: &Jobs, now: Timestamp) -> String {
    let Tally { succeeded, failed, cancelled, skipped, retried } = jobs.tally();
    let count = |state| jobs.count(state) as u64;
    let all = [
        (count(JobState::Running), "running", true),
        (count(JobState::Pending), "waiting", true),
        (succeeded, "succeeded", true),
        (failed, "failed", true),
        (retried, "retried", false),
        (cancelled, "cancelled", false),
        (skipped, "skipped", false),
    ];
    let said = all.iter().filter(|(count, _, always)| *always || *count > 0);
    let mut said: Vec<String> = said.map(|(count, word, _)| format!("{count} {word}")).collect();
    said.extend(format::rate(jobs.items_per_second()).map(|rate| format!("items {rate}")));
    let ended = jobs.ended_last_minute(now);
    said.extend((ended > 0).then(|| format!("{ended} ended in the last minute")));
    said.join("   ")
}

fn cells(job: &Job, now: Timestamp, bar: usize, style: Style) -> Vec<Cell> {
    let row = Row::of(job, now);
    let paint = Paint::of_state(row.state);
    let done = row.percent.map(|percent| live::bar(percent, bar, style));
    let doing = match (row.state, row.worker.as_str()) {
        (JobState::Running, worker) if !worker.is_empty() && row.doing.is_empty() => {
            format!("on {worker}")
        }
        _ => row.doing,
    };
    vec![
        Cell::from(row.id),
        Cell::from(row.job_type),
        Cell::from(names::word::<JobState>(row.state.into())).painted(paint),
        Cell::blank(&done.unwrap_or_default()).painted(paint),
        Cell::blank(&row.amount),
        Cell::blank(&row.rate),
        Cell::blank(&row.eta),
        Cell::blank(&row.age),
        Cell::blank(&doing),
    ]
}
