//! `jobplane trigger`: a job of a declared type, now.

use std::time::Duration;

use super::client::Limit;
use super::exit::{Exit, Failure};
use super::output::{Format, Out};
use super::{Context, describe, format, parse, submit};
use crate::proto::v1::TriggerJobTypeRequest;

/// Of which type, and what is said beside.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The type
    #[arg(value_name = "TYPE")]
    job_type: String,
    /// The input, if not that of the type: a JSON object, @FILE, or - for stdin
    #[arg(long, short, value_name = "JSON|@FILE|-")]
    payload: Option<String>,
    /// A tag on top of those of the type; may be repeated
    #[arg(long = "label", short, value_name = "KEY=VALUE", value_parser = parse::label)]
    labels: Vec<(String, String)>,
    /// Why
    #[arg(long, value_name = "TEXT", default_value_t, hide_default_value = true)]
    reason: String,
    /// Makes the command repeatable: the same id gives the same job
    #[arg(long, value_name = "ID", default_value_t, hide_default_value = true)]
    request_id: String,
    /// Watch the job until it is over, and end with its outcome: 0 if it succeeded, else 1
    #[arg(long)]
    wait: bool,
    /// Wait no longer than this, exit code 124; the job goes on
    #[arg(long, value_name = "DURATION", value_parser = parse::duration, requires = "wait")]
    wait_timeout: Option<Duration>,
    #[command(flatten)]
    time: Limit,
}

/// Makes the job; with `--wait`, watches it.
pub async fn run(args: Args, context: &Context, out: &mut Out) -> Result<Exit, Failure> {
    let payload = args.payload.as_deref().map(submit::payload).transpose()?;
    let client = context.connect(args.time.timeout).await?;
    let doing = format!("trigger {}", format::plain(&args.job_type));
    let request = client.request(TriggerJobTypeRequest {
        r#type: args.job_type,
        payload,
        labels: args.labels.into_iter().collect(),
        request_id: args.request_id,
        reason: args.reason,
    });
    let answer = client.change(&doing, client.types().trigger_job_type(request)).await?;
    let job = answer.job.clone().unwrap_or_default();
    let silent = args.wait && out.format() != Format::Table;
    match out.format() {
        Format::Table => {
            out.line(&job.id)?;
            let status = job.status.clone().unwrap_or_default();
            let said = describe::line(&status, context.now(), false);
            out.note(&format!("jobplane: {said}"))?;
        }
        Format::Json if !silent => out.message(&answer)?,
        Format::Jsonl if !silent => out.message(&job)?,
        Format::Json | Format::Jsonl => {}
    }
    out.flush()?;
    if args.wait {
        return submit::wait(&client, job.id, args.wait_timeout, context, out).await;
    }
    Ok(Exit::Ok)
}
