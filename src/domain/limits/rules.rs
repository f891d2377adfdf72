//! Bounds of the rules: schedules, quotas, breakers, retry rules.

use std::time::Duration;

/// A cron expression: the longest that people write lists each minute of an hour.
pub const CRON_BYTES_MAX: usize = 256;
/// Shortest interval of a schedule: what is due more often is work for a queue.
pub const INTERVAL_MIN: Duration = Duration::from_secs(1);
/// Longest jitter: beyond a day a run would be somebody else's.
pub const JITTER_MAX: Duration = Duration::from_secs(24 * 3600);
/// How late a scheduled run may still start, if nothing is said.
pub const CATCH_UP_DEFAULT: Duration = Duration::from_secs(3600);
/// Shortest such window: a scheduler that was busy for a moment must not miss anything.
pub const CATCH_UP_MIN: Duration = Duration::from_secs(10);
/// Longest such window.
pub const CATCH_UP_MAX: Duration = Duration::from_secs(365 * 24 * 3600);
/// Nominal times of a type settled in one step of the scheduler; the rest comes with the next one.
pub const SCHEDULE_BATCH_MAX: usize = 100;
/// Pages of jobs read to find those that a run has to wait for behind those that are made for later.
pub const SCHEDULE_PAGES_MAX: usize = 20;
/// Nominal times that a changed schedule is compared by with the one before; past so many none is made up for.
pub const SCHEDULE_CHANGE_TIMES_MAX: usize = 1_000;
/// Fire times that one preview shows.
pub const PREVIEW_TIMES_MAX: usize = 100;
/// Schedules settled at the same time: their commits are shared.
pub const SCHEDULES_AT_ONCE: usize = 64;
/// A run that is expected elsewhere may come this much before its time, and half a period at most: clocks differ.
pub const EXPECTED_EARLY: Duration = Duration::from_secs(60);
/// Longest grace of an expected run.
pub const EXPECTED_GRACE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// A display name: it stands in a table's cell.
pub const DISPLAY_NAME_BYTES_MAX: usize = 128;
/// What a type is for, in its author's words.
pub const DESCRIPTION_BYTES_MAX: usize = 4_096;
/// Jobs that may run at once by any cap, and wait by `max_pending`; more is a mistake of units.
pub const CAP_MAX: u32 = 10_000_000;
/// A queue's weight: beyond it the others would hardly be served.
pub const WEIGHT_MAX: u32 = 1_000;
/// Starts in a period of a start rate, and its burst.
pub const RATE_COUNT_MAX: u32 = 1_000_000;
/// Shortest period of a start rate.
pub const RATE_PERIOD_MIN: Duration = Duration::from_millis(1);
/// Longest period of a start rate.
pub const RATE_PERIOD_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// A job keeps away from the worker it failed on for this long; then any is better than none.
pub const AVOID_WORKER_FOR: Duration = Duration::from_secs(5 * 60);

/// Outside quotas that a server knows: each is a row that starts race for.
pub const QUOTAS_MAX: usize = 1_000;
/// Quotas that one start draws from.
pub const QUOTA_COSTS_MAX: usize = 16;
/// Units of a quota: beyond it JSON is not exact.
pub const QUOTA_UNITS_MAX: u64 = 1 << 53;

/// Failures a breaker counts to; their moments are kept.
pub const CIRCUIT_FAILURES_MAX: u32 = 100;
/// Window in which a breaker counts, if nothing is said.
pub const CIRCUIT_WINDOW_DEFAULT: Duration = Duration::from_secs(3600);
/// Time until an open breaker lets a probe through, if nothing is said.
pub const CIRCUIT_PROBE_DEFAULT: Duration = Duration::from_secs(300);

/// Retry rules of a type: they travel with each of its jobs.
pub const RETRY_RULES_MAX: usize = 16;
/// Code patterns of one retry rule.
pub const RETRY_RULE_CODES_MAX: usize = 32;
/// How much memory may grow from one attempt to the next.
pub const MEMORY_FACTOR_MAX: f64 = 10.0;

/// Jobs, workers and the like that an explanation names.
pub const EXPLAIN_IDS_MAX: usize = 20;
