//! `jobplane apply`: makes the server's types, queues, quotas and defaults what a file says.
//!
//! Owns: the file ([`file`]), what it changes ([`plan`]), how that is shown ([`text`]).
//! Invariants: the whole file is checked before anything is changed; what is as the file says already is left
//! alone, so that applying twice changes nothing; what the file does not say is left alone but with `--prune`.

mod file;
mod plan;
pub mod text;

#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use super::client::{Client, Limit};
use super::exit::{Exit, Failure};
use super::output::{Format, Out};
use super::paint::{Paint, painted};
use super::{Context, confirm, format};
use crate::proto::v1::{
    DeleteJobTypeRequest, DeleteQuotaRequest, GetDefaultsRequest, JobTypeOrigin,
    ListJobTypesRequest, ListQueuesRequest, ListQuotasRequest, PutJobTypeRequest, PutQuotaRequest,
    UpdateDefaultsRequest, UpdateQueueRequest,
};

use plan::{Action, Held, Plan, Step};

/// More types and quotas than this are asked for before they go.
const ASKED_ABOVE: usize = 10;

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
    /// Do not ask before --prune takes back more than 10 things, or all there are
    #[arg(long, short = 'y')]
    yes: bool,
    #[command(flatten)]
    time: Limit,
}

/// Shows what changes, and changes it.
pub async fn run(args: Args, context: &Context, out: &mut Out) -> Result<Exit, Failure> {
    let file = file::read(&args.file)?;
    let client = context.connect(args.time.timeout).await?;
    let plan = Plan::of(&file, &held(&client).await?, args.prune)?;
    if !args.dry_run && !args.yes && !agreed(&plan, &file)? {
        out.note("jobplane: nothing was done")?;
        return Ok(Exit::Ok);
    }
    for (done, step) in plan.steps.iter().enumerate() {
        if !args.dry_run
            && let Err(failure) = make(&client, step).await
        {
            out.note(&halfway(done, step, plan.steps.len()))?;
            return Err(failure);
        }
        show(step, out)?;
        out.flush()?;
    }
    tell(&plan, args.dry_run, out)?;
    Ok(Exit::Ok)
}

/// Whether so much may be taken back.
fn agreed(plan: &Plan, file: &file::File) -> Result<bool, Failure> {
    let gone: Vec<&Step> = plan.steps.iter().filter(|step| step.verb == "delete").collect();
    let definitions = &file.definitions;
    let is_all = definitions.types.is_empty() && definitions.quotas.is_empty();
    if gone.is_empty() || gone.len() <= ASKED_ABOVE && !is_all {
        return Ok(true);
    }
    let of = |kind| gone.iter().filter(|step| step.kind == kind).count();
    let many = |count: usize, one: &str| match count {
        1 => format!("1 {one}"),
        count => format!("{count} {one}s"),
    };
    let gone = format!("{} and {}", many(of("type"), "type"), many(of("quota"), "quota"));
    confirm::agreed(&format!("delete {gone}"), &format!("{gone} would go"), "delete")
}

/// What was done and what not where a step fails.
fn halfway(done: usize, step: &Step, steps: usize) -> String {
    let were = if done == 1 { "was" } else { "were" };
    let (kind, name) = (step.kind, format::plain(&step.name));
    format!(
        "jobplane: {done} of {steps} changes {were} made; it ended at {kind} {name}, what comes after was not begun"
    )
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

async fn make(client: &Client, step: &Step) -> Result<(), Failure> {
    let doing = format!("{} {} {}", step.verb, step.kind, format::plain(&step.name));
    match step.action.clone() {
        Action::UpdateDefaults(defaults) => {
            let request = UpdateDefaultsRequest { defaults: Some(defaults), update_mask: None };
            let request = client.request(request);
            client.change(&doing, client.admin().update_defaults(request)).await.map(drop)
        }
        Action::PutQuota(quota) => {
            let request = client.request(PutQuotaRequest { quota: Some(quota) });
            client.change(&doing, client.admin().put_quota(request)).await.map(drop)
        }
        Action::UpdateQueue { queue, paths } => {
            let paths: Vec<_> = paths.into_iter().map(ToOwned::to_owned).collect();
            let update_mask = (!paths.is_empty()).then_some(prost_types::FieldMask { paths });
            let request = UpdateQueueRequest { queue: Some(queue), update_mask };
            let request = client.request(request);
            client.change(&doing, client.admin().update_queue(request)).await.map(drop)
        }
        Action::PutType(job_type) => {
            let request =
                PutJobTypeRequest { job_type: Some(*job_type), ..PutJobTypeRequest::default() };
            let request = client.request(request);
            client.change(&doing, client.types().put_job_type(request)).await.map(drop)
        }
        Action::DeleteType(name) => {
            let request = client.request(DeleteJobTypeRequest { r#type: name });
            client.change(&doing, client.types().delete_job_type(request)).await.map(drop)
        }
        Action::DeleteQuota(name) => {
            let request = client.request(DeleteQuotaRequest { name });
            client.change(&doing, client.admin().delete_quota(request)).await.map(drop)
        }
    }
}

fn show(step: &Step, out: &mut Out) -> Result<(), Failure> {
    match out.format() {
        Format::Table => {
            let (sign, paint) = match step.verb {
                "create" => ("+", Paint::Green),
                "delete" => ("-", Paint::Red),
                _ => ("~", Paint::Yellow),
            };
            let head = format!("{sign} {} {}", step.kind, format::plain(&step.name));
            out.line(&painted(&head, Some(paint), out.colour()))?;
            step.lines.iter().try_for_each(|line| out.line(&format!("    {line}")))
        }
        Format::Jsonl => out.value(&step.value()),
        Format::Json => Ok(()),
    }
}

/// How much it is in all.
fn tell(plan: &Plan, dry_run: bool, out: &mut Out) -> Result<(), Failure> {
    let count = |verb| plan.steps.iter().filter(|step| step.verb == verb).count();
    let [created, changed, deleted] = ["create", "change", "delete"].map(count);
    match out.format() {
        Format::Json => {
            let steps: Vec<Value> = plan.steps.iter().map(Step::value).collect();
            out.value(&json!({
                "dry_run": dry_run, "steps": steps, "unchanged": plan.unchanged,
            }))
        }
        Format::Jsonl => Ok(()),
        Format::Table => {
            let would = if dry_run { "would be: " } else { "" };
            out.note(&format!(
                "jobplane: {would}{created} created, {changed} changed, {deleted} deleted, {} as they were",
                plan.unchanged
            ))
        }
    }
}
