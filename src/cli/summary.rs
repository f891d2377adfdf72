//! `jobplane summary`: how each type of job does, a line each.

use std::time::Duration;

use super::client::{Client, Limit};
use super::exit::{Exit, Failure};
use super::filter::Filter;
use super::names::word;
use super::output::{Format, Out};
use super::paint::{Paint, painted};
use super::screen::{Screen, Signal, Signals};
use super::table::{Cell, Table};
use super::{Context, format, live, parse, stats};
use crate::domain::Timestamp;
use crate::proto::v1::get_summary_response::Summary;
use crate::proto::v1::{CircuitState, GetSummaryRequest, GetSummaryResponse, JobState};

mod narrowed;

#[cfg(test)]
mod tests;

/// Lines that are shown if nobody says how many.
const USUAL: usize = 100;

/// Which types.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Look again and again, until Ctrl-C
    #[arg(long, short)]
    watch: bool,
    /// With --watch: look so often
    #[arg(long, value_name = "DURATION", value_parser = parse::duration, default_value = "2s")]
    interval: Duration,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    time: Limit,
}

/// Shows the lines; with --watch until Ctrl-C, which is no failure.
pub async fn run(args: Args, context: &Context, out: &mut Out) -> Result<Exit, Failure> {
    // What cannot be asked is said before the server is.
    args.filter.wire(context.now())?;
    let client = context.connect(args.time.timeout).await?;
    if args.watch {
        return watch(&args, &client, context, out).await;
    }
    show(&ask(&args, &client, context.now()).await?, &args, context.now(), out)?;
    Ok(Exit::Ok)
}

async fn ask(args: &Args, client: &Client, now: Timestamp) -> Result<GetSummaryResponse, Failure> {
    let filter = &args.filter;
    let wire = filter.wire(now)?;
    let request =
        GetSummaryRequest { types: wire.types, categories: wire.categories, recent_runs: 0 };
    let call = client.request(request);
    let mut answer = client.ask("get the summary", client.jobs().get_summary(call)).await?;
    if filter.narrows() {
        narrowed::narrow(&mut answer, filter, client, now).await?;
    }
    answer.summaries.truncate(filter.at_most(USUAL));
    Ok(answer)
}

fn show(
    answer: &GetSummaryResponse,
    args: &Args,
    now: Timestamp,
    out: &mut Out,
) -> Result<(), Failure> {
    match out.format() {
        Format::Json => out.message(answer),
        Format::Jsonl => answer.summaries.iter().try_for_each(|summary| out.message(summary)),
        Format::Table if answer.summaries.is_empty() => out.note(&nothing(&args.filter)),
        Format::Table => {
            table(out.wide()).write(&rows(answer, now, out.wide()), out)?;
            if answer.quotas.is_empty() {
                return Ok(());
            }
            out.line("")?;
            stats::quotas(&answer.quotas, now, out)
        }
    }
}

fn nothing(filter: &Filter) -> String {
    let next = if filter.categories.is_empty() {
        "a type is known once it had a job, or is declared: `jobplane submit TYPE`, `jobplane apply`"
    } else {
        "a type has the category that it is declared with: `jobplane types`"
    };
    format!("jobplane: no type of job{}; {next}", filter.words())
}

/// On a terminal redrawn in place; else printed again whenever it says something else.
async fn watch(
    args: &Args,
    client: &Client,
    context: &Context,
    out: &mut Out,
) -> Result<Exit, Failure> {
    // A server that is not there at the beginning ends it; one that was there is waited for.
    let first = ask(args, client, context.now()).await?;
    let mut signals = Signals::new()?;
    if out.terminal() {
        let mut screen = Screen::enter(out)?;
        let exit = draw(args, client, context, first, &mut screen, &mut signals).await?;
        screen.leave()?;
        return Ok(exit);
    }
    show(&first, args, context.now(), out)?;
    out.flush()?;
    let (mut last, mut lost) = (first, false);
    loop {
        match look(args, client, context, &mut signals).await? {
            Look::Answer(answer) => {
                lost = false;
                if last != answer {
                    if out.format() == Format::Table {
                        out.line("")?;
                    }
                    show(&answer, args, context.now(), out)?;
                    out.flush()?;
                    last = answer;
                }
            }
            Look::Lost(cause) if !std::mem::replace(&mut lost, true) => {
                let address = &context.address;
                out.note(&format!("jobplane: lost {address} ({cause}); trying again and again"))?;
            }
            Look::Lost(_) => {}
            Look::Signal(signal) => {
                if let Some(exit) = signal.exit() {
                    return Ok(exit);
                }
            }
        }
    }
}

async fn draw(
    args: &Args,
    client: &Client,
    context: &Context,
    mut answer: GetSummaryResponse,
    screen: &mut Screen<'_>,
    signals: &mut Signals,
) -> Result<Exit, Failure> {
    let mut lost = None;
    loop {
        screen.draw(frame(&answer, lost.as_deref(), args, context, screen))?;
        match look(args, client, context, signals).await? {
            Look::Answer(newer) => (answer, lost) = (newer, None),
            Look::Lost(cause) => lost = Some(cause),
            Look::Signal(Signal::Suspend) => screen.suspend()?,
            Look::Signal(signal) => {
                if let Some(exit) = signal.exit() {
                    return Ok(exit);
                }
            }
        }
    }
}

/// What the next look brings.
enum Look {
    Answer(GetSummaryResponse),
    /// No answer for now.
    Lost(String),
    /// A signal came first.
    Signal(Signal),
}

/// Looks again once that is due, unless a signal comes before the answer.
async fn look(
    args: &Args,
    client: &Client,
    context: &Context,
    signals: &mut Signals,
) -> Result<Look, Failure> {
    let answer = async {
        tokio::time::sleep(args.interval).await;
        ask(args, client, context.now()).await
    };
    let answer = tokio::select! {
        signal = signals.next() => return Ok(Look::Signal(signal)),
        answer = answer => answer,
    };
    match answer {
        Ok(answer) => Ok(Look::Answer(answer)),
        Err(Failure::Refused(refusal)) if refusal.passing => {
            Ok(Look::Lost(refusal.cause().to_owned()))
        }
        Err(failure) => Err(failure),
    }
}

fn frame(
    answer: &GetSummaryResponse,
    lost: Option<&str>,
    args: &Args,
    context: &Context,
    screen: &Screen<'_>,
) -> Vec<String> {
    let (columns, height) = Screen::size();
    let now = context.now();
    let (every, address) = (format::span(args.interval), &context.address);
    let moment = format::moment(&parse::wire_moment(now), 0);
    let title = format!("jobplane summary  {address}  every {every}  {moment}");
    let title = painted(&format::fit(&title, columns), Some(Paint::Dim), screen.colour());
    let second = lost.map(|cause| format!("lost the server ({cause}); trying again"));
    let second = format::fit(&second.unwrap_or_default(), columns);
    let mut lines = vec![title, painted(&second, Some(Paint::Red), screen.colour())];
    if answer.summaries.is_empty() {
        lines.push(format::fit(&nothing(&args.filter), columns));
    } else {
        let rows = rows(answer, now, false);
        let types = table(false).frame(&rows, columns, screen.colour());
        let mut below = Vec::new();
        if !answer.quotas.is_empty() {
            let (mut table, rows) = stats::quota_rows(&answer.quotas, now);
            below.push(String::new());
            below.extend(table.frame(&rows, columns, screen.colour()));
        }
        let room = height.saturating_sub(lines.len() + below.len());
        lines.extend(cut(types, room));
        lines.extend(below);
    }
    lines
}

/// As many lines as there is room for; the last one says how many more there are. The header and one line are always
/// there.
fn cut(mut lines: Vec<String>, room: usize) -> Vec<String> {
    let room = room.max(3);
    if lines.len() > room {
        let more = lines.len() - (room - 1);
        lines.truncate(room - 1);
        lines.push(format!("… {more} more"));
    }
    lines
}

fn table(wide: bool) -> Table {
    let mut titles =
        vec!["<TYPE", "LAST RUN", "STATE", ">ITEMS", ">RAN", ">TYPICAL", ">FAILED/24H", "NEXT RUN"];
    if wide {
        titles.extend([
            "CATEGORY",
            ">FAILED/1H",
            "LAST SUCCESS",
            ">PENDING",
            ">RUNNING",
            "LAST JOB",
        ]);
    }
    Table::new(&titles).spare(&["TYPICAL", "RAN", "NEXT RUN", "LAST RUN"])
}

fn rows(answer: &GetSummaryResponse, now: Timestamp, wide: bool) -> Vec<Vec<Cell>> {
    answer.summaries.iter().map(|summary| row(summary, now, wide)).collect()
}

/// What is shown where no run is planned.
fn nothing_comes() -> String {
    format::NOTHING.to_owned()
}

fn row(summary: &Summary, now: Timestamp, wide: bool) -> Vec<Cell> {
    let last = summary.last_job.clone().unwrap_or_default();
    let status = last.status.clone().unwrap_or_default();
    let state = live::state(&last);
    let began = status.start_time.as_ref().or(status.create_time.as_ref());
    let ago = |time: Option<&prost_types::Timestamp>| {
        time.map(|time| format::age(time, now)).unwrap_or_default()
    };
    let off = match (summary.disabled, summary.circuit_state()) {
        (true, _) => " (disabled)",
        (false, CircuitState::Open) => " (circuit open)",
        (false, CircuitState::HalfOpen) => " (circuit half open)",
        (false, CircuitState::Closed | CircuitState::Unspecified) => "",
    };
    let name = format!("{}{off}", summary.r#type);
    let failed = summary.failed_last_day;
    let progress = status.progress.clone().unwrap_or_default();
    let mut cells = vec![
        Cell::from(name),
        Cell::from(ago(began)),
        Cell::from(word::<JobState>(state.into())).painted(Paint::of_state(state)),
        Cell::from(live::amount(&progress)),
        Cell::from(format::span_or_nothing(status.run_duration.as_ref())),
        Cell::from(format::span_or_nothing(summary.typical_run_duration.as_ref())),
        Cell::from(failed.to_string()).painted((failed > 0).then_some(Paint::Red)),
        Cell::from(
            summary.next_fire_time.as_ref().map_or_else(nothing_comes, |at| format::age(at, now)),
        ),
    ];
    if wide {
        let counted = !summary.counts.is_empty();
        let count = |state| counted.then(|| stats::count(&summary.counts, state).to_string());
        let count = |state| count(state).unwrap_or_default();
        cells.extend([
            Cell::from(&summary.category),
            Cell::from(summary.failed_last_hour.to_string()),
            Cell::from(ago(summary.last_success_time.as_ref())),
            Cell::from(count(JobState::Pending)),
            Cell::from(count(JobState::Running)),
            Cell::from(&last.id),
        ]);
    }
    cells
}
