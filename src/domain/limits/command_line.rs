//! Bounds of the command line: its own workers, the commands it runs, its screens.

use std::time::Duration;

use super::{LOG_ENTRY_BYTES_MAX, PAYLOAD_BYTES_MAX, SLOTS_MAX, UNACKED_BYTES_MAX};

/// Log lines that a worker of the command line keeps on disk while the server is away: hours of a quiet command, and
/// little beside what the command itself writes.
pub const SPOOL_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Log lines that such a worker keeps in memory before it turns to the disk: what the server takes in one go.
pub const SPOOL_MEMORY_BYTES_MAX: usize = UNACKED_BYTES_MAX;
/// A server that is there and takes no line for this long holds nobody up any more: its disk is slow, or it is stuck.
pub const SPOOL_STALL: Duration = Duration::from_secs(5);
/// Pieces in which the spool's file is used again: what a chunk wastes is less than one.
pub const SPOOL_PAGE_BYTES: usize = 4 * 1024;
/// Events of a worker's session that wait for whoever runs its jobs: more than it can hold jobs.
pub const WORKER_EVENTS_MAX: usize = 4 * SLOTS_MAX as usize;
/// Messages of a worker that wait for its transport: few, so that progress is chosen as late as can be.
pub const WORKER_MESSAGES_MAX: usize = 8;
/// Bytes of a command's lines that wait to be taken; beyond it nothing more is read, and the command waits at its pipe.
pub const PROCESS_LINES_BYTES: usize = 1024 * 1024;
/// The same when nobody takes them in [`PROCESS_ROOM_WITHIN`]: the oldest are dropped and counted.
pub const PROCESS_LINES_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A command waits this long for its lines to be taken: longer than a server that is there may need ([`SPOOL_STALL`]).
pub const PROCESS_ROOM_WITHIN: Duration = Duration::from_secs(15);
/// The rest of a command's output may take this long in all once it was stopped.
pub const PROCESS_REST_WITHIN: Duration = Duration::from_secs(30);
/// Bytes of one line of a command: a log entry less what stands in it beside the text.
pub const PROCESS_LINE_BYTES_MAX: usize = LOG_ENTRY_BYTES_MAX - 512;
/// Bytes of a line of JSON that may be a command's result: more text than this cannot become a result.
pub const PROCESS_RESULT_BYTES_MAX: usize = 4 * PAYLOAD_BYTES_MAX;
/// Last lines of a command's stderr that are told with its failure: a screen.
pub const PROCESS_STDERR_LINES_MAX: usize = 20;
/// Bytes of these lines: they stand in the message of an error, which people read.
pub const PROCESS_STDERR_BYTES_MAX: usize = 4 * 1024;
/// How often what a command uses is looked at.
pub const PROCESS_SAMPLE_INTERVAL: Duration = Duration::from_secs(1);
/// The same while a limit holds: memory fills quickly.
pub const PROCESS_SAMPLE_INTERVAL_LIMITED: Duration = Duration::from_millis(200);
/// Looking takes at most this part of the time: on a machine with many processes it is done less often.
pub const PROCESS_SAMPLE_SHARE: u32 = 20;
/// Resident memory of a process up to which its share of common pages is asked for: the kernel walks all its pages.
pub const PROCESS_SHARE_BYTES_MAX: u64 = 4 << 30;
/// A command may use more of the processor than its limit for this long: starting up is no misuse.
pub const PROCESS_CPU_OVER_FOR: Duration = Duration::from_secs(5);
/// Time a command has between SIGTERM and SIGKILL if nothing else is said.
pub const PROCESS_STOP_GRACE: Duration = Duration::from_secs(10);
/// Time that what a command left behind has between SIGTERM and SIGKILL.
pub const PROCESS_LEFT_BEHIND_GRACE: Duration = Duration::from_secs(2);
/// A process that SIGKILL does not end in this time waits for a device, and is given up.
pub const PROCESS_KILL_WITHIN: Duration = Duration::from_secs(10);
/// The output of a command that was stopped is read for this long after its end.
pub const PROCESS_OUTPUT_WITHIN: Duration = Duration::from_secs(2);
/// Signals on their way to a command.
pub const PROCESS_SIGNALS_MAX: usize = 16;
/// Of a line that is drawn again and again and is no progress, one in this time is logged.
pub const PROCESS_REDRAWN_EVERY: Duration = Duration::from_secs(10);
/// Lease of a job that `jobplane run` runs: nobody else would run it, and the command should outlive an outage.
pub const RUN_LEASE_TTL: Duration = Duration::from_secs(600);
/// How often `jobplane run` asks to start its job while the server says that it cannot serve for now.
pub const RUN_START_TRIES_MAX: usize = 5;
/// News that wait for the screen of `top`; who brings more waits.
pub const TOP_EVENTS_MAX: usize = 256;
/// Failures that `top` shows: nobody scrolls further.
pub const TOP_FAILURES_MAX: usize = 100;
/// Lines of a log that `top` holds, those of one job at a time.
pub const TOP_LOG_LINES_MAX: usize = 2_000;
