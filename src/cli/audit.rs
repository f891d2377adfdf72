//! `jobplane audit`: who did what to which job, type or queue.

use clap::builder::PossibleValuesParser;

use super::client::{Client, Limit};
use super::exit::{Exit, Failure};
use super::output::{Format, Out};
use super::parse::{self, Since};
use super::table::{Cell, Table};
use super::{Context, find, format, live};
use crate::domain::Timestamp;
use crate::domain::audit::AuditAction;
use crate::proto::v1::{AuditEvent, ListAuditEventsRequest, ListAuditEventsResponse};

mod words;

#[cfg(test)]
mod tests;

/// Deeds that are shown if nobody says how many.
const USUAL: usize = 20;
/// The server gives no larger pages.
const PAGE_MAX: usize = 1_000;

/// Which deeds. Those that meet all that is said are shown.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// By this caller
    #[arg(long)]
    actor: Option<String>,
    /// To this job: its id, or 8 letters or more of its beginning or end while it is there
    #[arg(long, value_name = "JOB", value_parser = parse::job_id)]
    job: Option<String>,
    /// To this type, or to a job of it
    #[arg(long = "type", short, value_name = "TYPE")]
    job_type: Option<String>,
    /// Any of these, for instance cancel_job; may be repeated, or separated by commas
    #[arg(
        long = "action",
        value_name = "ACTION",
        value_delimiter = ',',
        hide_possible_values = true
    )]
    #[arg(value_parser = PossibleValuesParser::new(AuditAction::ALL.iter().map(|it| it.as_str())))]
    actions: Vec<String>,
    /// Since: so long ago (2h, 7d), or a moment (RFC 3339)
    #[arg(long, value_name = "WHEN", value_parser = parse::since)]
    since: Option<Since>,
    /// Until then
    #[arg(long, value_name = "WHEN", value_parser = parse::since)]
    until: Option<Since>,
    /// At most so many
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    #[command(flatten)]
    time: Limit,
}

impl Args {
    fn request(&self, job_id: String, now: Timestamp) -> ListAuditEventsRequest {
        let moment = |since: Option<Since>| since.map(|it| parse::wire_moment(it.moment(now)));
        ListAuditEventsRequest {
            actor: self.actor.clone().unwrap_or_default(),
            job_id,
            r#type: self.job_type.clone().unwrap_or_default(),
            actions: self.actions.clone(),
            time_after: moment(self.since),
            time_before: moment(self.until),
            ..ListAuditEventsRequest::default()
        }
    }
}

/// Shows deeds, the newest first.
pub async fn run(args: Args, context: &Context, out: &mut Out) -> Result<Exit, Failure> {
    let client = context.connect(args.time.timeout).await?;
    let job = match &args.job {
        // A whole id is taken as it is: the job may be gone.
        Some(job) if job.parse::<crate::domain::JobId>().is_ok() => job.clone(),
        Some(job) => find::job(&client, job).await?,
        None => String::new(),
    };
    let wanted = args.limit.map_or(USUAL, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let answer = list(&client, args.request(job, context.now()), wanted).await?;
    match out.format() {
        Format::Json => out.message(&answer)?,
        Format::Jsonl => answer.events.iter().try_for_each(|event| out.message(event))?,
        Format::Table if answer.events.is_empty() => {
            out.note("jobplane: nothing that fits was done, as far as the audit reaches back")?;
        }
        Format::Table => {
            let rows: Vec<_> =
                answer.events.iter().map(|event| row(event, context.now(), out)).collect();
            table(out.wide()).write(&rows, out)?;
            if !answer.next_page_token.is_empty() {
                out.note("jobplane: there are more; ask for them with -n")?;
            }
        }
    }
    Ok(Exit::Ok)
}

/// At most so many deeds, as one answer.
async fn list(
    client: &Client,
    mut request: ListAuditEventsRequest,
    wanted: usize,
) -> Result<ListAuditEventsResponse, Failure> {
    let mut whole = ListAuditEventsResponse::default();
    loop {
        let left = (wanted - whole.events.len()).min(PAGE_MAX);
        request.page_size = i32::try_from(left).unwrap_or(i32::MAX);
        let call = client.request(request.clone());
        let page = client.ask("list the audit", client.admin().list_audit_events(call)).await?;
        whole.events.extend(page.events);
        whole.next_page_token = page.next_page_token;
        if whole.next_page_token.is_empty() || whole.events.len() >= wanted {
            return Ok(whole);
        }
        request.page_token.clone_from(&whole.next_page_token);
    }
}

fn table(wide: bool) -> Table {
    let mut titles = vec!["TIME", "<WHO", "<DID", "<TO", "JOB"];
    if wide {
        titles.extend(["ACTION", "ID"]);
    }
    // What changed may be long: last, it makes nothing else wide.
    titles.extend(["~WHY", "~CHANGE"]);
    Table::new(&titles).spare(&["WHY", "JOB", "CHANGE", "TIME"])
}

fn row(event: &AuditEvent, now: Timestamp, out: &Out) -> Vec<Cell> {
    let time = event.time.as_ref().map(|time| format::moment_fit(time, now, out.room()));
    let time = time.unwrap_or_default();
    let job =
        if out.room().is_some() { live::short_id(&event.job_id) } else { event.job_id.clone() };
    let mut cells = vec![
        Cell::from(time),
        Cell::from(&event.actor),
        Cell::from(words::did(event)),
        Cell::from(about(event)),
        Cell::from(job),
    ];
    if out.wide() {
        cells.extend([Cell::from(&event.action), Cell::from(&event.id)]);
    }
    cells.extend([Cell::blank(&event.reason), Cell::blank(&change(event))]);
    cells
}

/// What it was done to, besides the job.
fn about(event: &AuditEvent) -> &str {
    let named = [&event.r#type, &event.queue, &event.quota, &event.worker_id, &event.instance_id];
    named.into_iter().find(|name| !name.is_empty()).map_or("", String::as_str)
}

/// A field and its value as people read them: moments are not microseconds there.
fn shown<'a>(name: &'a str, value: &str) -> (&'a str, String) {
    let moment = name.strip_suffix("_us").zip(value.parse().ok());
    match moment.map(|(name, micros)| (name, Timestamp::from_micros(micros))) {
        Some((name, at)) => (name, format::moment(&parse::wire_moment(at), 0)),
        None => (name, value.to_owned()),
    }
}

/// What changed: `state PENDING → CANCELLED, revision 1 → 2`.
fn change(event: &AuditEvent) -> String {
    let mut names: Vec<&String> = event.before.keys().chain(event.after.keys()).collect();
    names.sort_unstable();
    names.dedup();
    // The state is what people look for first.
    names.sort_by_key(|name| name.as_str() != "state");
    let changes =
        names.into_iter().map(|name| match (event.before.get(name), event.after.get(name)) {
            (Some(before), Some(after)) => {
                let ((name, before), (_, after)) = (shown(name, before), shown(name, after));
                format!("{name} {before} → {after}")
            }
            (None, Some(after)) => {
                let (name, after) = shown(name, after);
                format!("{name} = {after}")
            }
            (Some(before), None) => {
                let (name, before) = shown(name, before);
                format!("{name} was {before}")
            }
            (None, None) => name.clone(),
        });
    changes.collect::<Vec<_>>().join(", ")
}
