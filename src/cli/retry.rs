//! `jobplane retry`: runs jobs again.

use super::client::Limit;
use super::exit::{Exit, Failure};
use super::output::Out;
use super::{Context, bulk, each, find, parse};
use crate::proto::v1::RetryJobRequest;

/// Which jobs, and how.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The ids of the jobs, each whole or 8 letters or more of its beginning or end
    #[arg(value_name = "JOB", required_unless_present = "filter", value_parser = parse::job_id)]
    jobs: Vec<String>,
    /// Why, for people
    #[arg(long, default_value_t, hide_default_value = true)]
    reason: String,
    /// Also if it succeeded
    #[arg(long, conflicts_with = "filter")]
    force: bool,
    #[command(flatten)]
    bulk: bulk::Args,
    #[command(flatten)]
    limit: Limit,
}

/// Retries one after the other; what fails does not keep the others from being retried.
pub async fn run(args: Args, context: &Context, out: &mut Out) -> Result<Exit, Failure> {
    if args.bulk.is_meant() {
        let action = bulk::Action::Retry;
        let Args { bulk, reason, limit, .. } = args;
        return Box::pin(bulk::run(action, bulk, reason, limit.timeout, context, out)).await;
    }
    let client = context.connect(args.limit.timeout).await?;
    let mut each = each::Each::default();
    for written in args.jobs {
        let Some(job_id) = each.taken(find::job(&client, &written).await, out)? else { continue };
        let doing = format!("retry job {job_id}");
        let (reason, force) = (args.reason.clone(), args.force);
        let request = RetryJobRequest { job_id, reason, force, schedule_time: None };
        let answer = client.change(&doing, client.jobs().retry_job(client.request(request))).await;
        if let Some(answer) = each.taken(answer, out)? {
            each::show(&answer, answer.job.as_ref(), context, out)?;
        }
    }
    Ok(each.end())
}
