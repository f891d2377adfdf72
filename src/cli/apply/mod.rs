//! `jobplane apply`: makes the server's types, queues, quotas and defaults what a file says.
//!
//! Owns: the file ([`file`]), what it changes ([`plan`]), the changes themselves ([`make`]), how they are told ([`tell`],
//! [`text`]).
//! Invariants: the whole file is checked before anything is changed; what is as the file says already is left
//! alone, so that applying twice changes nothing; what the file does not say is left alone but with `--prune`;
//! all is made, whether somebody reads of it or not.

mod file;
mod make;
mod plan;
mod tell;
pub mod text;
mod words;

#[cfg(test)]
mod tests;

use super::client::{Client, Limit};
use super::exit::{Exit, Failure};
use super::output::Out;
use super::{Context, confirm, format};
use crate::proto::v1::{
    GetDefaultsRequest, JobTypeOrigin, ListJobTypesRequest, ListQueuesRequest, ListQuotasRequest,
};

use plan::{Held, Plan, Step};

/// More types and quotas than this are asked for before they go.
const ASKED_ABOVE: usize = 10;
/// So many of them are listed above the question: it stays in sight.
const LISTED_MAX: usize = 20;

/// Which file, and how.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file, YAML or JSON; - for stdin. docs/types.yaml shows every field
    #[arg(long, short, value_name = "FILE")]
    file: String,
    /// Only show what would change
    #[arg(long)]
    dry_run: bool,
    /// Also take back types and quotas that the file does not say
    #[arg(long)]
    prune: bool,
    /// Do not ask before --prune takes back more than 10 things, or every type or quota there is
    #[arg(long, short = 'y')]
    yes: bool,
    #[command(flatten)]
    time: Limit,
}

/// Shows what changes, and changes it.
pub async fn run(args: Args, context: &Context, out: &mut Out) -> Result<Exit, Failure> {
    let file = file::read(&args.file)?;
    let client = context.connect(args.time.timeout).await?;
    let mut plan = Plan::of(&file, &held(&client).await?, args.prune)?;
    if !args.dry_run && !args.yes && !agreed(&plan, out)? {
        out.note("jobplane: nothing was done")?;
        return Ok(Exit::Ok);
    }
    if args.dry_run {
        plan.steps.iter().try_for_each(|step| tell::step(step, out))?;
        tell::whole(&plan, plan.steps.len(), true, out)?;
    } else {
        make::all(&client, &mut plan, out).await?;
    }
    Ok(Exit::Ok)
}

/// Whether so much may be taken back; what it is stands above the question.
fn agreed(plan: &Plan, out: &mut Out) -> Result<bool, Failure> {
    let gone: Vec<&Step> = plan.steps.iter().filter(|step| step.verb == "delete").collect();
    if gone.len() <= ASKED_ABOVE && !plan.takes_all {
        return Ok(true);
    }
    let of = |kind| gone.iter().filter(|step| step.kind == kind).count();
    let many = [(of("type"), "type"), (of("quota"), "quota")].map(|(count, one)| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {one}s")),
    });
    let many = many.into_iter().flatten().collect::<Vec<_>>().join(" and ");
    out.note("jobplane: these would go, which the file does not say:")?;
    for step in gone.iter().take(LISTED_MAX) {
        out.note(&format!("  - {} {}", step.kind, format::plain(&step.name)))?;
    }
    if let Some(more) = gone.len().checked_sub(LISTED_MAX).filter(|more| *more > 0) {
        out.note(&format!("  … and {more} more, see all with --dry-run"))?;
    }
    confirm::agreed(&format!("delete {many}"), &format!("{many} would go"), "delete")
}

/// What the server has.
async fn held(client: &Client) -> Result<Held, Failure> {
    let origins = vec![JobTypeOrigin::Declared.into()];
    let request = client.request(ListJobTypesRequest { categories: Vec::new(), origins });
    let types = client.ask("list types", client.types().list_job_types(request)).await?;
    let request = client.request(ListQueuesRequest {});
    let queues = client.ask("list queues", client.admin().list_queues(request)).await?;
    let request = client.request(ListQuotasRequest {});
    let quotas = client.ask("list quotas", client.admin().list_quotas(request)).await?;
    let request = client.request(GetDefaultsRequest {});
    let defaults = client.ask("get the defaults", client.admin().get_defaults(request)).await?;
    Ok(Held {
        types: types.job_types,
        queues: queues.queues,
        quotas: quotas.quotas,
        defaults: defaults.defaults.unwrap_or_default(),
    })
}
