//! Bounds of what keeps the house: watchdogs, sweeps, usage, retention, bulk, events, audit.

use std::time::Duration;

use super::TOTAL_SIZE_EXACT_MAX;

/// Jobs with all they have that are read at once where a list cannot be read.
pub const READABLE_AT_ONCE: usize = 32;

/// Shortest period and threshold of the automatic sweep: below it a pause of a worker's garbage
/// collector or network is taken for the end of its work.
pub const SWEEP_AFTER_MIN: Duration = Duration::from_secs(60);
/// Longest period and threshold of the automatic sweep: what is looked at less often is nobody's watch.
pub const SWEEP_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);
/// Pause between two automatic sweeps, if nothing is said.
pub const SWEEP_PERIOD_DEFAULT: Duration = Duration::from_secs(15 * 60);
/// Least threshold of a sweep by hand: a slip of the finger must not stop what works.
pub const SWEEP_BY_HAND_MINUTES_MIN: u32 = 30;
/// Largest threshold of a sweep by hand: a day.
pub const SWEEP_BY_HAND_MINUTES_MAX: u32 = 1_440;
/// Threshold of a sweep by hand, if nothing is said.
pub const SWEEP_BY_HAND_MINUTES_DEFAULT: u32 = 120;
/// Jobs that the answer to a sweep names; the count goes on.
pub const SWEEP_IDS_MAX: usize = 1_000;

/// How long a job may use more than it may before it is asked to stop, if nothing is said: a peak at
/// the start or while something is loaded is no leak.
pub const USAGE_SUSTAIN_DEFAULT: Duration = Duration::from_secs(30);
/// Longest such time.
pub const USAGE_SUSTAIN_MAX: Duration = Duration::from_secs(3600);

/// How exactly lines of a log are known as activity after a crash of the server, or by another one: they
/// are written down no more often. Reports of progress are known to a flush.
pub const ACTIVITY_EXACT: Duration = Duration::from_secs(1);
/// Pause between two looks for runs that take unusually long, and at what is usual.
pub const SLOW_PERIOD: Duration = Duration::from_secs(30);
/// Jobs that a sweep acts on at a time: commits of others do not wait long for them.
pub const SWEEP_AT_ONCE: usize = 100;

/// Time between the end of a worker's grace and the moment its jobs are taken back: what it says at the end
/// of it has to arrive.
pub const DRAIN_MARGIN: Duration = Duration::from_secs(2);
/// How long it is known that a worker was to leave after it is gone: should it have been cut off only, it
/// gets no jobs when it is back.
pub const DRAIN_KEPT: Duration = Duration::from_secs(24 * 3600);

/// Runs that a type must have on record before one is called slow: with fewer, the 95th percentile is
/// the longest of them.
pub const SLOW_RUNS_MIN: u64 = 20;
/// No run is called slow before it has taken this long: nobody acts on less.
pub const SLOW_AFTER_MIN: Duration = Duration::from_secs(10);
/// Runs on record that took longer than this one has so far, for its remaining time to be told.
pub const ESTIMATE_RUNS_MIN: u64 = 5;

/// Jobs are kept this long after their end, if nothing is said.
pub const RETENTION_DEFAULT: Duration = Duration::from_secs(30 * 24 * 3600);
/// Logs are kept this long, if nothing is said.
pub const LOG_RETENTION_DEFAULT: Duration = Duration::from_secs(7 * 24 * 3600);
/// Events are kept this long, if nothing is said.
pub const EVENT_RETENTION_DEFAULT: Duration = Duration::from_secs(7 * 24 * 3600);
/// The audit is kept this long, if nothing is said.
pub const AUDIT_RETENTION_DEFAULT: Duration = Duration::from_secs(365 * 24 * 3600);
/// Days that a purge by hand keeps, if nothing is said.
pub const PURGE_DAYS_DEFAULT: u32 = 30;
/// Fewest days that a purge by hand may keep.
pub const PURGE_DAYS_MIN: u32 = 1;
/// Most days that a purge by hand may keep.
pub const PURGE_DAYS_MAX: u32 = 365;
/// Shortest pause between two purges.
pub const PURGE_PERIOD_MIN: Duration = Duration::from_secs(60);
/// Longest pause between two purges: what is kept must be near to what was said.
pub const PURGE_PERIOD_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// Jobs that one statement of a purge deletes: few enough that the commits between two of them do not
/// wait long.
pub const PURGE_BATCH_JOBS: usize = 200;
/// After each batch a purge rests this many times as long as that took: most of the time is others' to write.
pub const PURGE_REST_SHARE: u32 = 4;
/// Longest such rest: with it a purge takes some two thousand jobs a second where a batch takes no time at all.
pub const PURGE_REST_MAX: Duration = Duration::from_millis(100);
/// A server that runs the purge and dies is taken for dead after this; it renews its hold three times as often.
pub const PURGE_HOLD: Duration = Duration::from_secs(60);
/// A run that failed while there is an archive is taken up again after a hold, then after twice as long each time, up
/// to this: each may leave a file.
pub const PURGE_PAUSE_MAX: Duration = Duration::from_secs(3600);
/// So many jobs in a row that cannot be read or taken away are not to blame themselves: the purge is left.
pub const PURGE_LEFT_IN_ROW_MAX: usize = 10;
/// Records of purges that wait for a store that does not answer; each was in the log, too.
pub const PURGE_RECORDS_MAX: usize = 100;
/// Text that is pressed into one frame of the archive.
pub const ARCHIVE_FRAME_BYTES: usize = 4 * 1024 * 1024;

/// Jobs that one step of a bulk command changes.
pub const BULK_BATCH_JOBS: usize = 100;
/// Jobs a second that a bulk command changes, if nothing is said: a fraction of what the write path takes.
pub const BULK_RATE_DEFAULT: f64 = 500.0;
/// Slowest pace of a bulk command: one job in a hundred seconds.
pub const BULK_RATE_MIN: f64 = 0.01;
/// Fastest pace of a bulk command.
pub const BULK_RATE_MAX: f64 = 10_000.0;
/// Bulk commands that one server runs at the same time: each has its own pace.
pub const BULK_AT_ONCE: usize = 4;
/// The lease of a bulk command: another server takes it over this long after its own has died.
pub const BULK_LEASE: Duration = Duration::from_secs(30);
/// How often a bulk command renews it, tells how far it is, and looks whether it is to stop.
pub const BULK_REPORT_EVERY: Duration = Duration::from_secs(1);
/// Jobs that the answer to a bulk command shows.
pub const BULK_SAMPLE_MAX: usize = 20;
/// Jobs that one bulk command may be expected to change: more is a matter for several.
pub const BULK_EXPECTED_MAX: u64 = 10_000_000;

/// How often the age of a queue's oldest job is told again while it stays too high.
pub const QUEUE_AGE_TOLD_EVERY: Duration = Duration::from_secs(3600);

/// How long the oldest ready job of a queue may have waited before it is told, if nothing is said: work that waits
/// for an hour is rarely meant to.
pub const QUEUE_AGE_DEFAULT: Duration = Duration::from_secs(3600);
/// Shortest such time: below it a busy second is told.
pub const QUEUE_AGE_MIN: Duration = Duration::from_secs(1);
/// Longest such time.
pub const QUEUE_AGE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Events that one answer looks through for those that are wanted; the next one goes on.
pub const EVENTS_SCANNED_MAX: usize = 5_000;
/// Events that are looked through, from the newest back, for the last so many that are wanted.
pub const EVENTS_TAIL_SCANNED_MAX: usize = 100_000;

/// Fields of a thing that an audit event shows before and after.
pub const AUDIT_FIELDS_MAX: usize = 64;
/// A field's value in an audit event: what is longer is cut, with a mark.
pub const AUDIT_VALUE_BYTES_MAX: usize = 512;

/// Labels by which figures may be kept.
pub const STAT_LABELS_MAX: usize = 4;
/// Jobs at the end of a line among which the newest is looked for: a line goes by readiness and priority, so only
/// a higher priority can put it further off.
pub const LINE_LOOKED_AT_MAX: usize = 100;
/// Minutes that figures of an owner or a label are summed over: fewer, and a busy owner has more rows than
/// jobs; more, and the last hour is not told apart from the one before.
pub const STAT_SLOT_MINUTES: i64 = 10;
/// Jobs of an owner or a label that are counted when somebody asks how many are stored.
pub const STAT_JOBS_MAX: u64 = TOTAL_SIZE_EXACT_MAX;
