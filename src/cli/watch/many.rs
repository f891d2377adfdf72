//! Many jobs, live: a table redrawn in place on a terminal, else a line for each change.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::frame::Frame;
use super::{Args, Context};
use crate::cli::client::{Client, FollowMany, Seen};
use crate::cli::exit::{Exit, Failure};
use crate::cli::live::{Change, Jobs, What, is_over, state};
use crate::cli::output::{Format, Out};
use crate::cli::screen::{Frames, Screen, Signal, Signals};
use crate::cli::{describe, format, parse};
use crate::domain::Timestamp;
use crate::proto::v1::{Job, JobFilter, JobState, JobView, WatchJobsRequest};

/// A running job is told of again when it is so many percent further, …
const STEP_PERCENT: f64 = 10.0;
/// … or after this.
const STEP_TIME: Duration = Duration::from_secs(10);

/// Follows all jobs that match: until Ctrl-C, or with `--until-done` until none is left that is not over.
pub async fn run(
    args: &Args,
    filter: JobFilter,
    client: &Client,
    context: &Context,
    out: &mut Out,
) -> Result<Exit, Failure> {
    let mut follow = FollowMany::new(client, request(args, filter, out));
    let mut signals = Signals::new()?;
    if out.terminal() {
        let mut screen = Screen::enter(out)?;
        let exit = draw(args, &mut follow, context, &mut screen, &mut signals).await?;
        screen.leave()?;
        return Ok(exit);
    }
    let mut jobs = Jobs::default();
    let mut told = Told::default();
    // Lines tell of so many jobs, the first that came.
    let (most, mut shown) = (args.filter.at_most(usize::MAX), HashSet::new());
    loop {
        let event = tokio::select! {
            event = follow.next() => event?,
            signal = signals.next() => match stopped(signal, args) {
                Some(exit) => return Ok(exit),
                None => continue,
            },
        };
        if let Seen::Lost { cause, pause } = &event.seen {
            let (address, pause) = (&context.address, format::span(*pause));
            out.note(&format!("jobplane: lost {address} ({cause}); trying again in {pause}"))?;
        }
        let first = !jobs.complete() && matches!(event.seen, Seen::Complete);
        let mut changes = jobs.take(event.seen, context.now());
        changes.retain(|change| {
            let id = &change.job.id;
            shown.contains(id) || shown.len() < most && shown.insert(id.clone())
        });
        if out.format() == Format::Table {
            let lines = changes.iter().filter_map(|change| told.line(change, context.now(), out));
            let lines: Vec<String> = lines.collect();
            out.lines(lines)?;
        } else if let Some(wire) = &event.wire {
            out.message(wire)?;
        }
        if first && jobs.all().next().is_none() {
            let which = args.filter.words();
            out.note(&if args.until_done {
                format!("jobplane: no job{which} is there to wait for")
            } else {
                format!("jobplane: no job{which} yet; waiting for some, until Ctrl-C")
            })?;
        }
        out.flush()?;
        if let Some(exit) = done(&jobs, args) {
            return Ok(exit);
        }
    }
}

fn request(args: &Args, filter: JobFilter, out: &Out) -> WatchJobsRequest {
    let view = match out.format() {
        Format::Table => JobView::Basic,
        Format::Json | Format::Jsonl => JobView::Full,
    };
    WatchJobsRequest {
        filter: Some(filter),
        view: view.into(),
        min_interval: args.interval.map(parse::wire_duration),
        ..WatchJobsRequest::default()
    }
}

async fn draw(
    args: &Args,
    follow: &mut FollowMany,
    context: &Context,
    screen: &mut Screen<'_>,
    signals: &mut Signals,
) -> Result<Exit, Failure> {
    let mut jobs = Jobs::default();
    let mut frame = Frame::new(context.address.to_string(), args.filter.clone());
    let mut frames = Frames::new();
    loop {
        tokio::select! {
            event = follow.next() => {
                jobs.take(event?.seen, context.now());
                frames.changed();
                if let Some(exit) = done(&jobs, args) {
                    screen.draw(frame.lines(&jobs, context.now(), Screen::size(), screen.colour()))?;
                    return Ok(exit);
                }
            }
            signal = signals.next() => {
                if let Some(exit) = stopped(signal, args) {
                    return Ok(exit);
                }
                if signal == Signal::Suspend {
                    screen.suspend()?;
                }
                frames.changed();
            }
            () = frames.due() => {
                screen.draw(frame.lines(&jobs, context.now(), Screen::size(), screen.colour()))?;
            }
        }
    }
}

/// How the watch ends by a signal. Ctrl-C is how one stops it, unless it was to wait for the end of the jobs.
fn stopped(signal: Signal, args: &Args) -> Option<Exit> {
    match signal.exit() {
        Some(Exit::Ok) if args.until_done => Some(Exit::Interrupted),
        exit => exit,
    }
}

/// How the watch ends because nothing is left to be done.
fn done(jobs: &Jobs, args: &Args) -> Option<Exit> {
    if !args.until_done || !jobs.complete() || jobs.all().any(|job| !is_over(state(job))) {
        return None;
    }
    let tally = jobs.tally();
    let well = tally.failed + tally.cancelled + tally.skipped == 0;
    Some(if well { Exit::Ok } else { Exit::JobFailed })
}

/// What was said last about each running job.
#[derive(Default)]
struct Told(HashMap<String, (f64, String, Timestamp)>);

impl Told {
    /// The line about a change; `None` if it is not worth one.
    fn line(&mut self, change: &Change, now: Timestamp, out: &Out) -> Option<String> {
        let job = &change.job;
        let running = state(job) == JobState::Running;
        let worth = match change.what {
            What::New | What::Moved | What::Left | What::Deleted => true,
            What::Progressed => running && self.further(job, now),
        };
        if running && worth {
            self.0.insert(job.id.clone(), mark(job, now));
        } else if !running {
            self.0.remove(&job.id);
        }
        worth.then(|| line(change, now, out))
    }

    fn further(&self, job: &Job, now: Timestamp) -> bool {
        let (percent, step, _) = mark(job, now);
        match self.0.get(&job.id) {
            None => true,
            Some((before, step_before, when)) => {
                (percent - before).abs() >= STEP_PERCENT
                    || step != *step_before
                    || now.since(*when) >= STEP_TIME
            }
        }
    }
}

fn mark(job: &Job, now: Timestamp) -> (f64, String, Timestamp) {
    let progress = job.status.as_ref().and_then(|status| status.progress.clone());
    let progress = progress.unwrap_or_default();
    (progress.percent.unwrap_or_default(), progress.current_step, now)
}

fn line(change: &Change, now: Timestamp, out: &Out) -> String {
    let job = &change.job;
    let status = job.status.clone().unwrap_or_default();
    let said = match change.what {
        What::New | What::Moved | What::Progressed => describe::line(&status, now, out.colour()),
        What::Left => format!("{:9}  matches no more", describe::state(&status)),
        What::Deleted => format!("{:9}  it was {}", "DELETED", describe::state(&status)),
    };
    let moment = format::moment(&parse::wire_moment(now), 0);
    let job_type = job.spec.as_ref().map_or("", |spec| &spec.r#type);
    format!("{moment}  {}  {}  {said}", job.id, format::plain(job_type))
}
