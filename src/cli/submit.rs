//! `jobplane submit`: creates a job.

use std::io::Read as _;
use std::time::Duration;

use bytes::Bytes;

use super::Context;
use super::client::Client;
use super::exit::{Exit, Failure};
use super::output::{Format, Out};
use super::{describe, format, json, names, parse, watch};
use crate::domain::Timestamp;
use crate::proto::v1::{
    CreateJobRequest, GetJobRequest, GetJobResponse, JobSpec, Priority, RetryPolicy, UniquePolicy,
};

#[cfg(test)]
mod tests;

/// A payload has at most 256 KiB encoded; more text than this cannot become that.
const PAYLOAD_TEXT_BYTES_MAX: u64 = 4 << 20;

/// What the job is to be.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The name of the kind of work
    #[arg(value_name = "TYPE")]
    job_type: String,
    /// The input of the work: a JSON object, @FILE, or - for stdin
    #[arg(long, short, value_name = "JSON|@FILE|-")]
    payload: Option<String>,
    /// The queue it waits in [default: that of the type, else default]
    #[arg(long, short)]
    queue: Option<String>,
    /// How urgent it is: low, normal, high, urgent
    #[arg(long, value_parser = names::values::<Priority>(), hide_possible_values = true)]
    priority: Option<Priority>,
    /// A tag; may be repeated
    #[arg(long = "label", short, value_name = "KEY=VALUE", value_parser = parse::label)]
    labels: Vec<(String, String)>,
    /// Who the job is for
    #[arg(long, default_value_t, hide_default_value = true)]
    owner: String,
    /// What it works on
    #[arg(long, default_value_t, hide_default_value = true)]
    subject: String,
    /// Its id in another system
    #[arg(long, value_name = "ID", default_value_t, hide_default_value = true)]
    external_id: String,
    /// Start it not before this long from now
    #[arg(long, value_name = "DURATION", value_parser = parse::duration, conflicts_with = "at")]
    delay: Option<Duration>,
    /// Start it not before this moment (RFC 3339)
    #[arg(long, value_name = "MOMENT", value_parser = parse::moment)]
    at: Option<Timestamp>,
    /// How long one attempt may run [default: that of the type, else no limit]
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    timeout: Option<Duration>,
    /// Attempts in all [default: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=100))]
    max_attempts: Option<i32>,
    /// At most one live job of the type holds this key
    #[arg(long, value_name = "KEY", default_value_t, hide_default_value = true)]
    unique_key: String,
    /// If another job holds the key: reject, or return-existing
    #[arg(long, value_name = "POLICY", value_parser = names::values::<UniquePolicy>(), hide_possible_values = true)]
    #[arg(requires = "unique_key")]
    unique_policy: Option<UniquePolicy>,
    /// Let it fail if it has not started this long from now
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    expire_in: Option<Duration>,
    /// Makes the command repeatable: the same id gives the same job
    #[arg(long, value_name = "ID", default_value_t, hide_default_value = true)]
    request_id: String,
    /// Watch the job until it is over, and end with its outcome: 0 if it succeeded, else 1
    #[arg(long)]
    wait: bool,
    /// Wait no longer than this, exit code 124; the job goes on
    #[arg(long, value_name = "DURATION", value_parser = parse::duration, requires = "wait")]
    wait_timeout: Option<Duration>,
}

/// Creates the job; with `--wait`, watches it.
pub async fn run(args: Args, context: &Context, out: &mut Out) -> Result<Exit, Failure> {
    let request = request(&args, context.now())?;
    let client = context.connect(None).await?;
    let doing = format!("submit a job of type {}", format::plain(&args.job_type));
    let created = client.change(&doing, client.jobs().create_job(client.request(request))).await?;
    let job = created.job.clone().unwrap_or_default();
    let silent = args.wait && out.format() != Format::Table;
    match out.format() {
        Format::Table => {
            // The id alone on stdout, for scripts; what happened beside it.
            out.line(&job.id)?;
            let status = job.status.clone().unwrap_or_default();
            let there = if created.existing { "was there before: " } else { "" };
            let said = describe::line(&status, context.now(), false);
            out.note(&format!("jobplane: {there}{said}"))?;
        }
        Format::Json if !silent => out.message(&created)?,
        Format::Jsonl if !silent => out.message(&job)?,
        Format::Json | Format::Jsonl => {}
    }
    out.flush()?;
    if args.wait {
        return wait(&client, job.id, args.wait_timeout, context, out).await;
    }
    Ok(Exit::Ok)
}

/// Watches the job; as `json`, prints only what became of it, or how far it is when the time is over.
pub(super) async fn wait(
    client: &Client,
    id: String,
    limit: Option<Duration>,
    context: &Context,
    out: &mut Out,
) -> Result<Exit, Failure> {
    let last_only = out.format() == Format::Json;
    let follow = watch::follow(client, id.clone(), None, out).within(limit);
    let ended = watch::show(follow, last_only, context, out).await;
    let late = matches!(ended, Err(Failure::TimedOut { .. }));
    if last_only && (ended.is_ok() || late) {
        let request = GetJobRequest { job_id: id.clone(), ..Default::default() };
        let doing = format!("get job {id}");
        let answer: Result<GetJobResponse, Failure> =
            client.ask(&doing, client.jobs().get_job(client.request(request))).await;
        match answer {
            Ok(answer) => out.message(&answer)?,
            // That the time is over says more than that the server is gone too.
            Err(_) if late => {}
            Err(failure) => return Err(failure),
        }
    }
    ended
}

/// The request that the command line describes.
fn request(args: &Args, now: Timestamp) -> Result<CreateJobRequest, Failure> {
    let payload = match &args.payload {
        Some(source) => Some(payload(source)?),
        None => None,
    };
    let schedule = args.at.or_else(|| args.delay.map(|delay| now.plus(delay)));
    let spec = JobSpec {
        r#type: args.job_type.clone(),
        queue: args.queue.clone().unwrap_or_default(),
        priority: args.priority.unwrap_or_default().into(),
        payload,
        labels: args.labels.iter().cloned().collect(),
        owner: args.owner.clone(),
        subject: args.subject.clone(),
        external_id: args.external_id.clone(),
        schedule_time: schedule.map(parse::wire_moment),
        expire_time: args.expire_in.map(|span| parse::wire_moment(now.plus(span))),
        timeout: args.timeout.map(parse::wire_duration),
        retry_policy: args
            .max_attempts
            .map(|max_attempts| RetryPolicy { max_attempts, ..RetryPolicy::default() }),
        unique_key: args.unique_key.clone(),
        unique_policy: args.unique_policy.unwrap_or_default().into(),
        ..JobSpec::default()
    };
    Ok(CreateJobRequest {
        spec: Some(spec),
        request_id: args.request_id.clone(),
        validate_only: false,
    })
}

/// The payload, from the command line, a file or stdin.
pub(super) fn payload(source: &str) -> Result<Bytes, Failure> {
    let text = match source.strip_prefix('@') {
        _ if source == "-" => read(std::io::stdin(), "stdin")?,
        Some(path) => {
            let file = std::fs::File::open(path).map_err(|error| {
                Failure::usage("--payload", format!("cannot open {path}: {error}"))
            })?;
            read(file, path)?
        }
        None => source.to_owned(),
    };
    json::to_struct(&text).map_err(|problem| Failure::usage("--payload", problem))
}

fn read(from: impl std::io::Read, name: &str) -> Result<String, Failure> {
    let problem = |problem: String| Failure::usage("--payload", problem);
    let mut text = String::new();
    let read = from.take(PAYLOAD_TEXT_BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(|error| problem(format!("cannot read {name}: {error}")))?;
    if text.len() as u64 > PAYLOAD_TEXT_BYTES_MAX {
        return Err(problem(format!("{name} is larger than any payload (256 KiB)")));
    }
    Ok(text)
}
