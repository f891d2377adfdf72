//! The only clock of the server.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::domain::Timestamp;

/// How long the wall clock is trusted before it is read again.
const ANCHOR_AGE_MAX: Duration = Duration::from_secs(60);
/// The part of the time passed by which a correction of the wall clock is followed.
const SLEW: i64 = 10;
/// A correction that somebody should know of: drift is far smaller.
const STEP: i64 = 1_000_000;

/// Reads the wall clock.
type Wall = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Wall time as anchor and monotonic time since, so that it never goes back or stands still.
///
/// The wall clock is taken at its word once, at the start. Its later corrections are followed at a
/// tenth of the time that passes: leases and back-offs neither freeze when it is set back nor end all
/// at once when it is set forward.
///
/// Monotonic time is tokio's, so that tests with a paused runtime move it.
#[derive(Clone)]
pub struct Clock {
    anchor: Arc<Mutex<Anchor>>,
    wall: Wall,
}

struct Anchor {
    moment: Timestamp,
    at: Instant,
    /// What the wall clock was ahead then, in microseconds.
    ahead: i64,
}

impl Anchor {
    /// What has been made good so far of what the wall clock was ahead.
    fn made_good(&self, passed: Duration) -> i64 {
        let most = i64::try_from(passed.as_micros()).unwrap_or(i64::MAX) / SLEW;
        self.ahead.clamp(-most, most)
    }

    fn moment(&self, passed: Duration) -> Timestamp {
        let moment = self.moment.plus(passed).as_micros();
        Timestamp::from_micros(moment.saturating_add(self.made_good(passed)))
    }

    /// Reads the wall clock; answers by how much it was set anew, if it was.
    fn renew(&mut self, now: Instant, wall: Timestamp) -> Option<i64> {
        let passed = now.duration_since(self.at);
        let expected = self.ahead - self.made_good(passed);
        self.moment = self.moment(passed);
        self.at = now;
        self.ahead = wall.as_micros().saturating_sub(self.moment.as_micros());
        let step = self.ahead.saturating_sub(expected);
        (step.saturating_abs() >= STEP).then_some(step)
    }
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
        Self::by(Arc::new(wall))
    }

    fn by(wall: Wall) -> Self {
        let anchor = Anchor { moment: wall(), at: Self::monotonic(), ahead: 0 };
        Self { anchor: Arc::new(Mutex::new(anchor)), wall }
    }

    /// The moment.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let mut anchor = self.anchor.lock();
        let now = Self::monotonic();
        let mut step = None;
        if now.duration_since(anchor.at) > ANCHOR_AGE_MAX {
            step = anchor.renew(now, (self.wall)());
        }
        let moment = anchor.moment(now.duration_since(anchor.at));
        drop(anchor);
        if let Some(step) = step {
            tracing::warn!(step_us = step, "the wall clock was set: its time is approached slowly");
        }
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

#[cfg(test)]
mod tests;
