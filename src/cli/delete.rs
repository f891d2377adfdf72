//! `jobplane delete`: deletes finished jobs with their logs and attempts.

use super::client::Limit;
use super::exit::{Exit, Failure};
use super::output::{Format, Out};
use super::{Context, bulk, each, find, parse};
use crate::proto::v1::DeleteJobRequest;

/// Which jobs.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The ids of the jobs, each whole or 8 letters or more of its beginning or end; each must be over
    #[arg(value_name = "JOB", required_unless_present = "filter", value_parser = parse::job_id)]
    jobs: Vec<String>,
    /// Why, for people, of those that match a filter
    #[arg(long, requires = "filter", default_value_t, hide_default_value = true)]
    reason: String,
    #[command(flatten)]
    bulk: bulk::Args,
    #[command(flatten)]
    limit: Limit,
}

/// Deletes one after the other; what fails does not keep the others from being deleted.
pub async fn run(args: Args, context: &Context, out: &mut Out) -> Result<Exit, Failure> {
    if args.bulk.is_meant() {
        let action = bulk::Action::Delete;
        let Args { bulk, reason, limit, .. } = args;
        return Box::pin(bulk::run(action, bulk, reason, limit.timeout, context, out)).await;
    }
    let client = context.connect(args.limit.timeout).await?;
    let mut each = each::Each::default();
    for written in args.jobs {
        let Some(job_id) = each.taken(find::job(&client, &written).await, out)? else { continue };
        let doing = format!("delete job {job_id}");
        let request = DeleteJobRequest { job_id: job_id.clone() };
        let answer = client.change(&doing, client.jobs().delete_job(client.request(request))).await;
        if let Some(answer) = each.taken(answer, out)? {
            match out.format() {
                Format::Table => out.line(&format!("{job_id}  deleted"))?,
                Format::Json | Format::Jsonl => out.message(&answer)?,
            }
        }
    }
    Ok(each.end())
}
