//! What watches do when their stream breaks: how long silence is borne, how long to wait, whether to try again.

use std::time::Duration;

use tonic::{Code, Status};

use super::{Address, Client, Refusal};
use crate::cli::exit::Failure;

/// The server says something every 15 s; after three times that the stream is dead.
pub const SILENCE_MAX: Duration = Duration::from_secs(45);
/// The first pause before another try; each further one is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// No pause is longer.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How a stream breaks.
pub enum Break {
    /// Another may do better.
    Passing { cause: String, after: Option<Duration> },
    /// Another would not.
    Fatal(Failure),
}

impl Break {
    /// A break of which the server said nothing.
    pub fn passing(cause: &str) -> Self {
        Self::Passing { cause: cause.to_owned(), after: None }
    }

    /// What a status that ended `doing` means. Before anything was `heard`, only a server that is there but not ready
    /// is waited for.
    pub fn of(status: &Status, doing: &str, address: &str, heard: bool) -> Self {
        let refusal = Refusal::of(status, doing, address);
        if refusal.passing && (heard || status.code() == Code::Unavailable) {
            Self::Passing { cause: refusal.cause().to_owned(), after: refusal.retry_after }
        } else {
            Self::Fatal(Failure::Refused(Box::new(refusal)))
        }
    }
}

/// How long to wait after so many breaks in a row, and at least `after`. Many who lost the same server do not come back
/// in the same moment.
pub fn pause(breaks: u32, after: Option<Duration>) -> Duration {
    let pause = PAUSE_MIN.saturating_mul(1 << breaks.min(8)).min(PAUSE_MAX);
    pause.mul_f64(rand::random_range(0.8..1.2)).max(after.unwrap_or_default())
}

/// The time is over, and nothing was ever heard.
pub fn unheard(doing: &str, address: &Address, limit: Duration) -> Failure {
    Failure::TimedOut {
        doing: format!("no answer from {address} to: {doing}"),
        after: limit,
        next: "check the address in --endpoint or JOBPLANE_ENDPOINT and that the server is well, or allow more with \
               --timeout"
            .to_owned(),
    }
}

/// An event that cannot be read.
pub fn unreadable(error: &prost::DecodeError) -> Failure {
    Failure::Unreadable(format!("an event of the watch: {error}"))
}

impl Client {
    /// The limit of the whole command: until when, and how long that is.
    pub fn deadline(&self) -> Option<(tokio::time::Instant, Duration)> {
        self.until.zip(self.limit)
    }
}
