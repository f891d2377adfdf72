//! Bounds of what a server asks of a database that it shares with others.

use std::time::Duration;

/// Writers of one server, unless said otherwise: one commits while the other gathers. Each takes a connection,
/// and one more is for dispatch rounds.
pub const DATABASE_LANES: u32 = 2;
/// Most writers of one server: more of them make smaller commits.
pub const DATABASE_LANES_MAX: u32 = 8;
/// How often a server looks for itself what hints should have told it.
pub const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Looking more often costs more than it brings.
pub const POLL_INTERVAL_MIN: Duration = Duration::from_millis(100);
/// Whoever trusts hints this far has tested them.
pub const POLL_INTERVAL_MAX: Duration = Duration::from_secs(24 * 3600);
/// Connections of one kind that may be asked for: a database has some hundred for everybody.
pub const DATABASE_CONNECTIONS_MAX: u32 = 100;
/// What a single statement may take unless said otherwise: a commit is a matter of milliseconds, and who
/// waits longer than this is better told.
pub const DATABASE_STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);
/// Shorter ones would end what is merely slow.
pub const DATABASE_STATEMENT_TIMEOUT_MIN: Duration = Duration::from_millis(100);
/// Longer ones keep leases and outcomes waiting behind one statement.
pub const DATABASE_STATEMENT_TIMEOUT_MAX: Duration = Duration::from_secs(300);
/// How long migrations may take, and the wait for another server that runs them: indexes of large tables
/// take their time.
pub const DATABASE_MIGRATION_MAX: Duration = Duration::from_secs(3600);
/// How often a batch that met others in the middle (a deadlock, a key taken meanwhile) is repeated before
/// its caller hears of it.
pub const DATABASE_COLLISIONS_MAX: usize = 5;
/// How often a server tells the others at most that there is news: each time all who tell something wait
/// for one lock of the whole database cluster.
pub const DATABASE_NEWS_INTERVAL: Duration = Duration::from_millis(20);
/// A commit tells others by itself if they were told nothing for so long: it then holds that lock until it is on
/// disk, which may be some milliseconds, so this happens a few times a second at most.
pub const DATABASE_NEWS_REST: Duration = Duration::from_millis(100);
/// Commits of its own that a server leaves out when it reads on in the change log: those of many seconds. Of
/// older ones it reads the jobs again, which says nothing new.
pub const DATABASE_OWN_COMMITS_MAX: usize = 4_096;
/// How long a connection that listens may hear nothing before it is asked whether it is still there.
pub const DATABASE_NEWS_SILENCE: Duration = Duration::from_secs(10);
/// How many of a line's front are looked at for the one that has waited longest: a tenth of a millisecond's
/// walk, for there may be a thousand lines.
pub const OLDEST_LOOK_MAX: usize = 100;
/// Bytes of the jobs that the change log names and that are read at one moment to show them: with more, whoever
/// watches them reads them in pages.
pub const CATCH_UP_BYTES_MAX: usize = 128 * 1024 * 1024;
/// A row that cannot be read is logged once within this time: it is read at every turn until somebody mends it.
pub const UNREADABLE_AGAIN_AFTER: Duration = Duration::from_secs(60);
/// Such rows that are named within that time: with more, it is no single row that is wrong.
pub const UNREADABLE_NAMES_MAX: usize = 256;
/// Jobs that cannot be read and that all probes of a round together look past: enough for what went wrong once, and a
/// bound on what is read in vain.
pub const DISPATCH_UNREAD_MAX: usize = 1_000;
