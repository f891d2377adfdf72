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

/// From here on a correction to the clock of a store is followed faster: drift was not the reason.
const LEAP: i64 = 5_000_000;
/// The part of the time passed by which such a correction backwards is followed.
const FAST_SLEW: i64 = 2;

/// Reads the wall clock.
type Wall = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Wall time as anchor and monotonic time since, so that it never goes back or stands still.
///
/// The wall clock is taken at its word once, at the start. Its later corrections are followed at a
/// tenth of the time that passes: leases and back-offs neither freeze when it is set back nor end all
/// at once when it is set forward.
///
/// Of several servers over one store all go by its clock ([`set`](Self::set) and
/// [`follow`](Self::follow)), and the wall clock counts no more.
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
    /// The part of the time passed by which that is made good.
    slew: i64,
    /// Told by a store, whatever the wall clock says.
    led: bool,
}

impl Anchor {
    /// What has been made good so far of what the wall clock was ahead.
    fn made_good(&self, passed: Duration) -> i64 {
        let most = i64::try_from(passed.as_micros()).unwrap_or(i64::MAX) / self.slew;
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
        self.slew = SLEW;
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

    /// A clock by a wall clock that is `ahead` microseconds ahead of that of the machine: for servers
    /// whose machines do not agree.
    #[must_use]
    pub fn ahead_by(ahead: i64) -> Self {
        let moment = move || Timestamp::from_micros(wall().as_micros().saturating_add(ahead));
        Self::by(Arc::new(moment))
    }

    fn by(wall: Wall) -> Self {
        let (moment, at) = (wall(), Self::monotonic());
        let anchor = Anchor { moment, at, ahead: 0, slew: SLEW, led: false };
        Self { anchor: Arc::new(Mutex::new(anchor)), wall }
    }

    /// The moment.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let mut anchor = self.anchor.lock();
        let now = Self::monotonic();
        let mut step = None;
        if !anchor.led && now.duration_since(anchor.at) > ANCHOR_AGE_MAX {
            step = anchor.renew(now, (self.wall)());
        }
        let moment = anchor.moment(now.duration_since(anchor.at));
        drop(anchor);
        if let Some(step) = step {
            tracing::warn!(step_us = step, "the wall clock was set: its time is approached slowly");
        }
        moment
    }

    /// Goes on from `moment`, the clock of a store: before anything was decided by this one.
    pub fn set(&self, moment: Timestamp) {
        let mut anchor = self.anchor.lock();
        *anchor = Anchor { moment, at: Self::monotonic(), ahead: 0, slew: SLEW, led: true };
    }

    /// Approaches `moment`, the clock of a store: slowly, as a correction of the wall clock; at once
    /// where that has leapt forward, and at half the pace of time where it has leapt back. Never goes
    /// back itself.
    pub fn follow(&self, moment: Timestamp) {
        let leap = {
            let mut anchor = self.anchor.lock();
            anchor.led = true;
            anchor.renew(Self::monotonic(), moment);
            let ahead = anchor.ahead;
            if ahead >= LEAP {
                (anchor.moment, anchor.ahead) = (moment, 0);
            } else if ahead <= -LEAP {
                anchor.slew = FAST_SLEW;
            }
            (ahead.saturating_abs() >= LEAP).then_some(ahead)
        };
        if let Some(leap) = leap {
            tracing::warn!(leap_us = leap, "the clock of the store has leapt, and is followed");
        }
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
