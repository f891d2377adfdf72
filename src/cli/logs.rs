//! `jobplane logs`: the lines a job wrote, and with `-f` those it writes.

use std::collections::BTreeMap;

use super::Context;
use super::client::{Client, Follow, Happened, Limit};
use super::exit::{Exit, Failure};
use super::output::{Format, Out};
use super::paint::{Paint, painted};
use super::{find, format, json, names, parse};
use crate::proto::v1::{
    JobView, ListJobLogsRequest, ListJobLogsResponse, LogEntry, LogGap, LogLevel, WatchJobRequest,
};

#[cfg(test)]
mod tests;

/// The server gives no larger pages.
const PAGE_MAX: i32 = 1_000;

/// Which lines.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The id of the job, or 8 letters or more of its beginning or end
    #[arg(value_name = "JOB", value_parser = parse::job_id)]
    job: String,
    /// Go on with the lines it writes, until it is over
    #[arg(long, short)]
    follow: bool,
    /// Only lines that matter at least this much: debug, info, warning, error
    #[arg(long, value_parser = names::values::<LogLevel>(), hide_possible_values = true)]
    level: Option<LogLevel>,
    /// Only lines after the one with this sequence
    #[arg(long, value_name = "SEQUENCE", default_value_t = 0, hide_default_value = true)]
    #[arg(value_parser = clap::value_parser!(i64).range(0..))]
    after: i64,
    /// Only lines of the execution with this lease epoch
    #[arg(long, value_name = "EPOCH", default_value_t = 0, hide_default_value = true)]
    #[arg(value_parser = clap::value_parser!(i64).range(0..))]
    lease_epoch: i64,
    #[command(flatten)]
    limit: Limit,
}

/// Prints the lines.
pub async fn run(mut args: Args, context: &Context, out: &mut Out) -> Result<Exit, Failure> {
    let client = context.connect(args.limit.timeout).await?;
    args.job = find::job(&client, &args.job).await?;
    let mut printer = Printer::new(&args);
    if args.follow {
        follow(&args, &client, &mut printer, out).await?;
    } else {
        list(&args, &client, &mut printer, out).await?;
    }
    Ok(Exit::Ok)
}

async fn list(
    args: &Args,
    client: &Client,
    printer: &mut Printer,
    out: &mut Out,
) -> Result<(), Failure> {
    let mut whole = ListJobLogsResponse { next_sequence: args.after, ..Default::default() };
    loop {
        let request = ListJobLogsRequest {
            job_id: args.job.clone(),
            lease_epoch: args.lease_epoch,
            min_level: args.level.unwrap_or_default().into(),
            after_sequence: whole.next_sequence,
            page_size: PAGE_MAX,
        };
        let doing = format!("list the log of job {}", args.job);
        let page = client.ask(&doing, client.jobs().list_job_logs(client.request(request))).await?;
        let more = page.next_sequence > whole.next_sequence;
        whole.next_sequence = whole.next_sequence.max(page.next_sequence);
        if out.format() == Format::Json {
            whole.entries.extend(page.entries);
            whole.gaps.extend(page.gaps);
        } else {
            printer.print(&page.entries, &page.gaps, out)?;
            out.flush()?;
        }
        if !more {
            break;
        }
    }
    if out.format() == Format::Json { out.message(&whole) } else { Ok(()) }
}

async fn follow(
    args: &Args,
    client: &Client,
    printer: &mut Printer,
    out: &mut Out,
) -> Result<(), Failure> {
    let request = WatchJobRequest {
        job_id: args.job.clone(),
        view: JobView::Basic.into(),
        include_logs: true,
        after_log_sequence: args.after,
        min_interval: None,
    };
    let mut follow = Follow::new(client, request);
    while let Some(event) = follow.next(out).await? {
        if let Happened::Logs(logs) = event.happened {
            printer.print(&logs.entries, &logs.gaps, out)?;
            out.flush()?;
        }
    }
    Ok(())
}

/// Prints lines with the gaps between them, each gap once.
struct Printer {
    level: LogLevel,
    lease_epoch: i64,
    /// The execution of the line before.
    current: Option<i64>,
    /// Lines that were said to be let go, by the place of the gap.
    gaps: BTreeMap<(i64, i64), i64>,
}

impl Printer {
    fn new(args: &Args) -> Self {
        Self {
            level: args.level.unwrap_or_default(),
            lease_epoch: args.lease_epoch,
            current: None,
            gaps: BTreeMap::new(),
        }
    }

    fn print(
        &mut self,
        entries: &[LogEntry],
        gaps: &[LogGap],
        out: &mut Out,
    ) -> Result<(), Failure> {
        let mut gaps: Vec<LogGap> = gaps.iter().filter_map(|gap| self.grown(gap)).collect();
        gaps.sort_by_key(|gap| gap.after_sequence);
        let mut gaps = gaps.into_iter().peekable();
        for entry in entries {
            while let Some(gap) = gaps.next_if(|gap| gap.after_sequence < entry.sequence) {
                print_gap(&gap, out)?;
            }
            if self.wants(entry) {
                self.entry(entry, out)?;
            }
        }
        gaps.try_for_each(|gap| print_gap(&gap, out))
    }

    /// What of a gap was not said before.
    fn grown(&mut self, gap: &LogGap) -> Option<LogGap> {
        if self.lease_epoch != 0 && gap.lease_epoch != self.lease_epoch {
            return None;
        }
        let said = self.gaps.entry((gap.lease_epoch, gap.after_sequence)).or_default();
        let dropped = gap.dropped - *said;
        *said = gap.dropped.max(*said);
        (dropped > 0).then_some(LogGap { dropped, ..*gap })
    }

    fn wants(&self, entry: &LogEntry) -> bool {
        let level = match entry.level() {
            LogLevel::Unspecified => LogLevel::Info,
            level => level,
        };
        level >= self.level && (self.lease_epoch == 0 || entry.lease_epoch == self.lease_epoch)
    }

    fn entry(&mut self, entry: &LogEntry, out: &mut Out) -> Result<(), Failure> {
        if out.format() != Format::Table {
            return out.message(entry);
        }
        let before = self.current.replace(entry.lease_epoch);
        if before.is_some_and(|before| before != entry.lease_epoch) {
            let line = format!("--- attempt {} (lease epoch {})", entry.attempt, entry.lease_epoch);
            out.line(&painted(&line, Some(Paint::Dim), out.colour()))?;
        }
        out.line(&line(entry, out.colour()))
    }
}

fn line(entry: &LogEntry, colour: bool) -> String {
    let time = entry.time.as_ref().map_or_else(String::new, |time| format::moment(time, 3));
    let level = match entry.level() {
        LogLevel::Unspecified => LogLevel::Info,
        level => level,
    };
    let word = format!("{:<7}", names::short(level));
    let level = painted(&word, Paint::of_level(level), colour);
    let mut line = format!("{time}  {level}  ");
    if !entry.step.is_empty() {
        line = format!("{line}[{}] ", format::plain(&entry.step));
    }
    line.push_str(&format::plain_lines(&entry.message, "    "));
    if let Some(data) = &entry.data {
        line = format!("{line}  {}", format::plain(&json::of_struct(data).to_string()));
    }
    line
}

fn print_gap(gap: &LogGap, out: &mut Out) -> Result<(), Failure> {
    if out.format() != Format::Table {
        return out.message(gap);
    }
    let lines = if gap.dropped == 1 { "line" } else { "lines" };
    let line = format!("… {} {lines} let go …", format::count(gap.dropped));
    out.line(&painted(&line, Some(Paint::Dim), out.colour()))
}
