//! The form of the log: JSON lines for machines, or lines for people, on stderr.
//!
//! Nobody waits for stderr: lines queue up for a thread of their own, and those that find no room are
//! dropped and counted.

use std::fmt;
use std::io::Write;
use std::str::FromStr;
use std::sync::OnceLock;

use tracing::Subscriber;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::domain::limits::LOG_LINES_WAITING_MAX;

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// One JSON object a line.
    #[default]
    Json,
    /// For people.
    Pretty,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "json",
            Self::Pretty => "pretty",
        })
    }
}

/// A word that names no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be json or pretty, is {0:?}")]
pub struct UnknownFormat(String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "json" => Ok(Self::Json),
            "pretty" => Ok(Self::Pretty),
            _ => Err(UnknownFormat(word.to_owned())),
        }
    }
}

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter is none.
    #[error("the log filter {filter:?} is wrong: {problem}")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Somebody set up a log before.
    #[error("a log was set up before")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Writes what waits of the log when it is dropped, if somebody reads it within a second.
#[must_use]
pub struct Guard {
    _writer: WorkerGuard,
}

/// Lines of the log of this process that nobody read in time.
static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// How many lines of the log of this process were dropped.
pub fn dropped_lines() -> u64 {
    DROPPED.get().map_or(0, |dropped| dropped.dropped_lines() as u64)
}

/// Sets up the log of the process on stderr, panics included. `filter` names levels, as in
/// `info,jobplane=debug`.
///
/// # Errors
/// The filter is wrong, or a log was set up before.
pub fn init(format: Format, filter: &str) -> Result<Guard, Error> {
    let (lines, guard) = queue(std::io::stderr(), LOG_LINES_WAITING_MAX);
    let dropped = lines.error_counter();
    subscriber(format, filter, lines)?.try_init()?;
    DROPPED.get_or_init(|| dropped);
    // The usual hook would wait for stderr in the middle of a panic.
    std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "a task panicked")));
    Ok(guard)
}

/// A queue of lines, at most so many, and the thread that writes them.
pub(super) fn queue<W: Write + Send + 'static>(to: W, lines_max: usize) -> (NonBlocking, Guard) {
    let builder = NonBlockingBuilder::default().lossy(true).thread_name("log");
    let (lines, writer) = builder.buffered_lines_limit(lines_max).finish(to);
    (lines, Guard { _writer: writer })
}

/// What a bare word of a filter may be.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// The words of a filter that name no target, field or span. The library takes any word for a target
/// to be shown, and so hides all others: a level that is misspelt would silence the log.
fn bare_words(filter: &str) -> impl Iterator<Item = &str> {
    let words = filter.split(',').map(str::trim);
    words.filter(|word| !word.is_empty() && !word.contains(['=', '[', ']', '{', '}']))
}

fn is_level(word: &str) -> bool {
    LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word))
}

/// What takes the events of the process and writes them to `writer`.
///
/// # Errors
/// The filter is wrong.
pub fn subscriber<W>(
    format: Format,
    filter: &str,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, Error>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let wrong = |problem| Error::Filter { filter: filter.to_owned(), problem };
    if let Some(word) = bare_words(filter).find(|word| !is_level(word)) {
        return Err(wrong(format!("{word:?} is none of {}", LEVELS.join(", "))));
    }
    let filter = EnvFilter::try_new(filter).map_err(|error| wrong(error.to_string()))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    Ok(match format {
        Format::Json => Box::new(lines.json().flatten_event(true).with_span_list(false).finish()),
        Format::Pretty => Box::new(lines.with_ansi(false).finish()),
    })
}
