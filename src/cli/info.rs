//! `jobplane info`: what the server is, how it does, and what it is bound to.

use std::time::Duration;

use super::client::Limit;
use super::exit::{Exit, Failure};
use super::output::{Format, Out};
use super::paint::{Paint, painted};
use super::{Context, format};
use crate::domain::Timestamp;
use crate::proto::v1::get_server_info_response::Loop;
use crate::proto::v1::{GetServerInfoRequest, GetServerInfoResponse};

#[cfg(test)]
mod tests;

/// The bounds that people meet first. All of them: `--limits`.
const MATTER: [&str; 10] = [
    "payload_bytes_max",
    "log_entry_bytes_max",
    "log_batch_lines_max",
    "labels_max",
    "attempts_max",
    "batch_create_jobs_max",
    "page_size_max",
    "slots_max",
    "types_max",
    "queues_max",
];
/// The column that what is said begins in.
const NAMES: usize = 24;

/// How much of it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// All bounds, and not only those that people meet first
    #[arg(long)]
    limits: bool,
    /// Also the background tasks that are well
    #[arg(long)]
    loops: bool,
    #[command(flatten)]
    time: Limit,
}

/// Shows it.
pub async fn run(args: Args, context: &Context, out: &mut Out) -> Result<Exit, Failure> {
    let client = context.connect(args.time.timeout).await?;
    let request = client.request(GetServerInfoRequest {});
    let info = client.ask("get the server's info", client.admin().get_server_info(request)).await?;
    match out.format() {
        Format::Json | Format::Jsonl => out.message(&info)?,
        Format::Table => {
            out.line(&title(&info, &context.address.to_string()))?;
            for (name, said, paint) in facts(&info, &args, context.now()) {
                let said = painted(&format::plain(&said), paint, out.colour());
                out.line(&format!("{name:<NAMES$}{said}"))?;
            }
        }
    }
    Ok(Exit::Ok)
}

fn title(info: &GetServerInfoResponse, address: &str) -> String {
    format!("jobplane {} at {address}", format::plain(&info.version))
}

/// A name, what is said of it, and how that is to stand out.
type Fact = (String, String, Option<Paint>);

fn facts(info: &GetServerInfoResponse, args: &Args, now: Timestamp) -> Vec<Fact> {
    let mut facts = vec![fact("replica", info.replica_id.clone())];
    if let Some(start) = &info.start_time {
        let up = Duration::from_secs(now.since(format::timestamp(start)).as_secs());
        let said = format!("{}, since {}", format::span(up), format::moment(start, 0));
        facts.push(fact("up", said));
    }
    facts.extend(store(info));
    if let Some(pool) = info.pool.filter(|pool| pool.size > 0) {
        let said = format!("{}, {} idle, {} reads waiting", pool.size, pool.idle, pool.waiting);
        facts.push(fact("connections", said));
    }
    if let Some(span) = &info.resume_retention {
        facts.push(fact("watches resume within", format::span(format::duration(span))));
    }
    if !info.features.is_empty() {
        facts.push(fact("features", info.features.join(", ")));
    }
    facts.extend(loops(&info.loops, args.loops, now));
    let wanted =
        info.limits.iter().filter(|(name, _)| args.limits || MATTER.contains(&name.as_str()));
    facts.extend(wanted.map(|(name, bound)| fact(name, bounded(name, *bound))));
    facts
}

fn fact(name: &str, said: String) -> Fact {
    // A name that is longer than its column still has a space behind it.
    (format!("{} ", format::plain(name)), said, None)
}

fn store(info: &GetServerInfoResponse) -> Option<Fact> {
    let store = info.store.as_ref()?;
    if !store.reachable {
        let said = "does not answer".to_owned();
        return Some(("store ".to_owned(), said, Some(Paint::Red)));
    }
    let size = Some(store.size_bytes).filter(|size| *size > 0).map(format::bytes);
    let size = size.map(|size| format!(", {size}")).unwrap_or_default();
    Some(fact("store", format!("{} {}{size}", store.kind, store.version)))
}

/// How many are well, and which are not.
fn loops(loops: &[Loop], all: bool, now: Timestamp) -> Vec<Fact> {
    let ran = |of: &Loop| {
        of.last_run_time.as_ref().map_or("not yet".to_owned(), |time| format::age(time, now))
    };
    let is_well = |of: &&Loop| of.last_result.is_empty() || of.last_result.starts_with("ok");
    let well = loops.iter().filter(is_well).count();
    let mut facts = vec![fact("background tasks", format!("{well} of {} are well", loops.len()))];
    let told = loops.iter().filter(|of| all || !is_well(of));
    facts.extend(told.map(|of| {
        let period = of.period.as_ref().map(format::duration).unwrap_or_default();
        let result = if of.last_result.is_empty() { "-" } else { of.last_result.as_str() };
        let said = format!("{result} ({}, every {})", ran(of), format::span(period));
        let paint = (!is_well(&of)).then_some(Paint::Red);
        (format!("  {} ", format::plain(&of.name)), said, paint)
    }));
    facts
}

/// A bound in its unit, which its name tells.
fn bounded(name: &str, bound: i64) -> String {
    let has = |unit: &str| name.split('_').any(|part| part == unit);
    if has("bytes") {
        return format::bytes(bound);
    }
    if has("seconds") {
        return format::span(Duration::from_secs(u64::try_from(bound).unwrap_or(0)));
    }
    format::count(bound)
}
