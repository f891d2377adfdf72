//! The only clock of the server.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::domain::Timestamp;

/// How long the wall clock is trusted before it is read again.
const ANCHOR_AGE_MAX: Duration = Duration::from_secs(60);

/// Wall time as anchor and monotonic time since: moves evenly between two readings of the wall
/// clock, follows its corrections within a minute, and never goes back.
///
/// Monotonic time is tokio's, so that tests with a paused runtime move it.
#[derive(Clone)]
pub struct Clock(Arc<Mutex<Anchor>>);

struct Anchor {
    wall: Timestamp,
    at: Instant,
    latest: Timestamp,
}

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

impl Clock {
    /// A clock that starts from the wall clock.
    #[must_use]
    pub fn new() -> Self {
        let wall = wall();
        Self(Arc::new(Mutex::new(Anchor { wall, at: Self::monotonic(), latest: wall })))
    }

    /// The moment.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let mut anchor = self.0.lock();
        let now = Self::monotonic();
        if now.duration_since(anchor.at) > ANCHOR_AGE_MAX {
            anchor.wall = wall();
            anchor.at = now;
        }
        let moment = anchor.wall.plus(now.duration_since(anchor.at)).max(anchor.latest);
        anchor.latest = moment;
        moment
    }

    /// Monotonic time, for ages and pauses.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn monotonic() -> Instant {
        Instant::now()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}
