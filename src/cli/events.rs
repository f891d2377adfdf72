//! `jobplane events`: what happened, and with `-f` what happens.

use std::time::Duration;

use clap::builder::PossibleValuesParser;
use tokio::time::{Instant, sleep, sleep_until};

use super::Context;
use super::client::{Client, Limit, pause};
use super::exit::{Exit, Failure};
use super::output::{Format, Out};
use super::paint::{Paint, painted};
use super::table::{Cell, Table};
use super::{format, live, names};
use crate::domain::Timestamp;
use crate::domain::event::EventName;
use crate::proto::v1::event::Facts;
use crate::proto::v1::{
    Event, EventSeverity, ListEventsRequest, ListEventsResponse, OnStuck, SkipReason,
};
use crate::runtime::Clock;

#[cfg(test)]
mod tests;

/// Events that are shown if nobody says how many.
const USUAL: i32 = 20;
/// The server gives no larger pages.
const PAGE_MAX: i32 = 1_000;
/// How long nothing new is asked for when there was nothing new.
const POLL: Duration = Duration::from_secs(1);

/// Which events.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Go on with what happens, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// Any of these, for instance job_failed; may be repeated, or separated by commas
    #[arg(long = "name", value_name = "EVENT", value_delimiter = ',', hide_possible_values = true)]
    #[arg(value_parser = PossibleValuesParser::new(EventName::ALL.iter().map(|name| name.as_str())))]
    names: Vec<String>,
    /// About any of these types
    #[arg(long = "type", short, value_name = "TYPE", value_delimiter = ',')]
    types: Vec<String>,
    /// The last so many
    #[arg(long, short = 'n', value_name = "N", default_value_t = USUAL)]
    #[arg(value_parser = clap::value_parser!(i32).range(0..=i64::from(PAGE_MAX)))]
    limit: i32,
    /// All that are kept, the oldest first
    #[arg(long, conflicts_with_all = ["limit", "after"])]
    all: bool,
    /// Those after the `next_id` of an earlier answer
    #[arg(long, value_name = "ID", conflicts_with = "limit")]
    after: Option<String>,
    #[command(flatten)]
    time: Limit,
}

impl Args {
    fn request(&self) -> ListEventsRequest {
        let goes_on = self.all || self.after.is_some();
        ListEventsRequest {
            names: self.names.clone(),
            types: self.types.clone(),
            after_id: self.after.clone().unwrap_or_default(),
            page_size: PAGE_MAX,
            tail: (!goes_on).then_some(self.limit),
        }
    }
}

/// Shows events.
pub async fn run(args: Args, context: &Context, out: &mut Out) -> Result<Exit, Failure> {
    let client = context.connect(args.time.timeout).await?;
    let mut request = args.request();
    if args.follow {
        // Ctrl-C is how one stops it.
        let ended = tokio::select! {
            ended = follow(&client, &mut request, out) => ended,
            interrupted = tokio::signal::ctrl_c() => interrupted.map_err(Failure::Output),
        };
        go_on(&request.after_id, out)?;
        return ended.map(|()| Exit::Ok);
    }
    let mut whole = ListEventsResponse::default();
    loop {
        let page = ask(&client, &mut request).await?;
        whole.next_id = page.next_id;
        whole.events.extend(page.events);
        // Many at once are not held in memory where each can be shown by itself.
        if out.format() == Format::Jsonl {
            whole.events.drain(..).try_for_each(|event| out.message(&event))?;
        }
        if !page.more {
            break;
        }
    }
    match out.format() {
        Format::Json => out.message(&whole)?,
        Format::Jsonl => go_on(&whole.next_id, out)?,
        Format::Table if whole.events.is_empty() => out.note(nothing(&args))?,
        Format::Table => {
            let rows: Vec<_> =
                whole.events.iter().map(|event| row(event, context.now(), out)).collect();
            table(out.wide()).write(&rows, out)?;
        }
    }
    Ok(Exit::Ok)
}

/// The next answer; the request then asks for the one after it.
async fn ask(
    client: &Client,
    request: &mut ListEventsRequest,
) -> Result<ListEventsResponse, Failure> {
    let call = client.request(request.clone());
    let page = client.ask("list events", client.admin().list_events(call)).await?;
    request.tail = None;
    request.after_id.clone_from(&page.next_id);
    Ok(page)
}

/// How to go on from here, for programs that get the events alone.
fn go_on(next_id: &str, out: &mut Out) -> Result<(), Failure> {
    if out.format() != Format::Jsonl || next_id.is_empty() {
        return Ok(());
    }
    out.note(&format!("jobplane: go on with --after {}", format::plain(next_id)))
}

fn nothing(args: &Args) -> &'static str {
    if args.names.is_empty() && args.types.is_empty() && args.after.is_none() {
        "jobplane: nothing happened yet that is told; follow what does with `jobplane events -f`"
    } else {
        "jobplane: no such event; see all with `jobplane events --all`"
    }
}

/// Prints events as they happen; a server that is away for a while is waited for.
async fn follow(
    client: &Client,
    request: &mut ListEventsRequest,
    out: &mut Out,
) -> Result<(), Failure> {
    let until = client.deadline();
    let (mut breaks, mut heard) = (0, false);
    loop {
        let rest = match ask(client, request).await {
            Ok(page) => {
                (breaks, heard) = (0, true);
                page.events.iter().try_for_each(|event| print(event, out))?;
                out.flush()?;
                if page.more { Duration::ZERO } else { POLL }
            }
            Err(Failure::Refused(refusal)) if heard && refusal.passing => {
                let rest = pause(breaks, refusal.retry_after);
                breaks += 1;
                let (cause, said) = (refusal.cause(), format::span(rest));
                out.note(&format!("jobplane: lost the server ({cause}); trying again in {said}"))?;
                rest
            }
            Err(failure) => return Err(failure),
        };
        wait(rest, until).await?;
    }
}

async fn wait(rest: Duration, until: Option<(Instant, Duration)>) -> Result<(), Failure> {
    match until {
        Some((until, after)) if Clock::monotonic() + rest >= until => {
            sleep_until(until).await;
            Err(Failure::TimedOut {
                doing: "following events".to_owned(),
                after,
                next: "allow more with --timeout, or leave it out".to_owned(),
            })
        }
        Some(_) | None => {
            sleep(rest).await;
            Ok(())
        }
    }
}

fn print(event: &Event, out: &mut Out) -> Result<(), Failure> {
    if out.format() != Format::Table {
        return out.message(event);
    }
    let time = event.time.as_ref().map(|time| format::moment(time, 0)).unwrap_or_default();
    let severity = names::word::<EventSeverity>(event.severity);
    let severity = painted(&format!("{severity:<7}"), paint(event.severity()), out.colour());
    let parts = [about(event), event.job_id.clone(), what(event)];
    let parts: Vec<String> =
        parts.iter().filter(|part| !part.is_empty()).map(|part| format::plain(part)).collect();
    out.line(&format!("{time}  {severity}  {:<16}  {}", event.name, parts.join("  ")))
}

const fn paint(severity: EventSeverity) -> Option<Paint> {
    match severity {
        EventSeverity::Error => Some(Paint::Red),
        EventSeverity::Warning => Some(Paint::Yellow),
        EventSeverity::Info | EventSeverity::Unspecified => None,
    }
}

fn table(wide: bool) -> Table {
    let mut titles = vec!["TIME", "SEVERITY", "<EVENT", "<ABOUT", "JOB"];
    if wide {
        titles.extend(["<QUEUE", "<OWNER", "ID"]);
    }
    titles.push("~WHAT");
    Table::new(&titles).spare(&["SEVERITY", "JOB", "TIME"])
}

fn row(event: &Event, now: Timestamp, out: &Out) -> Vec<Cell> {
    let time = event.time.as_ref().map(|time| format::moment_fit(time, now, out.room()));
    let time = time.unwrap_or_default();
    let job =
        if out.room().is_some() { live::short_id(&event.job_id) } else { event.job_id.clone() };
    let mut cells = vec![
        Cell::from(time),
        Cell::from(names::word::<EventSeverity>(event.severity)).painted(paint(event.severity())),
        Cell::from(&event.name),
        Cell::from(about(event)),
        Cell::from(job),
    ];
    if out.wide() {
        cells.extend([&event.queue, &event.owner, &event.id].map(Cell::from));
    }
    cells.push(Cell::blank(&what(event)));
    cells
}

/// The type it is about, or else the queue, the quota or the worker.
fn about(event: &Event) -> String {
    match &event.facts {
        _ if !event.r#type.is_empty() => event.r#type.clone(),
        Some(Facts::QuotaExhausted(quota)) => quota.quota.clone(),
        Some(Facts::WorkerLost(worker)) => worker.worker_id.clone(),
        Some(_) | None => event.queue.clone(),
    }
}

/// What is known about it, in a few words.
fn what(event: &Event) -> String {
    let span = |span: &Option<prost_types::Duration>| format::span_or_nothing(span.as_ref());
    let moment = |time: &Option<prost_types::Timestamp>| {
        time.as_ref().map(|time| format::moment(time, 0)).unwrap_or_default()
    };
    let said = |head: String, words: &str| {
        if words.is_empty() { head } else { format!("{head}: {words}") }
    };
    let Some(facts) = &event.facts else { return String::new() };
    match facts {
        Facts::JobSucceeded(it) => {
            format!("in {}, attempt {}", span(&it.run_duration), it.attempts)
        }
        Facts::JobFailed(it) => {
            let times = if it.attempts == 1 { "time" } else { "times" };
            let code = if it.code.is_empty() { "failed" } else { &it.code };
            said(format!("{code} (tried {} {times})", it.attempts), &it.message)
        }
        Facts::JobCancelled(it) if it.requested_by.is_empty() => it.reason.clone(),
        Facts::JobCancelled(it) => said(format!("by {}", it.requested_by), &it.reason),
        Facts::JobSkipped(it) => names::word::<SkipReason>(it.reason),
        Facts::JobStuck(it) => {
            let done = if it.action() == OnStuck::Notify { "runs on" } else { "asked to stop" };
            format!("for {} min, {done}", it.minutes)
        }
        Facts::JobSlow(it) => {
            format!("has run {}, usually at most {}", span(&it.run_duration), span(&it.p95))
        }
        Facts::ScheduleMissed(it) => format!("was due {}", moment(&it.nominal_time)),
        Facts::CircuitOpened(it) => format!("next probe {}", moment(&it.next_probe_time)),
        Facts::CircuitClosed(_) => String::new(),
        Facts::QuotaExhausted(it) => {
            let (used, limit) = (format::count(it.used), format::count(it.limit));
            let needs = match it.cost {
                0 => String::new(),
                cost => format!(", a start needs {}", format::count(cost)),
            };
            format!("{used} of {limit} used{needs}, until {}", moment(&it.reset_time))
        }
        Facts::QueueAge(it) => {
            format!("the oldest job has waited {}, over {}", span(&it.age), span(&it.threshold))
        }
        Facts::WorkerLost(it) if it.jobs == 0 => "held no job".to_owned(),
        Facts::WorkerLost(it) if it.jobs == 1 => "held 1 job".to_owned(),
        Facts::WorkerLost(it) => format!("held {} jobs", format::count(it.jobs)),
        Facts::ResourceLimit(it) => it.reason.clone(),
    }
}
