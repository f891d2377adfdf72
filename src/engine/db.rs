//! Reads of the store, each in a task that owns it: a caller that goes away cancels nothing half-way.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::domain::limits::{LOOP_READS_MAX, STORE_READS_MAX};
use crate::runtime::Tasks;
use crate::store::{self, Store};

use super::error::{Error, Result};

/// A handle for reads with a bound on how many run at once and how long one is waited for.
#[derive(Clone)]
pub struct Db {
    store: Arc<dyn Store>,
    tasks: Tasks,
    permits: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    timeout: Duration,
}

impl Db {
    /// Reads from `store`, each waited for at most `timeout`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, tasks: Tasks, timeout: Duration) -> Self {
        let permits = Arc::new(Semaphore::new(STORE_READS_MAX));
        Self { store, tasks, permits, waiting: Arc::default(), timeout }
    }

    /// A handle with a bound of its own, for the loops: they go on however much clients read.
    #[must_use]
    pub fn for_loops(&self) -> Self {
        let permits = Arc::new(Semaphore::new(LOOP_READS_MAX));
        Self { permits, waiting: Arc::default(), ..self.clone() }
    }

    /// Reads that wait for their turn.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Runs `read` to its end in a task of its own.
    ///
    /// # Errors
    /// [`Error::Overloaded`] if it does not answer in time, or what the store says.
    pub async fn read<T, F, Fut>(&self, read: F) -> Result<T>
    where
        F: FnOnce(Arc<dyn Store>) -> Fut + Send + 'static,
        Fut: Future<Output = store::Result<T>> + Send,
        T: Send + 'static,
    {
        let answer = self.to_the_end(read);
        tokio::time::timeout(self.timeout, answer).await.unwrap_or(Err(Error::Overloaded))
    }

    /// The same, waited for as long as the store itself does: for what writes, and is to be known of.
    ///
    /// # Errors
    /// What the store says.
    pub async fn to_the_end<T, F, Fut>(&self, work: F) -> Result<T>
    where
        F: FnOnce(Arc<dyn Store>) -> Fut + Send + 'static,
        Fut: Future<Output = store::Result<T>> + Send,
        T: Send + 'static,
    {
        // The permit is taken before the task exists, so what waits costs no task.
        let turn = Turn::await_on(&self.waiting);
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|_| Error::Draining)?;
        drop(turn);
        let store = Arc::clone(&self.store);
        let task = self.tasks.spawn("store read", async move {
            let answer = work(store).await;
            drop(permit);
            answer
        });
        match task.await {
            Ok(answer) => answer.map_err(Error::from),
            Err(_) => Err(Error::Overloaded),
        }
    }
}

/// A read that waits for its turn; counted until dropped.
struct Turn<'a>(&'a AtomicUsize);

impl<'a> Turn<'a> {
    fn await_on(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;
    use crate::store::memory::MemoryStore;

    #[tokio::test(start_paused = true)]
    async fn loops_read_however_much_clients_read() {
        let timeout = Duration::from_secs(5);
        let db = Db::new(Arc::new(MemoryStore::new()), Tasks::new(), timeout);
        let loops = db.for_loops();
        let slow = || db.read(|_| pending::<store::Result<()>>());
        let all = futures_util::future::join_all((0..STORE_READS_MAX).map(|_| slow()));
        let meanwhile = async {
            tokio::time::sleep(timeout / 2).await;
            let ping = |db: Db| async move { db.read(|s| async move { s.ping().await }).await };
            ping(loops).await.expect("an answer");
            assert!(matches!(ping(db.clone()).await, Err(Error::Overloaded)));
        };
        let (answers, ()) = futures_util::future::join(all, meanwhile).await;
        assert!(answers.iter().all(|answer| matches!(answer, Err(Error::Overloaded))));
    }
}
