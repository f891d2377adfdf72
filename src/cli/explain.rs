//! `jobplane explain`: why a job is as it is, and what may be done about it.

use super::client::Limit;
use super::exit::{Exit, Failure};
use super::output::{Format, Out};
use super::{Context, find, format, parse};
use crate::proto::v1::{ExplainJobRequest, ExplainJobResponse};

#[cfg(test)]
mod tests;

/// Which job.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The id of the job, or 8 letters or more of its beginning or end
    #[arg(value_name = "JOB", value_parser = parse::job_id)]
    job: String,
    #[command(flatten)]
    limit: Limit,
}

/// Shows the explanation.
pub async fn run(args: Args, context: &Context, out: &mut Out) -> Result<Exit, Failure> {
    let client = context.connect(args.limit.timeout).await?;
    let job_id = find::job(&client, &args.job).await?;
    let doing = format!("explain job {job_id}");
    let request = client.request(ExplainJobRequest { job_id });
    let answer = client.ask(&doing, client.jobs().explain_job(request)).await?;
    match out.format() {
        Format::Table => out.lines(lines(&answer))?,
        Format::Json | Format::Jsonl => out.message(&answer)?,
    }
    Ok(Exit::Ok)
}

fn lines(answer: &ExplainJobResponse) -> Vec<String> {
    let mut lines = vec![format::plain(&answer.summary)];
    for reason in &answer.reasons {
        let ids = match reason.ids.join(", ") {
            ids if ids.is_empty() => ids,
            ids => format!(" ({})", format::plain(&ids)),
        };
        let until = reason.until.as_ref();
        let until = until.map(|until| format!("; until {}", format::moment(until, 0)));
        let (message, until) = (format::plain(&reason.message), until.unwrap_or_default());
        lines.push(format!("  {}: {message}{ids}{until}", reason.code));
    }
    if let Some(next) = &answer.next_run_time {
        lines.push(format!("next run: {}", format::moment(next, 0)));
    }
    for action in &answer.actions {
        lines.push(if action.allowed {
            format!("  can {}", action.name)
        } else {
            format!("  cannot {}: {}", action.name, format::plain(&action.why_not))
        });
    }
    lines
}
