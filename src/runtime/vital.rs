//! What becomes of the tasks without which the server is of no use.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

/// Why a task failed, if it says so.
type Source = Box<dyn Error + Send + Sync>;

/// A vital task ended when it should not have.
#[derive(Debug)]
pub struct Failure {
    /// Its name.
    pub task: &'static str,
    /// How it ended.
    pub end: End,
}

/// How a vital task ended.
#[derive(Debug)]
pub enum End {
    /// It panicked, with these words.
    Panicked(String),
    /// It failed.
    Failed(Source),
    /// It just ended.
    Early,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let task = self.task;
        match &self.end {
            End::Panicked(words) => write!(f, "the task {task:?} panicked: {words}"),
            End::Failed(_) => write!(f, "the task {task:?} failed"),
            End::Early => write!(f, "the task {task:?} ended by itself"),
        }
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.end {
            End::Failed(source) => Some(source.as_ref()),
            End::Panicked(_) | End::Early => None,
        }
    }
}

/// What a vital task may end with.
pub trait Ending: Send + 'static {
    /// What went wrong.
    ///
    /// # Errors
    /// That.
    fn ending(self) -> Result<(), Source>;
}

impl Ending for () {
    fn ending(self) -> Result<(), Source> {
        Ok(())
    }
}

impl<E: Error + Send + Sync + 'static> Ending for Result<(), E> {
    fn ending(self) -> Result<(), Source> {
        self.map_err(Source::from)
    }
}

/// The first failure, shared by all who spawn for one server.
#[derive(Clone)]
pub(super) struct Vital(watch::Sender<Option<Arc<Failure>>>);

impl Default for Vital {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Vital {
    /// Notes how a task ended.
    pub(super) fn ended<T: Ending>(
        &self,
        task: &'static str,
        ended: Result<T, Box<dyn Any + Send>>,
        was_told_to: bool,
    ) {
        let end = match ended.map(T::ending) {
            Ok(Ok(())) if was_told_to => return,
            Ok(Ok(())) => End::Early,
            Ok(Err(source)) => End::Failed(source),
            Err(panic) => End::Panicked(words(panic.as_ref())),
        };
        let failure = Arc::new(Failure { task, end });
        let error = failure.as_ref() as &dyn Error;
        tracing::error!(task.name = task, error, "the server cannot go on");
        self.0.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(failure);
            is_first
        });
    }

    pub(super) fn failure(&self) -> Option<Arc<Failure>> {
        self.0.borrow().clone()
    }

    pub(super) async fn failed(&self) -> Arc<Failure> {
        let mut news = self.0.subscribe();
        loop {
            if let Some(failure) = news.borrow_and_update().clone() {
                return failure;
            }
            // The sender is this handle, so the wait only ends with news.
            let _ = news.changed().await;
        }
    }
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no words").to_owned()
}
