//! How those who run the jobs speak to the session.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::Lease;
use super::book::Book;
use super::entry::Outcome;
use crate::cli::parse;
use crate::domain::limits::SPOOL_STALL;
use crate::proto::v1::{HostUsage, JobError, LogEntry, Progress, ResourceUsage};
use crate::runtime::{Clock, Shutdown};

/// A session that gives up what is open takes this long to say so.
const GOODBYE_WITHIN: Duration = Duration::from_secs(2);

/// What the handles and the session share.
pub(super) struct Shared {
    pub(super) book: Mutex<Book>,
    /// Told when there is something new to send.
    pub(super) news: Notify,
    /// Told when the server took lines, or went away.
    pub(super) room: Notify,
    pub(super) clock: Clock,
    /// Given when everything may be left behind.
    pub(super) stop: Shutdown,
    /// True when the session is over.
    pub(super) over: watch::Sender<bool>,
}

/// What was left when a session closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// Jobs whose outcome the server did not answer, or that had none.
    pub open_jobs: usize,
    /// Lines that the server did not confirm.
    pub open_lines: u64,
}

/// Speaks to the session. Nothing here blocks or fails: what the server cannot take now waits for it. Reports about a
/// job that is not held (any more) go nowhere. Cheap to clone.
#[derive(Clone)]
pub struct Handle(pub(super) Arc<Shared>);

impl Handle {
    /// How far a job is. The latest wins; it is sent at the pace the server asks for.
    pub fn progress(&self, lease: &Lease, progress: Progress) {
        self.change(|book| book.progress(lease, progress));
    }

    /// What a job uses. The latest wins, as with progress.
    pub fn usage(&self, lease: &Lease, usage: ResourceUsage) {
        self.change(|book| book.usage(lease, usage));
    }

    /// Units that a job has used of outside quotas so far, by quota: all of them, not what was added. The latest word
    /// about a quota wins; it is said again until the server has answered it.
    pub fn quota_use(&self, lease: &Lease, so_far: &BTreeMap<String, i64>) {
        self.change(|book| book.quota_use(lease, so_far));
    }

    /// Lines of a job's log, in order. What has no time is of now; what is too long for one entry goes on in others.
    pub fn logs(&self, lease: &Lease, lines: impl IntoIterator<Item = LogEntry>) {
        let now = parse::wire_moment(self.0.clock.now());
        self.change(|book| {
            for mut line in lines {
                line.time.get_or_insert(now);
                book.log(lease, line, Clock::monotonic());
            }
        });
    }

    /// Waits while more lines wait than the server takes at once. Who writes faster than a server that is there takes is
    /// held up, and loses nothing; a server that is away, or takes nothing for [`SPOOL_STALL`], holds up nobody: then
    /// lines go to the spool. Safe to drop.
    pub async fn room(&self) {
        loop {
            let mut told = std::pin::pin!(self.0.room.notified());
            // Listen first, look second: what happens in between is not missed.
            told.as_mut().enable();
            if !self.0.book.lock().is_full() {
                return;
            }
            if timeout(SPOOL_STALL, told).await.is_err() {
                self.0.book.lock().stalled();
            }
        }
    }

    /// The work is done. The result is an encoded Struct of at most 256 KiB: one that the server refuses fails the job.
    pub fn succeed(&self, lease: &Lease, result: Option<Bytes>) {
        self.end(lease, Outcome::Succeeded { result });
    }

    /// The work failed. Without a delay the retry policy decides when it is tried again.
    pub fn fail(&self, lease: &Lease, error: JobError, retry_delay: Option<Duration>) {
        self.end(lease, Outcome::Failed { error: Box::new(error), retry_delay });
    }

    /// The work stopped, as was asked.
    pub fn cancelled(&self, lease: &Lease) {
        self.end(lease, Outcome::Cancelled);
    }

    /// The job is given back, not to be started again before `delay` has passed.
    pub fn release(&self, lease: &Lease, delay: Duration, reason: &str) {
        self.end(lease, Outcome::Released { delay, reason: reason.to_owned() });
    }

    /// Jobs it may hold from now on; 0 = none further.
    pub fn capacity(&self, slots: u32) {
        self.change(|book| book.set_capacity(slots));
    }

    /// How busy the machine is: goes with the next sign of life.
    pub fn host(&self, usage: HostUsage) {
        self.0.book.lock().set_host(usage);
    }

    /// Takes a job that was started otherwise into the session: its stream is opened anew to name it.
    pub fn hold(&self, lease: Lease) {
        self.change(|book| book.hold(lease));
    }

    /// How many jobs are held: those whose outcome the server has not answered.
    #[must_use]
    pub fn held(&self) -> usize {
        self.0.book.lock().held()
    }

    /// Lines that were dropped so far because the spool was full.
    #[must_use]
    pub fn dropped_lines(&self) -> u64 {
        self.0.book.lock().dropped_lines()
    }

    /// Takes no further job, waits until every report is answered (for jobs without an outcome: until they have one),
    /// says Goodbye and ends the session. After `within` it gives up what is open, which the server then releases.
    pub async fn close(&self, within: Duration) -> Closed {
        self.change(Book::close);
        let mut over = self.0.over.subscribe();
        if timeout(within, over.wait_for(|over| *over)).await.is_err() {
            self.change(Book::leave);
            let _ = timeout(GOODBYE_WITHIN, over.wait_for(|over| *over)).await;
            self.0.stop.signal();
            // It only has to notice.
            let _ = over.wait_for(|over| *over).await;
        }
        self.open()
    }

    /// What the server has not answered so far.
    #[must_use]
    pub fn open(&self) -> Closed {
        let book = self.0.book.lock();
        Closed { open_jobs: book.held(), open_lines: book.open_lines() }
    }

    fn end(&self, lease: &Lease, outcome: Outcome) {
        self.change(|book| book.end(lease, outcome));
    }

    fn change(&self, change: impl FnOnce(&mut Book)) {
        change(&mut self.0.book.lock());
        self.0.news.notify_one();
    }
}
