//! `jobplane quota`: what is left of what others allow.

use super::client::Limit;
use super::exit::{Exit, Failure};
use super::names::word;
use super::output::{Format, Out};
use super::paint::Paint;
use super::table::{Cell, Table};
use super::{Context, format};
use crate::proto::v1::{ListQuotasRequest, Quota, QuotaExhausted, QuotaPeriod};

/// The columns that are given up first where there is no room for all.
const SPARE: [&str; 2] = ["TIME ZONE", "WHEN USED UP"];

/// All quotas, or one.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// This quota only
    #[arg(value_name = "QUOTA")]
    name: Option<String>,
    #[command(flatten)]
    limit: Limit,
}

/// Shows the quotas.
pub async fn run(args: Args, context: &Context, out: &mut Out) -> Result<Exit, Failure> {
    let client = context.connect(args.limit.timeout).await?;
    let request = client.request(ListQuotasRequest {});
    let mut answer = client.ask("list quotas", client.admin().list_quotas(request)).await?;
    if let Some(name) = &args.name {
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
            out.note("jobplane: no quota yet; set some up with `jobplane apply -f FILE`")?;
        }
        Format::Table => {
            let titles = [
                "<QUOTA",
                ">USED",
                ">LEFT",
                ">LIMIT",
                "PERIOD",
                ">RESETS IN",
                "TIME ZONE",
                "WHEN USED UP",
            ];
            let rows: Vec<_> = answer.quotas.iter().map(|quota| row(quota, context)).collect();
            Table::new(&titles).spare(&SPARE).write(&rows, out)?;
        }
        Format::Json => out.message(&answer)?,
        Format::Jsonl => answer.quotas.iter().try_for_each(|quota| out.message(quota))?,
    }
    Ok(Exit::Ok)
}

fn row(quota: &Quota, context: &Context) -> Vec<Cell> {
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
        Cell::from(if quota.time_zone.is_empty() { "UTC" } else { quota.time_zone.as_str() }),
        Cell::from(word::<QuotaExhausted>(quota.on_exhausted)),
    ]
}
