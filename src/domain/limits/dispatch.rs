//! Bounds of rounds of starts.

use std::time::Duration;

use super::{QUEUES_MAX, TYPES_MAX};

/// (queue, type) pairs one dispatch round looks at.
pub const DISPATCH_PAIRS_MAX: usize = 64;
/// Jobs one dispatch round starts.
pub const DISPATCH_JOBS_MAX: usize = 1_000;
/// Jobs at the front of each pair that a round looks at, at least: twice what is needed on an even share is
/// enough as long as jobs come about evenly.
pub const DISPATCH_FRONT_MIN: usize = 4;
/// Jobs that became ready so shortly after each other may start in any order where a round looks only at the
/// fronts of their lines.
pub const DISPATCH_BLUR: Duration = Duration::from_secs(1);
/// Rules of which the one writer of a database remembers how they stand: rates, breakers and use of quotas of as many
/// types and queues as there may be. With more it begins anew.
pub const RULES_KNOWN_MAX: usize = 2 * (TYPES_MAX + QUEUES_MAX);
/// Pairs that the dispatcher looks at more deeply because those at the front are held or not enough: as many as it knows of.
/// With fewer it would forget them and find them again without an end.
pub const DISPATCH_DEPTHS_MAX: usize = TYPES_MAX + QUEUES_MAX;
/// Names of what ended while a round reads; with more, the round looks again everywhere.
pub const DISPATCH_FREED_MAX: usize = 64;
/// Starts that workers ask for by themselves and that rules concern, in one commit.
pub const STARTS_AT_ONCE_MAX: usize = 64;
/// Such starts that wait; further ones are refused.
pub const STARTS_WAITING_MAX: usize = 1_024;
