//! Telling other servers that there is something new.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::domain::limits::{HINT_PACE, HINT_PAUSE};
use crate::runtime::Shutdown;
use crate::store::{News, Store};
use crate::telemetry::chain;

#[derive(Default)]
struct Untold {
    news: Mutex<News>,
    filled: Notify,
}

/// What is to be told, gathered until it is. Cheap to clone; without a shared store it takes nothing.
#[derive(Clone, Default)]
pub struct Herald(Option<Arc<Untold>>);

impl Herald {
    /// One with somebody to tell.
    pub(in super::super) fn of_shared_store() -> Self {
        Self(Some(Arc::default()))
    }

    /// Whether other servers may be there.
    pub(in super::super) const fn is_shared(&self) -> bool {
        self.0.is_some()
    }

    /// Notes that jobs were changed.
    pub(in super::super) fn changed(&self) {
        self.note(|news| &mut news.changes);
    }

    /// Notes that progress or lines of running jobs were written.
    pub(in super::super) fn progressed(&self) {
        self.note(|news| &mut news.progress);
    }

    fn note(&self, what: impl FnOnce(&mut News) -> &mut bool) {
        let Some(untold) = &self.0 else { return };
        if !std::mem::replace(what(&mut untold.news.lock()), true) {
            untold.filled.notify_one();
        }
    }

    /// Tells it, at a pace, until `shutdown` is signalled.
    pub(in super::super) async fn run(self, store: Arc<dyn Store>, shutdown: Shutdown) {
        let Some(untold) = self.0 else { return };
        loop {
            tokio::select! {
                () = untold.filled.notified() => {}
                () = shutdown.signalled() => {}
            }
            let news = std::mem::take(&mut *untold.news.lock());
            let mut pause = HINT_PACE;
            if news != News::default()
                && let Err(error) = store.tell(news).await
            {
                // Others find it by themselves, if later.
                tracing::debug!(error = %chain(&error), "other servers are not told");
                pause = HINT_PAUSE;
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shutdown.signalled() => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{Clock, Tasks};
    use crate::store::memory::MemoryStore;

    #[tokio::test(start_paused = true)]
    async fn what_comes_within_the_pace_is_told_together_and_the_last_is_never_left_out() {
        let store = MemoryStore::shared(Clock::new());
        let other = store.another().expect("it is shared");
        let (herald, shutdown) = (Herald::of_shared_store(), Shutdown::new());
        let run = herald.clone().run(Arc::new(store), shutdown.clone());
        let telling = Tasks::new().spawn("herald", run);
        herald.changed();
        let told = other.told().await.expect("a hint");
        assert_eq!(told, News { changes: true, progress: false });
        let began = Clock::monotonic();
        herald.changed();
        herald.progressed();
        herald.changed();
        let told = other.told().await.expect("a hint");
        assert_eq!(told, News { changes: true, progress: true });
        assert!(Clock::monotonic() - began >= HINT_PACE, "not at once after the one before");
        shutdown.signal();
        telling.await.expect("it ends");
    }
}
