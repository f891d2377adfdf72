//! Bounds of rounds of starts.

use std::time::Duration;

use super::{QUEUES_MAX, TYPES_MAX};

/// (queue, type) pairs one dispatch round looks at.
pub const DISPATCH_PAIRS_MAX: usize = 64;
/// Jobs one dispatch round starts.
pub const DISPATCH_JOBS_MAX: usize = 1_000;
/// How many jobs of a pair are thought to come up in a round as long as nothing is known of it, in percent of an even
/// share.
pub const DISPATCH_TURNOUT_PERCENT: usize = 150;
/// What is thought at least, whatever is learned.
pub const DISPATCH_TURNOUT_PERCENT_MIN: usize = 10;
/// How many jobs at the front of a pair a round looks at, in percent of those that are likely to come up: too few end
/// a round early, too many are read in vain.
pub const DISPATCH_SPARE_PERCENT: usize = 125;
/// Jobs that became ready so shortly after each other may start in any order where a round looks only at the
/// fronts of their lines.
pub const DISPATCH_BLUR: Duration = Duration::from_secs(1);
/// Rules of which the one writer of a database remembers how they stand: rates, breakers and use of quotas of as many
/// types and queues as there may be. With more it begins anew.
pub const RULES_KNOWN_MAX: usize = 2 * (TYPES_MAX + QUEUES_MAX);
/// Pairs of which the dispatcher remembers how far they are to be looked at: as many as it knows of. With fewer it would
/// forget them and find them again without an end.
pub const DISPATCH_DEPTHS_MAX: usize = TYPES_MAX + QUEUES_MAX;
/// Names of what ended while a round reads; with more, the round looks again everywhere.
pub const DISPATCH_FREED_MAX: usize = 64;
/// Starts that workers ask for by themselves and that rules concern, in one commit.
pub const STARTS_AT_ONCE_MAX: usize = 64;
/// Such starts that wait; further ones are refused.
pub const STARTS_WAITING_MAX: usize = 1_024;
