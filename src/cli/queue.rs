//! `jobplane queue`: pauses a queue, resumes it, sets its limits.

use super::client::{Client, Limit};
use super::exit::{Exit, Failure};
use super::output::{Format, Out};
use super::parse::{self, Rate};
use super::{Context, format};
use crate::domain::limits::WEIGHT_MAX;
use crate::domain::rate::StartRate;
use crate::grpc::convert;
use crate::proto::v1::{ListQueuesRequest, Queue, UpdateQueueRequest};

#[cfg(test)]
mod tests;

/// What to do with which queue.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    change: Change,
}

#[derive(Debug, clap::Subcommand)]
enum Change {
    /// Start nothing from a queue; what runs goes on, what comes waits
    Pause {
        /// The queue
        queue: String,
        /// Why, for those who wonder
        #[arg(long, value_name = "TEXT", default_value_t, hide_default_value = true)]
        reason: String,
        #[command(flatten)]
        limit: Limit,
    },
    /// Start jobs from a queue again
    Resume {
        /// The queue
        queue: String,
        #[command(flatten)]
        limit: Limit,
    },
    /// Set limits of a queue; those that are not named stay as they are
    Set(Set),
}

#[derive(Debug, clap::Args)]
#[group(id = "limits", required = true, multiple = true)]
struct Set {
    /// The queue
    #[arg(group = "name")]
    queue: String,
    /// Jobs running at a time; 0 = no limit
    #[arg(long, value_name = "N", group = "limits")]
    max_running: Option<u32>,
    /// Jobs waiting at a time; 0 = no limit
    #[arg(long, value_name = "N", group = "limits")]
    max_pending: Option<u32>,
    /// Starts on average, for instance 10/s, 5/min or 100/h; a bare number is per second, 0 = no limit
    #[arg(long, value_name = "RATE", group = "limits", value_parser = parse::rate)]
    start_rate: Option<Rate>,
    /// Starts at once after a pause, 0 = as many as in a second; if it is not named, as many as in the period of
    /// --start-rate (100/h: 100), and beside a bare number as it was
    #[arg(long, value_name = "N", group = "limits")]
    start_burst: Option<u32>,
    /// Its share of the workers against other queues, 1 to 1000; 0 = none: in one line with all queues without
    #[arg(long, value_name = "N", group = "limits")]
    #[arg(value_parser = clap::value_parser!(u16).range(0..=i64::from(WEIGHT_MAX)))]
    weight: Option<u16>,
    #[command(flatten)]
    time: Limit,
}

/// Changes the queue.
pub async fn run(args: Args, context: &Context, out: &mut Out) -> Result<Exit, Failure> {
    let resumes = matches!(args.change, Change::Resume { .. });
    let bursts =
        matches!(&args.change, Change::Set(set) if set.start_burst.unwrap_or_default() > 0);
    let (queue, paths, doing, time) = match args.change {
        Change::Pause { queue, reason, limit } => {
            let doing = format!("pause queue {}", format::plain(&queue));
            let queue =
                Queue { name: queue, paused: true, pause_reason: reason, ..Queue::default() };
            (queue, vec!["paused", "pause_reason"], doing, limit)
        }
        Change::Resume { queue, limit } => {
            let doing = format!("resume queue {}", format::plain(&queue));
            let queue = Queue { name: queue, ..Queue::default() };
            (queue, vec!["paused", "pause_reason"], doing, limit)
        }
        Change::Set(set) => {
            let doing = format!("set limits of queue {}", format::plain(&set.queue));
            let (queue, paths) = set.wire();
            (queue, paths, doing, set.time)
        }
    };
    let client = context.connect(time.timeout).await?;
    let held = held(&client, &queue.name).await?;
    if resumes && held.is_none() {
        return Err(Failure::Missing {
            what: format!("queue {}", queue.name),
            next: "see which there are with `jobplane queues`".to_owned(),
        });
    }
    if bursts
        && !paths.contains(&"start_rate")
        && held.as_ref().is_none_or(|it| it.start_rate == 0.0)
    {
        let problem = "is nothing without a start rate: say --start-rate, too";
        return Err(Failure::usage("--start-burst", problem));
    }
    let paths = paths.into_iter().map(ToOwned::to_owned).collect();
    let update_mask = Some(prost_types::FieldMask { paths });
    let request = client.request(UpdateQueueRequest { queue: Some(queue), update_mask });
    let answer = client.change(&doing, client.admin().update_queue(request)).await?;
    let queue = answer.queue.clone().unwrap_or_default();
    match out.format() {
        Format::Table => {
            out.note(&format!("jobplane: {}", said(&queue)))?;
            if held.is_none() {
                out.note("  no job was ever in it; what is said of it holds for those to come")?;
            }
        }
        Format::Json => out.message(&answer)?,
        Format::Jsonl => out.message(&queue)?,
    }
    Ok(Exit::Ok)
}

/// The queue as it stands, if there is one.
async fn held(client: &Client, name: &str) -> Result<Option<Queue>, Failure> {
    let request = client.request(ListQueuesRequest {});
    let answer = client.ask("list queues", client.admin().list_queues(request)).await?;
    Ok(answer.queues.into_iter().find(|queue| queue.name == name))
}

impl Set {
    /// What is to be set, and only that.
    fn wire(&self) -> (Queue, Vec<&'static str>) {
        let mut bursts = self.start_burst.is_some();
        let mut queue = Queue {
            name: self.queue.clone(),
            max_running: self.max_running.unwrap_or_default().into(),
            max_pending: self.max_pending.unwrap_or_default().into(),
            weight: self.weight.unwrap_or_default().into(),
            ..Queue::default()
        };
        match self.start_rate {
            Some(Rate::Word(rate)) => {
                // As many at once as a file that says the same.
                (queue.start_rate, queue.start_burst) = convert::queue::paced(&rate);
                bursts = true;
            }
            Some(Rate::PerSecond(per_second)) => queue.start_rate = per_second,
            None => {}
        }
        if let Some(burst) = self.start_burst {
            queue.start_burst = burst.into();
        }
        let named = [
            ("max_running", self.max_running.is_some()),
            ("max_pending", self.max_pending.is_some()),
            ("start_rate", self.start_rate.is_some()),
            ("start_burst", bursts),
            ("weight", self.weight.is_some()),
        ];
        (queue, named.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect())
    }
}

/// How fast jobs of a queue start, as files and flags say it.
pub fn start_rate(queue: &Queue) -> Option<String> {
    let rate = convert::queue::settings(queue).start_rate?;
    let word = StartRate { burst: 0, ..rate }.word();
    // One of a period that nobody would say is shown by the second.
    word.filter(|word| !word.contains(' ')).or_else(|| format::rate(queue.start_rate))
}

/// How a queue stands, in a line.
fn said(queue: &Queue) -> String {
    let name = format::plain(&queue.name);
    let mut facts = Vec::new();
    if queue.max_running > 0 {
        facts.push(format!("at most {} running", queue.max_running));
    }
    if queue.max_pending > 0 {
        facts.push(format!("at most {} waiting", queue.max_pending));
    }
    facts.extend(start_rate(queue).map(|rate| format!("starts {rate}")));
    if queue.start_burst > 0 {
        facts.push(format!("up to {} at once", queue.start_burst));
    }
    if queue.weight > 0 {
        facts.push(format!("weight {}", queue.weight));
    }
    let why = match queue.pause_reason.as_str() {
        "" => String::new(),
        reason => format!(" ({})", format::plain(reason)),
    };
    let state = if queue.paused { format!("paused{why}") } else { "open".to_owned() };
    let facts: Vec<String> = std::iter::once(state).chain(facts).collect();
    format!("queue {name} is {}", facts.join(", "))
}
