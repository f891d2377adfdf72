//! `jobplane types`: which types of jobs there are, and one of them in detail.

use std::collections::BTreeMap;

use super::apply::text;
use super::client::{Client, Limit};
use super::exit::{Exit, Failure};
use super::history;
use super::names::word;
use super::output::{Format, Out};
use super::paint::Paint;
use super::table::{Cell, Table};
use super::{Context, format, pages};
use crate::domain::Timestamp;
use crate::proto::v1::preview_schedule_request::Of;
use crate::proto::v1::schedule::Times;
use crate::proto::v1::{
    Circuit, CircuitState, GetJobTypeRequest, GetJobTypeResponse, GetSummaryRequest, JobFilter,
    JobType, JobTypeOrigin, ListJobTypesRequest, ListJobsRequest, PreviewScheduleRequest,
    PutJobTypeRequest, Schedule,
};

#[cfg(test)]
mod tests;

/// Runs that are shown of a type.
const RUNS: usize = 20;

/// The columns that are given up first where there is no room for all.
const SPARE: [&str; 4] = ["WHAT IT DOES", "TIME ZONE", "ORIGIN", "CATEGORY"];

/// Which types.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// One type: how it is declared, and its last runs
    #[arg(value_name = "TYPE")]
    job_type: Option<String>,
    /// Of any of these categories
    #[arg(long = "category", value_name = "CATEGORY", value_delimiter = ',')]
    #[arg(conflicts_with = "job_type")]
    categories: Vec<String>,
    #[command(flatten)]
    time: Limit,
    #[command(subcommand)]
    change: Option<Change>,
}

#[derive(Debug, clap::Subcommand)]
enum Change {
    /// Let jobs of a type run again
    Enable(Switch),
    /// Let no job of a type run: what is created of it is recorded as skipped
    Disable(Switch),
}

#[derive(Debug, clap::Args)]
struct Switch {
    /// The type
    #[arg(value_name = "TYPE")]
    job_type: String,
    /// Why, for those who wonder and for the audit
    #[arg(long, value_name = "TEXT", default_value_t, hide_default_value = true)]
    reason: String,
    #[command(flatten)]
    time: Limit,
}

/// Shows types, or switches one.
pub async fn run(args: Args, context: &Context, out: &mut Out) -> Result<Exit, Failure> {
    match (args.change, args.job_type) {
        (Some(Change::Enable(switch)), _) => set_disabled(switch, false, context, out).await,
        (Some(Change::Disable(switch)), _) => set_disabled(switch, true, context, out).await,
        (None, Some(job_type)) => {
            let client = context.connect(args.time.timeout).await?;
            one(&client, job_type, context, out).await
        }
        (None, None) => {
            let client = context.connect(args.time.timeout).await?;
            all(&client, args.categories, context, out).await
        }
    }
}

async fn all(
    client: &Client,
    categories: Vec<String>,
    context: &Context,
    out: &mut Out,
) -> Result<Exit, Failure> {
    let narrowed = !categories.is_empty();
    let request = client.request(ListJobTypesRequest { categories, origins: Vec::new() });
    let answer = client.ask("list types", client.types().list_job_types(request)).await?;
    match out.format() {
        Format::Table if answer.job_types.is_empty() && narrowed => {
            out.note("jobplane: no type of that category; see all with `jobplane types`")?;
        }
        Format::Table if answer.job_types.is_empty() => {
            out.note("jobplane: no type yet; declare some with `jobplane apply -f FILE`")?;
        }
        Format::Table => {
            let titles = [
                "<TYPE",
                "CATEGORY",
                "ORIGIN",
                "STATE",
                "SCHEDULE",
                "NEXT RUN",
                "TIME ZONE",
                "~WHAT IT DOES",
            ];
            let next = next_runs(client, &answer.job_types).await?;
            let next = |name: &str| next.get(name).map(|at| format::age(at, context.now()));
            let rows = answer.job_types.iter().map(|one| row(one, next(&one.r#type)));
            let rows: Vec<_> = rows.collect();
            Table::new(&titles).spare(&SPARE).write(&rows, out)?;
        }
        Format::Json => out.message(&answer)?,
        Format::Jsonl => answer.job_types.iter().try_for_each(|one| out.message(one))?,
    }
    Ok(Exit::Ok)
}

/// When the types with a schedule run next.
async fn next_runs(
    client: &Client,
    job_types: &[JobType],
) -> Result<BTreeMap<String, prost_types::Timestamp>, Failure> {
    if job_types.iter().all(|one| one.schedule.is_none()) {
        return Ok(BTreeMap::new());
    }
    let request = client.request(GetSummaryRequest::default());
    let answer = client.ask("get the next runs", client.jobs().get_summary(request)).await?;
    let known = answer.summaries.into_iter().filter_map(|of| Some((of.r#type, of.next_fire_time?)));
    Ok(known.collect())
}

/// When a type with a schedule runs next, in a line.
async fn next_run(
    client: &Client,
    job_type: &JobType,
    now: Timestamp,
) -> Result<Option<String>, Failure> {
    let Some(schedule) = &job_type.schedule else { return Ok(None) };
    if let Some(why) = rests(job_type, schedule) {
        return Ok(Some(format!("# no next run: {why}")));
    }
    let of = Some(Of::Type(job_type.r#type.clone()));
    let request = client.request(PreviewScheduleRequest { of, after_time: None, count: 1 });
    let answer =
        client.ask("preview the schedule", client.types().preview_schedule(request)).await?;
    Ok(Some(match answer.fire_times.first() {
        Some(next) => {
            format!("# next run {} ({})", format::moment(next, 0), format::age(next, now))
        }
        None => "# no next run: the schedule is over".to_owned(),
    }))
}

/// Why a schedule makes no run for now, if somebody saw to that.
fn rests(job_type: &JobType, schedule: &Schedule) -> Option<String> {
    let reason = format::plain(&job_type.disabled_reason);
    match (job_type.disabled, schedule.paused) {
        (true, _) if reason.is_empty() => Some("the type is disabled".to_owned()),
        (true, _) => Some(format!("the type is disabled ({reason})")),
        (false, true) => Some("the schedule is paused".to_owned()),
        (false, false) => None,
    }
}

fn row(job_type: &JobType, next: Option<String>) -> Vec<Cell> {
    let schedule = job_type.schedule.as_ref();
    let circuit = breaker(job_type).map(Circuit::state);
    let (state, paint) = match schedule {
        _ if job_type.disabled => ("DISABLED", Some(Paint::Yellow)),
        _ if circuit == Some(CircuitState::Open) => ("CIRCUIT OPEN", Some(Paint::Red)),
        _ if circuit == Some(CircuitState::HalfOpen) => ("HALF OPEN", Some(Paint::Yellow)),
        Some(schedule) if schedule.paused => ("PAUSED", Some(Paint::Yellow)),
        Some(_) | None => ("ENABLED", None),
    };
    let origin = JobTypeOrigin::try_from(job_type.origin).unwrap_or_default();
    vec![
        Cell::from(&job_type.r#type),
        Cell::from(&job_type.category),
        Cell::from(word::<JobTypeOrigin>(origin.into())),
        Cell::from(state).painted(paint),
        Cell::from(times(job_type)),
        Cell::from(next.unwrap_or_default()),
        Cell::from(schedule.map_or("", |schedule| &schedule.time_zone)),
        Cell::from(said(job_type)),
    ]
}

/// Its breaker: its own, or that of all types without one.
fn breaker(job_type: &JobType) -> Option<&Circuit> {
    job_type.circuit.as_ref().or(job_type.default_circuit.as_ref())
}

/// How its breaker stands, in a line, if it has one.
fn circuit_said(job_type: &JobType, now: Timestamp) -> Option<String> {
    let circuit = breaker(job_type)?;
    let state = match word::<CircuitState>(circuit.state) {
        state if state.is_empty() => return None,
        state => state,
    };
    let next = circuit.next_probe_time.as_ref();
    let next = next.map(|next| match format::timestamp(next) {
        past if past <= now => ", the next job tries".to_owned(),
        _ => format!(", next probe {}", format::moment(next, 0)),
    });
    Some(format!("# circuit breaker {state}{}", next.unwrap_or_default()))
}

/// When it runs by itself, in a word.
fn times(job_type: &JobType) -> String {
    let times = job_type.schedule.as_ref().and_then(|schedule| schedule.times.as_ref());
    let expected = if job_type.expected.is_some() { " (elsewhere)" } else { "" };
    match times {
        Some(Times::Cron(cron)) => format!("{cron}{expected}"),
        Some(Times::Interval(every)) => {
            format!("every {}{expected}", format::span(format::duration(every)))
        }
        None => String::new(),
    }
}

/// What it is, in its author's first line.
fn said(job_type: &JobType) -> &str {
    match job_type.description.lines().next() {
        Some(first) => first,
        None => &job_type.display_name,
    }
}

async fn one(
    client: &Client,
    job_type: String,
    context: &Context,
    out: &mut Out,
) -> Result<Exit, Failure> {
    let found = get(client, &job_type).await?;
    match out.format() {
        Format::Json => out.message(&found)?,
        Format::Jsonl => out.message(&found.job_type.clone().unwrap_or_default())?,
        Format::Table => {
            let shown = found.job_type.unwrap_or_default();
            let origin = JobTypeOrigin::try_from(shown.origin).unwrap_or_default();
            let origin = word::<JobTypeOrigin>(origin.into());
            out.line(&match shown.revision {
                0 => format!("# {origin}: only seen on jobs"),
                revision => format!("# {origin}, revision {revision}"),
            })?;
            out.lines(circuit_said(&shown, context.now()))?;
            out.lines(next_run(client, &shown, context.now()).await?)?;
            out.lines(text::of_type(&shown)?)?;
            let filter = JobFilter { types: vec![job_type], ..JobFilter::default() };
            let request = ListJobsRequest { filter: Some(filter), ..ListJobsRequest::default() };
            let runs = pages::first(client, request, RUNS).await?;
            if !runs.jobs.is_empty() {
                let typical = history::typical(client, &runs.jobs).await?;
                let rows: Vec<_> =
                    runs.jobs.iter().map(|job| history::row(job, &typical, out)).collect();
                out.line("")?;
                history::table(out.wide()).write(&rows, out)?;
            }
        }
    }
    Ok(Exit::Ok)
}

async fn get(client: &Client, job_type: &str) -> Result<GetJobTypeResponse, Failure> {
    let doing = format!("get type {}", format::plain(job_type));
    let request = client.request(GetJobTypeRequest { r#type: job_type.to_owned() });
    client.ask(&doing, client.types().get_job_type(request)).await
}

async fn set_disabled(
    switch: Switch,
    disabled: bool,
    context: &Context,
    out: &mut Out,
) -> Result<Exit, Failure> {
    let client = context.connect(switch.time.timeout).await?;
    let mut job_type = get(&client, &switch.job_type).await?.job_type.unwrap_or_default();
    let name = format::plain(&switch.job_type);
    if job_type.origin() != JobTypeOrigin::Declared {
        return Err(Failure::NotDeclared { job_type: switch.job_type });
    }
    let verb = if disabled { "disable" } else { "enable" };
    let reason = switch.reason;
    // Said again without a word, the word that was given stays.
    if !(job_type.disabled && disabled && reason.is_empty()) {
        job_type.disabled_reason = if disabled { reason.clone() } else { String::new() };
    }
    job_type.disabled = disabled;
    let request = PutJobTypeRequest { job_type: Some(job_type), validate_only: false, reason };
    let (doing, request) = (format!("{verb} type {name}"), client.request(request));
    let answer = client.change(&doing, client.types().put_job_type(request)).await?;
    match out.format() {
        Format::Table => out.note(&format!("jobplane: type {name} is {verb}d"))?,
        Format::Json => out.message(&answer)?,
        Format::Jsonl => out.message(&answer.job_type.unwrap_or_default())?,
    }
    Ok(Exit::Ok)
}
