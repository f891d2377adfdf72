//! `jobplane quota`: what is left of what others allow, and what they allow.

use super::client::{Client, Limit};
use super::exit::{Exit, Failure};
use super::names::{self, word};
use super::output::{Format, Out};
use super::paint::Paint;
use super::table::{Cell, Table};
use super::{Context, format};
use crate::proto::v1::{
    DeleteQuotaRequest, JobType, ListJobTypesRequest, ListQuotasRequest, ListQuotasResponse,
    PutQuotaRequest, Quota, QuotaExhausted, QuotaPeriod,
};

#[cfg(test)]
mod tests;

/// The columns that are given up first where there is no room for all.
const SPARE: [&str; 3] = ["TIME ZONE", "WHEN USED UP", "DRAWN BY"];

/// All quotas, or one.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    /// This quota only
    #[arg(value_name = "QUOTA")]
    name: Option<String>,
    #[command(flatten)]
    limit: Limit,
    #[command(subcommand)]
    change: Option<Change>,
}

#[derive(Debug, clap::Subcommand)]
enum Change {
    /// Set a quota up, or change it; what is not named stays as it is
    Set(Set),
    /// Take a quota away, with what was used of it; refused while a declared type draws on it
    Delete {
        /// The quota
        #[arg(value_name = "QUOTA")]
        name: String,
        #[command(flatten)]
        time: Limit,
    },
}

#[derive(Debug, clap::Args)]
#[group(id = "quota", required = true, multiple = true)]
struct Set {
    /// The quota
    #[arg(value_name = "QUOTA", group = "which")]
    name: String,
    /// Units in a period; a new quota must have it
    #[arg(long, value_name = "N", group = "quota", value_parser = clap::value_parser!(i64).range(1..))]
    limit: Option<i64>,
    /// What they are counted over: hour, day (of a new quota, if left out), week (from Monday) or month
    #[arg(long, value_name = "PERIOD", group = "quota", value_parser = names::values::<QuotaPeriod>())]
    period: Option<QuotaPeriod>,
    /// Whose clock tells when a period begins, for instance America/Los_Angeles; UTC if left out
    #[arg(long, value_name = "ZONE", group = "quota")]
    time_zone: Option<String>,
    /// What becomes of jobs when it is used up: wait for the next period (if left out), or skip
    #[arg(long, value_name = "WHAT", group = "quota", value_parser = names::values::<QuotaExhausted>())]
    on_exhausted: Option<QuotaExhausted>,
    #[command(flatten)]
    time: Limit,
}

/// Shows the quotas, or changes one.
pub async fn run(args: Args, context: &Context, out: &mut Out) -> Result<Exit, Failure> {
    match args.change {
        Some(Change::Set(set)) => put(set, context, out).await,
        Some(Change::Delete { name, time }) => {
            let client = context.connect(time.timeout).await?;
            let shown = format::plain(&name);
            let request = client.request(DeleteQuotaRequest { name });
            let doing = format!("delete quota {shown}");
            let answer = client.change(&doing, client.admin().delete_quota(request)).await?;
            match out.format() {
                Format::Table => out.note(&format!("jobplane: quota {shown} is gone"))?,
                Format::Json | Format::Jsonl => out.message(&answer)?,
            }
            Ok(Exit::Ok)
        }
        None => {
            let client = context.connect(args.limit.timeout).await?;
            show(&client, args.name, context, out).await
        }
    }
}

async fn list(client: &Client) -> Result<ListQuotasResponse, Failure> {
    let request = client.request(ListQuotasRequest {});
    client.ask("list quotas", client.admin().list_quotas(request)).await
}

async fn show(
    client: &Client,
    name: Option<String>,
    context: &Context,
    out: &mut Out,
) -> Result<Exit, Failure> {
    let mut answer = list(client).await?;
    if let Some(name) = &name {
        answer.quotas.retain(|quota| quota.name == *name);
        if answer.quotas.is_empty() {
            return Err(Failure::Missing {
                what: format!("quota {name}"),
                next: "see which there are with `jobplane quota`".to_owned(),
            });
        }
    }
    match out.format() {
        Format::Table if answer.quotas.is_empty() => {
            out.note(
                "jobplane: no quota yet; set one up with `jobplane quota set QUOTA --limit N`, or \
                 `jobplane apply -f FILE`",
            )?;
        }
        Format::Table => {
            let request = client.request(ListJobTypesRequest::default());
            let types = client.ask("list types", client.types().list_job_types(request)).await?;
            let titles = [
                "<QUOTA",
                ">USED",
                ">LEFT",
                ">LIMIT",
                "PERIOD",
                ">RESETS IN",
                "TIME ZONE",
                "WHEN USED UP",
                "~DRAWN BY",
            ];
            let quotas = answer.quotas.iter();
            let rows: Vec<_> = quotas.map(|quota| row(quota, &types.job_types, context)).collect();
            Table::new(&titles).spare(&SPARE).write(&rows, out)?;
        }
        Format::Json => out.message(&answer)?,
        Format::Jsonl => answer.quotas.iter().try_for_each(|quota| out.message(quota))?,
    }
    Ok(Exit::Ok)
}

async fn put(set: Set, context: &Context, out: &mut Out) -> Result<Exit, Failure> {
    let client = context.connect(set.time.timeout).await?;
    let held = list(&client).await?.quotas.into_iter().find(|quota| quota.name == set.name);
    let quota = set.over(held)?;
    let doing = format!("set quota {}", format::plain(&quota.name));
    let request = client.request(PutQuotaRequest { quota: Some(quota) });
    let answer = client.change(&doing, client.admin().put_quota(request)).await?;
    let quota = answer.quota.clone().unwrap_or_default();
    match out.format() {
        Format::Table => out.note(&format!("jobplane: {}", said(&quota)))?,
        Format::Json => out.message(&answer)?,
        Format::Jsonl => out.message(&quota)?,
    }
    Ok(Exit::Ok)
}

impl Set {
    /// The quota as it is to be, where it stands as `held`.
    fn over(&self, held: Option<Quota>) -> Result<Quota, Failure> {
        let new = || Quota { period: QuotaPeriod::Day.into(), ..Quota::default() };
        let is_new = held.is_none();
        let mut quota = Quota { name: self.name.clone(), ..held.unwrap_or_else(new) };
        match self.limit {
            Some(limit) => quota.limit = limit,
            None if is_new => {
                let problem = format!("there is no quota {} yet: say --limit, too", self.name);
                return Err(Failure::usage("--limit", problem));
            }
            None => {}
        }
        quota.period = self.period.map_or(quota.period, i32::from);
        quota.time_zone = self.time_zone.clone().unwrap_or(quota.time_zone);
        quota.on_exhausted = self.on_exhausted.map_or(quota.on_exhausted, i32::from);
        Ok(quota)
    }
}

/// A quota in a line: `quota api allows 100 units a DAY (UTC), then jobs WAIT; 3 are used`.
fn said(quota: &Quota) -> String {
    let (limit, period) = (format::count(quota.limit), word::<QuotaPeriod>(quota.period));
    let used = quota.usage.as_ref().map_or(0, |usage| usage.used);
    let then = word::<QuotaExhausted>(quota.on_exhausted).to_lowercase();
    let (name, zone) = (format::plain(&quota.name), format::plain(zone(quota)));
    let (period, used) = (period.to_lowercase(), format::count(used));
    let a = if period == "hour" { "an" } else { "a" };
    let jobs = if then == "skip" { "are skipped" } else { "wait" };
    format!(
        "quota {name} allows {limit} units {a} {period} ({zone}), then jobs {jobs}; {used} are used"
    )
}

fn zone(quota: &Quota) -> &str {
    if quota.time_zone.is_empty() { "UTC" } else { &quota.time_zone }
}

/// The types that draw from it, and what a start of each costs: `sync 100, import 5`.
fn drawn_by(quota: &Quota, types: &[JobType]) -> String {
    let costs = types.iter().filter_map(|one| {
        let cost = one.quota_costs.get(&quota.name)?;
        Some(format!("{} {}", one.r#type, format::count(*cost)))
    });
    costs.collect::<Vec<_>>().join(", ")
}

fn row(quota: &Quota, types: &[JobType], context: &Context) -> Vec<Cell> {
    let usage = quota.usage.clone().unwrap_or_default();
    let paint = (usage.remaining == 0).then_some(Paint::Red);
    let rest = usage.reset_time.map(|at| format::timestamp(&at).since(context.now()));
    vec![
        Cell::from(&quota.name),
        Cell::from(format::count(usage.used)),
        Cell::from(format::count(usage.remaining)).painted(paint),
        Cell::from(format::count(quota.limit)),
        Cell::from(word::<QuotaPeriod>(quota.period)),
        Cell::from(rest.map(format::span).unwrap_or_default()),
        Cell::from(zone(quota)),
        Cell::from(word::<QuotaExhausted>(quota.on_exhausted)),
        Cell::blank(&drawn_by(quota, types)),
    ]
}
