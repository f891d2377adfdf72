//! Somebody who watches many jobs and keeps a copy of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jobplane::proto::v1;
use jobplane::proto::v1::watch_jobs_response::{Event, removed::Reason};
use jobplane::runtime::Tasks;
use parking_lot::Mutex;
use prost::Message as _;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tonic::{Status, Streaming};

use super::client::{Client, JobFacts as _};
use super::wait::{SOON, within};

/// What of a job must never go back.
type Mark = (i64, i64, i64);

fn mark(job: &v1::Job) -> Mark {
    let status = job.status();
    let sequence = status.progress.as_ref().map_or(0, |progress| progress.sequence);
    (status.revision, status.lease_epoch, sequence)
}

/// What a client keeps from one watch to the next.
#[derive(Debug, Clone, Default)]
pub struct Mirror {
    /// The jobs it holds.
    pub jobs: BTreeMap<String, v1::Job>,
    /// Why jobs went, and how they were then.
    pub gone: HashMap<String, (Reason, Option<v1::Job>)>,
    /// The newest token.
    pub token: String,
    /// The newest state of each job that was shown, whatever became of it.
    marks: HashMap<String, Mark>,
    /// Ends of snapshots so far.
    pub snapshots: usize,
    /// Bookmarks so far.
    pub bookmarks: usize,
    /// How often it was told to start over.
    pub resets: usize,
    /// Messages with jobs so far.
    pub upserts: usize,
    /// The jobs as they stood at the newest token.
    pub at_token: BTreeMap<String, v1::Job>,
    /// What was sent although it is older than what was sent before.
    wrong: Option<String>,
}

impl Mirror {
    fn take(&mut self, event: Event) {
        match event {
            Event::Upsert(upsert) => {
                self.upserts += 1;
                assert!(!upsert.jobs.is_empty(), "an upsert without jobs");
                for job in upsert.jobs {
                    self.upsert(v1::Job::decode(job).expect("a job"));
                }
            }
            Event::Removed(removed) => {
                let job = removed.job.clone().map(|job| v1::Job::decode(job).expect("a job"));
                if let Some(job) = &job {
                    self.forward(job);
                }
                self.jobs.remove(&removed.job_id);
                self.gone.insert(removed.job_id.clone(), (removed.reason(), job));
            }
            Event::SnapshotEnd(end) => {
                self.snapshots += 1;
                self.tell(end.resume_token);
            }
            Event::Bookmark(bookmark) => {
                self.bookmarks += 1;
                self.tell(bookmark.resume_token);
            }
            Event::Reset(_) => {
                self.resets += 1;
                let token = std::mem::take(&mut self.token);
                let (resets, wrong) = (self.resets, self.wrong.take());
                *self = Self { token, resets, wrong, ..Self::default() };
            }
            Event::Heartbeat(_) => {}
        }
    }

    fn tell(&mut self, token: String) {
        self.token = token;
        self.at_token = self.jobs.clone();
    }

    fn upsert(&mut self, job: v1::Job) {
        self.forward(&job);
        self.gone.remove(&job.id);
        self.jobs.insert(job.id.clone(), job);
    }

    /// Nothing goes back.
    fn forward(&mut self, job: &v1::Job) {
        let mark = mark(job);
        if let Some(last) = self.marks.insert(job.id.clone(), mark).filter(|last| *last > mark) {
            self.wrong = Some(format!("{}: {last:?} came before {mark:?}", job.id));
        }
    }

    fn check(&self) {
        if let Some(wrong) = &self.wrong {
            panic!("{wrong}");
        }
    }
}

#[derive(Default)]
struct Notebook {
    copy: Mutex<(Mirror, Option<Result<(), Status>>)>,
    news: Notify,
}

/// Somebody who watches many jobs; whatever comes is held against what watches promise.
pub struct JobsWatcher {
    book: Arc<Notebook>,
    reader: JoinHandle<()>,
}

impl JobsWatcher {
    /// A watch of these types.
    pub fn of_type(job_type: &str) -> v1::WatchJobsRequest {
        let types = vec![job_type.to_owned()];
        let filter = Some(v1::JobFilter { types, ..v1::JobFilter::default() });
        v1::WatchJobsRequest { filter, ..v1::WatchJobsRequest::default() }
    }

    /// Starts watching, with nothing in hand.
    pub async fn open(client: &Client, wish: v1::WatchJobsRequest) -> Self {
        Self::resume(client, wish, Mirror::default()).await
    }

    /// Goes on watching with what is in hand.
    pub async fn resume(client: &Client, wish: v1::WatchJobsRequest, copy: Mirror) -> Self {
        let wish = v1::WatchJobsRequest { resume_token: copy.token.clone(), ..wish };
        let stream = client.jobs.clone().watch_jobs(wish).await.expect("a watch").into_inner();
        let book = Arc::new(Notebook { copy: Mutex::new((copy, None)), news: Notify::new() });
        let reader = Tasks::new().spawn("jobs watcher", read(stream, Arc::clone(&book)));
        Self { book, reader }
    }

    /// What is in hand now.
    pub fn copy(&self) -> Mirror {
        let copy = self.book.copy.lock().0.clone();
        copy.check();
        copy
    }

    /// Waits until what is in hand is as `wanted`.
    pub async fn until(&self, what: &str, wanted: impl Fn(&Mirror) -> bool) -> Mirror {
        let look = async {
            loop {
                let news = self.book.news.notified();
                {
                    let (copy, end) = &*self.book.copy.lock();
                    copy.check();
                    if wanted(copy) {
                        return copy.clone();
                    }
                    assert!(end.is_none(), "the watch ended with {end:?}: not {what} in {copy:?}");
                }
                news.await;
            }
        };
        let found = tokio::time::timeout(SOON, look).await;
        found.unwrap_or_else(|_| panic!("the watcher does not see {what}: {:?}", self.copy()))
    }

    /// Waits for the end of the first snapshot, or of the catching up.
    pub async fn started(&self) -> Mirror {
        self.until("a start", |copy| copy.snapshots + copy.bookmarks > 0).await
    }

    /// Stops watching; answers what is in hand.
    pub async fn stop(self) -> Mirror {
        self.reader.abort();
        while !self.reader.is_finished() {
            tokio::task::yield_now().await;
        }
        self.copy()
    }

    /// Waits for the end of the stream; answers what is in hand, and how it ended.
    pub async fn end(self) -> (Mirror, Result<(), Status>) {
        let end = async {
            loop {
                let news = self.book.news.notified();
                let end = self.book.copy.lock().1.clone();
                match end {
                    Some(end) => return end,
                    None => news.await,
                }
            }
        };
        let end = within(SOON, "the watch ends", end).await;
        (self.copy(), end)
    }
}

impl Drop for JobsWatcher {
    fn drop(&mut self) {
        self.reader.abort();
        if !std::thread::panicking() {
            self.book.copy.lock().0.check();
        }
    }
}

async fn read(mut stream: Streaming<v1::WatchJobsResponse>, book: Arc<Notebook>) {
    loop {
        let next = stream.message().await;
        let mut held = book.copy.lock();
        match next {
            Ok(Some(response)) => held.0.take(response.event.expect("an event")),
            end => held.1 = Some(end.map(drop)),
        }
        let over = held.1.is_some();
        drop(held);
        book.news.notify_waiters();
        if over {
            return;
        }
    }
}
