//! Wall clocks: from moments to what a clock in a time zone shows, and back.
//!
//! The zones come with the program, so that every replica and every container knows the same ones.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

use super::time::Timestamp;

/// Zone transitions looked at to find the end of a gap: it is the next change of the offset, and
/// changes that leave the offset alone are rare.
const TRANSITIONS_MAX: usize = 16;

/// A name that is no time zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a time zone of the IANA database like Europe/Berlin, {0:?} is none")]
pub struct UnknownZone(String);

/// A time zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// Where nobody ever sets a clock forward.
    pub const UTC: Self = Self(TimeZone::UTC);

    /// The zone of that name; UTC if it is empty.
    ///
    /// # Errors
    /// [`UnknownZone`] if there is none.
    pub fn named(name: &str) -> Result<Self, UnknownZone> {
        if name.is_empty() {
            return Ok(Self::UTC);
        }
        let zone = TimeZone::get(name).ok().filter(|zone| !zone.is_unknown());
        zone.map(Self).ok_or_else(|| UnknownZone(name.to_owned()))
    }

    /// What a clock shows there at that moment, if any calendar has it.
    #[must_use]
    pub fn local(&self, at: Timestamp) -> Option<DateTime> {
        let at = jiff::Timestamp::from_microsecond(at.as_micros()).ok()?;
        Some(self.0.to_datetime(at))
    }

    /// The moment at which a clock there shows `local`: the first one, if it does so twice; if it
    /// never does because it is set forward over it, the first moment after that.
    #[must_use]
    pub fn moment(&self, local: DateTime) -> Option<Timestamp> {
        let at = match self.0.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(local).ok()?,
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(local).ok()?,
            AmbiguousOffset::Gap { after, .. } => {
                // By the later offset the skipped time lies before the change, by less than the gap.
                let before = after.to_timestamp(local).ok()?;
                let mut changes = self.0.following(before).take(TRANSITIONS_MAX);
                changes.find(|change| change.offset() == after)?.timestamp()
            }
        };
        Some(Timestamp::from_micros(at.as_microsecond()))
    }
}

#[cfg(test)]
mod tests;
