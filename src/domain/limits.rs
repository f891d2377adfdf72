//! Every bound of the service, with its reason. Nothing grows past a number in this file and those below it.

mod command_line;
mod database;
mod dispatch;
mod keeping;
mod rules;

use std::time::Duration;

pub use command_line::*;
pub use database::*;
pub use dispatch::*;
pub use keeping::*;
pub use rules::*;

/// Names stand in indexes, metrics and terminals.
pub const NAME_BYTES_MAX: usize = 128;
/// Distinct job types a server knows: each is a row of counters and a metric label.
pub const TYPES_MAX: usize = 10_000;
/// Distinct queues a server knows.
pub const QUEUES_MAX: usize = 1_000;

/// An encoded payload or result.
pub const PAYLOAD_BYTES_MAX: usize = 256 * 1024;
/// An encoded error with its details and stack trace.
pub const ERROR_BYTES_MAX: usize = 64 * 1024;
/// Nesting of a payload, result, log data or error details.
pub const STRUCT_DEPTH_MAX: usize = 32;
/// Labels of a job or worker.
pub const LABELS_MAX: usize = 32;
/// A label's key.
pub const LABEL_KEY_BYTES_MAX: usize = 63;
/// A label's value.
pub const LABEL_VALUE_BYTES_MAX: usize = 256;
/// Owner, subject, external id, unique key, traceparent and principal: indexed texts.
pub const TEXT_BYTES_MAX: usize = 256;
/// A request id: a UUID with a prefix; it is kept longer than most jobs.
pub const REQUEST_ID_BYTES_MAX: usize = 128;
/// The name and the version of a client library.
pub const CLIENT_TEXT_BYTES_MAX: usize = 128;
/// Reasons given by people and workers.
pub const REASON_BYTES_MAX: usize = 1_024;

/// Attempts a retry policy may ask for.
pub const ATTEMPTS_MAX: u32 = 100;
/// Attempts if nothing is said.
pub const ATTEMPTS_DEFAULT: u32 = 3;
/// Delays in a delay list.
pub const RETRY_DELAYS_MAX: usize = 32;
/// A single back-off or retry delay.
pub const RETRY_DELAY_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// First back-off if nothing is said.
pub const BACKOFF_INITIAL_DEFAULT: Duration = Duration::from_secs(5);
/// Longest back-off if nothing is said.
pub const BACKOFF_MAX_DEFAULT: Duration = Duration::from_secs(3600);
/// Growth of the back-off if nothing is said.
pub const BACKOFF_MULTIPLIER_DEFAULT: f64 = 2.0;
/// Spread of the back-off if nothing is said, as a fraction of it.
pub const BACKOFF_JITTER_DEFAULT: f64 = 0.1;
/// Releases in a row before a release counts as a failed attempt: a job that nobody keeps must end.
pub const RELEASES_IN_ROW_MAX: u32 = 100;

/// Timeouts, stuck thresholds and the like are at least this long.
pub const TIMEOUT_MIN: Duration = Duration::from_secs(1);
/// Time a worker has to stop after a cancel, if nothing is said.
pub const CANCEL_GRACE_DEFAULT: Duration = Duration::from_secs(30);
/// Longest grace of a cancel.
pub const CANCEL_GRACE_MAX: Duration = Duration::from_secs(3600);
/// Jobs are kept for this long at least and at most.
pub const RETENTION_MIN: Duration = Duration::from_secs(24 * 3600);
/// See [`RETENTION_MIN`].
pub const RETENTION_MAX: Duration = Duration::from_secs(365 * 24 * 3600);
/// Timeouts, estimates and the like are at most this long: more is a mistake of units.
pub const SPAN_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// A job may be scheduled this far ahead.
pub const SCHEDULE_AHEAD_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Lease of a stream's session if nothing is said; also the grace after the server came up.
pub const LEASE_TTL_DEFAULT: Duration = Duration::from_secs(30);
/// Lease of a unary assignment if nothing is said.
pub const LEASE_TTL_UNARY_DEFAULT: Duration = Duration::from_secs(60);
/// Shortest lease.
pub const LEASE_TTL_MIN: Duration = Duration::from_secs(10);
/// Longest lease.
pub const LEASE_TTL_MAX: Duration = Duration::from_secs(24 * 3600);
/// What a session keeps after its peer closed the stream without Goodbye.
pub const LEASE_AFTER_CLOSE: Duration = Duration::from_secs(10);
/// An assignment that is not confirmed this long after it was written is taken back.
pub const DELIVERY_CONFIRM_WITHIN: Duration = Duration::from_secs(10);

/// Jobs a session may hold.
pub const SLOTS_MAX: u32 = 1_000;
/// Jobs one `AcquireJobs` call may take.
pub const ACQUIRE_JOBS_MAX: u32 = 100;
/// Wait of `AcquireJobs` if nothing is said.
pub const ACQUIRE_WAIT_DEFAULT: Duration = Duration::from_secs(30);
/// Shortest wait of `AcquireJobs`, whatever is asked: a dispatch round must fit into it, or a call that
/// waits for nothing would never get a job.
pub const ACQUIRE_WAIT_MIN: Duration = Duration::from_millis(100);
/// Longest wait of `AcquireJobs`.
pub const ACQUIRE_WAIT_MAX: Duration = Duration::from_secs(60);
/// Queues or types a worker or a filter may name.
pub const NAMES_PER_LIST_MAX: usize = 1_000;

/// Pace a worker is asked to report at while nobody watches.
pub const REPORT_INTERVAL_UNWATCHED: Duration = Duration::from_secs(1);
/// Pace a worker is asked to report at while somebody watches.
pub const REPORT_INTERVAL_WATCHED: Duration = Duration::from_millis(250);
/// Durable updates of one session under way at once.
pub const UNACKED_UPDATES_MAX: usize = 1_024;
/// Bytes of durable updates of one session under way at once.
pub const UNACKED_BYTES_MAX: usize = 1024 * 1024;
/// Unary sessions whose job is over and that are to be ended; what is more runs out by itself.
pub const DONE_SESSIONS_MAX: usize = 16_384;
/// Messages that wait for a worker to read them before its stream is ended.
pub const OUTBOX_MESSAGES_MAX: usize = 8_192;
/// Messages that a worker has not said it received before acks of mere ticks come at [`ACK_PACE`]: an unread
/// ack is a small frame, and some 10,000 of them cost a client with default settings its connection.
pub const ACKS_UNREAD_MAX: i64 = 512;
/// The same for acks of what is durable: a worker may wait for them, so they are held back later.
pub const DURABLE_ACKS_UNREAD_MAX: i64 = 4_096;
/// Pace of the acks to a worker that does not seem to read them; each covers all before it.
pub const ACK_PACE: Duration = Duration::from_millis(100);
/// A worker whose transport takes nothing of what waits for this long gets no further job.
pub const OUTBOX_STALLED_AFTER: Duration = Duration::from_secs(2);

/// Least time between two updates of a `WatchJob` stream, if nothing is said.
pub const WATCH_JOB_INTERVAL_DEFAULT: Duration = Duration::from_millis(100);
/// Least time between two rounds of a `WatchJobs` stream, if nothing is said.
pub const WATCH_JOBS_INTERVAL_DEFAULT: Duration = Duration::from_millis(250);
/// Jobs that one `WatchJobs` may begin with: its client holds them all.
pub const WATCH_JOBS_MAX: u64 = 100_000;
/// Jobs that a watch of many remembers to have taken back: ticks that come late come within moments.
pub const WATCH_JOBS_GONE_MAX: usize = 1_000;
/// Matching jobs are counted up to here to say how many too many there are.
pub const WATCH_JOBS_COUNTED_MAX: u64 = 1_000_000;
/// Changes a watch is caught up on from the change log; with more, a new snapshot is cheaper.
pub const WATCH_RESUME_CHANGES_MAX: usize = 100_000;
/// Jobs read at once for a snapshot of many jobs.
pub const WATCH_PAGE_JOBS: usize = 500;
/// Jobs read at once if their payloads come along.
pub const WATCH_PAGE_JOBS_FULL: usize = 50;
/// Least time between two bookmarks of a watch that has nothing else to send.
pub const WATCH_BOOKMARK_EVERY: Duration = Duration::from_secs(1);
/// Changed jobs that a view keeps for its slowest watcher; who is further behind goes on from the
/// change log.
pub const WATCH_DIRTY_MAX: usize = 10_000;
/// Different filters that are watched at once.
pub const VIEWS_MAX: usize = 10_000;
/// Different filters without a part that they can be found by: each of them is tried on every change.
pub const VIEWS_UNINDEXED_MAX: usize = 256;
/// Changes that wait to be matched with the views; what is more is read again from the change log.
pub const FEED_CHANGES_MAX: usize = 20_000;
/// Running jobs that reported, are not known to the views, and wait to be read.
pub const FEED_STRANGERS_MAX: usize = 100_000;
/// Longest least time between two updates of a watch.
pub const WATCH_INTERVAL_MAX: Duration = Duration::from_secs(60);
/// Silence after which a watch sends a heartbeat.
pub const WATCH_HEARTBEAT: Duration = Duration::from_secs(15);
/// Bytes of log entries in one message of a watch, and of a list page.
pub const RESPONSE_BYTES_MAX: usize = 1024 * 1024;

/// A sequence or a position that comes from afar: beyond it JSON is not exact, and what is counted on
/// from it must not overflow.
pub const SEQUENCE_MAX: i64 = 1 << 53;

/// A progress message.
pub const PROGRESS_MESSAGE_BYTES_MAX: usize = 1_024;
/// Step names.
pub const PROGRESS_NAME_BYTES_MAX: usize = 256;
/// A unit: it stands behind each figure.
pub const PROGRESS_UNIT_BYTES_MAX: usize = 64;
/// A count of units: beyond it a double, as JSON has it, is not exact, and sums might overflow.
pub const PROGRESS_COUNT_MAX: i64 = 1 << 53;
/// Counters of one job.
pub const PROGRESS_COUNTERS_MAX: usize = 8;
/// A counter's name, as long as a label's key.
pub const PROGRESS_COUNTER_BYTES_MAX: usize = LABEL_KEY_BYTES_MAX;
/// An error's code: a name for programs.
pub const ERROR_CODE_BYTES_MAX: usize = 128;

/// Lines in one log batch.
pub const LOG_BATCH_LINES_MAX: usize = 1_000;
/// Bytes of one log batch.
pub const LOG_BATCH_BYTES_MAX: usize = 64 * 1024;
/// Bytes of one log entry.
pub const LOG_ENTRY_BYTES_MAX: usize = 8 * 1024;
/// First lines of an attempt's log that are always kept.
pub const LOG_HEAD_LINES: u64 = 1_000;
/// Last lines of an attempt's log that are kept.
pub const LOG_TAIL_LINES: u64 = 9_000;

/// Requests in one `BatchCreateJobs`.
pub const BATCH_CREATE_MAX: usize = 1_000;
/// Rows of a list page if nothing is said.
pub const PAGE_SIZE_DEFAULT: usize = 20;
/// Most rows of a list page.
pub const PAGE_SIZE_MAX: usize = 1_000;
/// List totals are exact up to here.
pub const TOTAL_SIZE_EXACT_MAX: u64 = 10_000;
/// Types in one summary: each is read by itself, and a caller may name as many.
pub const SUMMARY_TYPES_MAX: usize = NAMES_PER_LIST_MAX;
/// Recent runs of a type in a summary.
pub const RECENT_RUNS_MAX: usize = 20;
/// Job ids in a filter.
pub const FILTER_IDS_MAX: usize = 1_000;

/// Wrong fields an error tells of: it travels in HTTP/2 trailers, and gRPC clients take 8 KiB of them.
pub const VIOLATIONS_TOLD_MAX: usize = 16;
/// Bytes of a field's path or of a violation's description in an error, for the same reason.
pub const VIOLATION_BYTES_MAX: usize = 120;

/// Job types with metrics of their own; the rest counts as `other`, so that metrics stay small.
pub const METRIC_TYPES_MAX: usize = 100;
/// Queues with metrics of their own; the rest counts as `other`.
pub const METRIC_QUEUES_MAX: usize = 100;
/// Quotas with metrics of their own; the rest counts as `other`.
pub const METRIC_QUOTAS_MAX: usize = 100;
/// Lines of the server's own log that wait for a reader of stderr; what does not fit is dropped and
/// counted.
pub const LOG_LINES_WAITING_MAX: usize = 16_384;
/// What a scrape waits for fresh figures before it answers with those it has.
pub const SCRAPE_REFRESH_WITHIN: Duration = Duration::from_secs(5);
/// What `/readyz` waits for an answer: longer is an answer too.
pub const READINESS_WITHIN: Duration = Duration::from_secs(2);
/// How long `/readyz` tells of trouble with the store: longer than the pause between two tries, so that
/// it does not flicker.
pub const TROUBLE_TOLD_FOR: Duration = Duration::from_secs(5);

/// A message on `ReportProgress`.
pub const REPORT_MESSAGE_BYTES_MAX: usize = 512 * 1024;
/// A message on any other RPC.
pub const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The request of a call arrives within this time: on a line of 2 Mbit/s the largest does.
pub const REQUEST_WITHIN: Duration = Duration::from_secs(30);

/// Commands one commit may carry: larger batches gain nothing and delay their first command.
pub const COMMIT_COMMANDS_MAX: usize = 1_000;
/// Bytes one commit may carry.
pub const COMMIT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How often the writer lets others run while its queue still grows, before it commits.
pub const COMMIT_YIELDS_MAX: usize = 16;
/// Commands that wait for the writer before new ones are turned away.
pub const COMMIT_QUEUE_MAX: usize = 16_384;
/// Bytes that wait for the writer before new commands are turned away: a store that hangs must not
/// fill the memory.
pub const COMMIT_QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How often a command whose guard missed is loaded and decided again.
pub const GUARD_REPEATS_MAX: usize = 5;
/// Reads of the store under way at once.
pub const STORE_READS_MAX: usize = 64;
/// Reads of the background loops and of session keeping under way at once, beside those of clients.
pub const LOOP_READS_MAX: usize = 16;
/// Rows one step of a background loop handles.
pub const LOOP_ROWS_MAX: usize = 1_000;
/// Jobs in the writer's cache.
pub const CACHE_JOBS_MAX: usize = 20_000;
/// Minute buckets that the SQLite writer remembers: those of the minutes that are written now, of some hundreds
/// of types and queues; others are read before they are added to.
pub const TALLIES_KNOWN_MAX: usize = 1_000;

/// Least time between two hints to other servers: sending one takes a lock of the whole database.
pub const HINT_PACE: Duration = Duration::from_millis(20);
/// Pause after a hint could not be sent, or none can be heard.
pub const HINT_PAUSE: Duration = Duration::from_secs(1);
/// Changes of other servers that are looked at one by one; with more, it is cheaper to read all that
/// concerns this one.
pub const NEWS_CHANGES_MAX: usize = 50_000;
/// Least time between two looks at the progress of jobs that report to other servers.
pub const NEWS_PROGRESS_PACE: Duration = Duration::from_millis(50);
/// A reading of the store's clock that takes longer says too little.
pub const CLOCK_READING_WITHIN: Duration = Duration::from_millis(250);
/// Readings of the store's clock that are tried before the next one is left for later.
pub const CLOCK_READINGS_MAX: usize = 3;

/// Rows of the change log are kept this long: the time within which a watch may resume.
pub const RESUME_RETENTION: Duration = Duration::from_secs(15 * 60);
/// Ended sessions are kept this long, so that a claim committed late for one is found.
pub const ENDED_SESSION_RETENTION: Duration = Duration::from_secs(3600);
/// Request ids are kept this long, and as long as their job.
pub const REQUEST_ID_RETENTION: Duration = Duration::from_secs(24 * 3600);
/// Minute buckets of statistics are kept this long.
pub const BUCKET_RETENTION: Duration = Duration::from_secs(48 * 3600);

/// HTTP/2 window of a stream: small, so that a reader that stalls holds little.
pub const STREAM_WINDOW_BYTES: u32 = 128 * 1024;
/// HTTP/2 window of a connection: many times a stream's, so that stalled streams do not stall the
/// others, and wide, because the transport counts small frames against a part of it.
pub const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
/// Bytes that a connection gathers before it writes them: a larger write gains little, and a peer that
/// takes nothing holds twice as many at most.
pub const GATHERED_BYTES_MAX: usize = 32 * 1024;
/// Streams of one connection at once.
pub const CONNECTION_STREAMS_MAX: u32 = 4_096;
/// Calls of one peer under way at once, watches and worker streams among them: some four connections full
/// of streams, at about 10 KiB each.
pub const PEER_CALLS_MAX: usize = 4 * CONNECTION_STREAMS_MAX as usize;
/// Calls of one peer that have no answer yet; the next ones wait. As many as fill a commit, and so few that
/// the calls of others are not long behind them.
pub const PEER_UNANSWERED_MAX: usize = 1_024;
/// Bytes that the server holds for one peer alone: of messages that have not come whole, and of answers that
/// are not read. Sixteen of the largest messages.
pub const PEER_BYTES_MAX: usize = 16 * MESSAGE_BYTES_MAX;
/// Calls of all peers under way at once: one address is easily had, many are not much harder.
pub const CALLS_MAX: usize = 8 * PEER_CALLS_MAX;
/// Calls kept for probes of the server's health when there is no room for others: a peer that has too many
/// may share its address with the orchestrator, and a server that is busy is not ill.
pub const PROBES_MAX: usize = 64;
/// Connections kept for the probes of one peer when it may have no others: one of each kind, and those of a
/// proxy or two.
pub const PEER_PROBE_CONNECTIONS_MAX: usize = 8;
/// Such a connection says within this time that it is a probe: it has nothing to think about.
pub const PROBE_HEAD_WITHIN: Duration = Duration::from_secs(1);
/// Reflection calls of one peer: they read the next question when the answer before it was taken, so what comes
/// meanwhile waits in the transport, a window of it for each. A person with a tool opens one.
pub const PEER_REFLECTIONS_MAX: usize = 64;
/// Bytes held for peers, as [`PEER_BYTES_MAX`], of all peers together.
pub const TRANSIT_BYTES_MAX: usize = 4 * PEER_BYTES_MAX;
/// What of an answer is given to the transport at once: a frame. What it has, it keeps.
pub const ANSWER_PIECE_BYTES_MAX: usize = 16 * 1024;
/// A silent peer is asked after this long whether it is there. This also ends a connection that stops
/// in the middle of a frame or of a header block: there it cannot answer.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// A peer that does not answer for this long is given up.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections open at once: each takes a file descriptor and some 60 KiB.
pub const CONNECTIONS_MAX: usize = 10_000;
/// Connections of one peer at once: a thousand workers of one host, each with a connection of its own, as many
/// clients beside them, and still room for other peers.
pub const PEER_CONNECTIONS_MAX: usize = 2_000;
/// File descriptors kept for the database, the log and the listener itself, and for connections of probes.
pub const FILES_KEPT: usize = 64 + PROBES_MAX;
/// Connections whose first words are there and that wait for the server to take them.
pub const CONNECTIONS_READY_MAX: usize = 64;
/// Connections that the kernel holds before they are accepted: a herd of workers that attach again.
pub const ACCEPT_BACKLOG: i32 = 1_024;
/// First pause after the system refused another connection, for want of file descriptors or memory.
pub const ACCEPT_PAUSE_MIN: Duration = Duration::from_millis(10);
/// Longest such pause.
pub const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);
/// TLS handshakes at once: they cost CPU, and a herd must not slow down those who are inside.
pub const HANDSHAKES_MAX: usize = 256;
/// A handshake, its wait for a turn included, is over within this time.
pub const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);
/// A connection says within this time which protocol it speaks: HTTP/2's preface, or the whole head of
/// an HTTP/1 request.
pub const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// The head of an HTTP/1 request.
pub const HTTP1_HEAD_BYTES_MAX: usize = 16 * 1024;
/// First size of the buffer of a stream's direction; less, and it would not be kept as it is refilled.
pub const STREAM_BUFFER_BYTES: usize = 1_024;
/// Messages of a stream that are ready at once travel together, up to this size: one HTTP/2 frame.
pub const STREAM_BATCH_BYTES: usize = 16 * 1024;
/// The headers of an HTTP/2 request.
pub const HEADER_LIST_BYTES_MAX: u32 = 16 * 1024;
/// Streams that a peer opened and reset before they were looked at: clients that give up many calls
/// at once reach dozens, an attack thousands.
pub const PENDING_RESETS_MAX: usize = 200;
/// Streams of a connection that were reset for a peer's error, before it is closed.
pub const LOCAL_RESETS_MAX: usize = 1_024;
/// A connection whose peer takes nothing of what is written for this long is closed.
pub const WRITE_STALLED_AFTER: Duration = Duration::from_secs(30);
/// Silence after which the system asks whether the peer's host is there.
pub const TCP_KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
/// Bytes the system holds unsent for a connection before it takes no more: what waits there is old
/// when it is sent.
pub const UNSENT_BYTES_MAX: u32 = 32 * 1024;
/// A shutdown takes no longer: orchestrators kill after 30 s if nothing is said, people wait for less.
pub const SHUTDOWN_WITHIN: Duration = Duration::from_secs(10);
/// Streams live about this long, so that the load of a replica that came late evens out, and nobody
/// depends on a stream that never ends.
pub const STREAM_AGE_MAX: Duration = Duration::from_secs(3600);
/// Spread of a stream's age, as a fraction of it: those opened together must not end together.
pub const STREAM_AGE_JITTER: f64 = 0.2;
/// A worker told that its stream grows old has this long to attach anew before the stream ends.
pub const STREAM_AGE_GRACE: Duration = Duration::from_secs(10);
/// Time that a connection without calls has to close at shutdown: the last answers are on their way.
pub const CLOSE_WITHIN: Duration = Duration::from_secs(1);
/// The same trouble with connections is logged once within this time.
pub const LOG_AGAIN_AFTER: Duration = Duration::from_secs(10);
/// A worker that opens a stream says Hello within this time.
pub const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// What a worker sent before it closed its side is settled within this time, or left to itself.
pub const SETTLE_WITHIN: Duration = Duration::from_secs(10);
/// Hints of later readiness kept in memory; what does not fit is found by the poll.
pub const TIMERS_MAX: usize = 100_000;
