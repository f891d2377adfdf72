//! Somebody who watches a job and reads what comes.

use std::sync::Arc;

use jobplane::proto::v1;
use jobplane::proto::v1::watch_job_response::{Event, Logs, Snapshot, Update};
use jobplane::runtime::Tasks;
use parking_lot::Mutex;
use prost::Message as _;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tonic::{Status, Streaming};

use super::client::{Client, JobFacts as _};
use super::wait::{SOON, within};

/// An event of a watch.
#[derive(Debug, Clone)]
pub enum Seen {
    /// The whole job.
    Snapshot(Box<v1::Job>),
    /// Its status.
    Update(Box<v1::JobStatus>),
    /// Lines of its log.
    Logs(Logs),
    /// A sign of life.
    Heartbeat,
}

impl Seen {
    /// Reads an event as it came.
    pub fn of(response: v1::WatchJobResponse) -> Self {
        match response.event.expect("an event") {
            Event::Snapshot(bytes) => {
                let snapshot = Snapshot::decode(bytes).expect("a snapshot");
                Self::Snapshot(Box::new(snapshot.job.expect("a snapshot holds a job")))
            }
            Event::Update(bytes) => {
                let update = Update::decode(bytes).expect("an update");
                Self::Update(Box::new(update.status.expect("an update holds a status")))
            }
            Event::Logs(bytes) => Self::Logs(Logs::decode(bytes).expect("lines")),
            Event::Heartbeat(_) => Self::Heartbeat,
        }
    }

    /// The status it tells of.
    pub fn status(&self) -> Option<&v1::JobStatus> {
        match self {
            Self::Snapshot(job) => Some(job.status()),
            Self::Update(status) => Some(status),
            Self::Logs(_) | Self::Heartbeat => None,
        }
    }
}

#[derive(Default)]
struct Notes {
    seen: Vec<Seen>,
    end: Option<Result<(), Status>>,
    /// What came although it was not to come, or not after what came before.
    wrong: Option<String>,
}

impl Notes {
    fn check(&self) {
        if let Some(wrong) = &self.wrong {
            panic!("{wrong}");
        }
    }
}

#[derive(Default)]
struct Notebook {
    notes: Mutex<Notes>,
    news: Notify,
}

/// Somebody who watches a job. Whatever comes is held against what watches promise: the snapshot
/// comes first, and nothing goes back.
pub struct Watcher {
    book: Arc<Notebook>,
    reader: JoinHandle<()>,
}

impl Watcher {
    /// A watch of everything but the log.
    pub fn wish(job_id: &str) -> v1::WatchJobRequest {
        v1::WatchJobRequest { job_id: job_id.to_owned(), ..v1::WatchJobRequest::default() }
    }

    /// Starts watching, and waits for the snapshot.
    pub async fn open(client: Client, wish: v1::WatchJobRequest) -> Self {
        let stream = client.jobs.clone().watch_job(wish).await.expect("a watch").into_inner();
        let book = Arc::new(Notebook::default());
        let reader = Tasks::new().spawn("watcher", read(stream, Arc::clone(&book)));
        let watcher = Self { book, reader };
        watcher.until("a snapshot", |seen| seen.first().cloned()).await;
        watcher
    }

    /// Waits until what was seen so far holds what is `wanted`.
    pub async fn until<T>(&self, what: &str, wanted: impl Fn(&[Seen]) -> Option<T>) -> T {
        let look = async {
            loop {
                let news = self.book.news.notified();
                let found = {
                    let notes = self.book.notes.lock();
                    notes.check();
                    wanted(&notes.seen)
                };
                match found {
                    Some(found) => return found,
                    None => news.await,
                }
            }
        };
        within(SOON, &format!("the watcher sees {what}"), look).await
    }

    /// Waits until the latest status is as `wanted`.
    pub async fn until_status(
        &self,
        what: &str,
        wanted: impl Fn(&v1::JobStatus) -> bool,
    ) -> v1::JobStatus {
        let latest = |seen: &[Seen]| seen.iter().rev().find_map(Seen::status).cloned();
        self.until(what, |seen| latest(seen).filter(|status| wanted(status))).await
    }

    /// Waits until the job is seen in this state.
    pub async fn until_state(&self, state: v1::JobState) -> v1::JobStatus {
        self.until_status(state.as_str_name(), |status| status.state() == state).await
    }

    /// Waits for the end of the stream; answers all that was seen, and how it ended.
    pub async fn end(self) -> (Vec<Seen>, Result<(), Status>) {
        let end = async {
            loop {
                let news = self.book.news.notified();
                let end = self.book.notes.lock().end.clone();
                match end {
                    Some(end) => return end,
                    None => news.await,
                }
            }
        };
        let end = within(SOON, "the watch ends", end).await;
        (self.book.notes.lock().seen.clone(), end)
    }

    /// The states seen so far, each as often as it was entered.
    pub fn states(seen: &[Seen]) -> Vec<v1::JobState> {
        let mut states: Vec<_> =
            seen.iter().filter_map(Seen::status).map(v1::JobStatus::state).collect();
        states.dedup();
        states
    }

    /// The lines seen so far.
    pub fn lines(seen: &[Seen]) -> Vec<v1::LogEntry> {
        let logs = seen.iter().filter_map(|seen| match seen {
            Seen::Logs(logs) => Some(logs.entries.clone()),
            Seen::Snapshot(_) | Seen::Update(_) | Seen::Heartbeat => None,
        });
        logs.flatten().collect()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.reader.abort();
        if !std::thread::panicking() {
            self.book.notes.lock().check();
        }
    }
}

/// What of a status must never go back.
fn place(status: &v1::JobStatus) -> (i64, i64, i64) {
    let sequence = status.progress.as_ref().map_or(0, |progress| progress.sequence);
    (status.revision, status.lease_epoch, sequence)
}

async fn read(mut stream: Streaming<v1::WatchJobResponse>, book: Arc<Notebook>) {
    let mut last = None;
    loop {
        let next = stream.message().await;
        let mut notes = book.notes.lock();
        match next {
            Ok(Some(response)) => {
                let seen = Seen::of(response);
                let is_snapshot = matches!(seen, Seen::Snapshot(_));
                if notes.seen.is_empty() != is_snapshot {
                    notes.wrong = Some(format!("a snapshot comes first and once: {seen:?}"));
                }
                if let Some(status) = seen.status() {
                    let place = place(status);
                    if last.is_some_and(|last| last > place) {
                        notes.wrong = Some(format!("{last:?} came before {place:?}"));
                    }
                    last = Some(place);
                }
                notes.seen.push(seen);
            }
            end => notes.end = Some(end.map(drop)),
        }
        let over = notes.end.is_some();
        drop(notes);
        book.news.notify_waiters();
        if over {
            return;
        }
    }
}
