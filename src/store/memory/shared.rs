//! What several servers over one memory need of each other: a clock that counts for all of them, and
//! hints.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::domain::Timestamp;
use crate::runtime::Clock;
use crate::store::News;

/// Where one server hears of the others.
#[derive(Default)]
struct Ear {
    news: Mutex<News>,
    heard: Notify,
}

/// One server's part in a shared store.
pub(super) struct Share {
    clock: Clock,
    ear: Arc<Ear>,
    ears: Arc<Mutex<Vec<Weak<Ear>>>>,
}

impl Share {
    /// The first one, by whose clock all go.
    pub(super) fn new(clock: Clock) -> Self {
        Self::among(clock, Arc::default())
    }

    fn among(clock: Clock, ears: Arc<Mutex<Vec<Weak<Ear>>>>) -> Self {
        let ear = Arc::default();
        ears.lock().push(Arc::downgrade(&ear));
        Self { clock, ear, ears }
    }

    /// One more.
    pub(super) fn another(&self) -> Self {
        Self::among(self.clock.clone(), Arc::clone(&self.ears))
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Tells all the others.
    pub(super) fn tell(&self, news: News) {
        self.ears.lock().retain(|ear| {
            let Some(ear) = ear.upgrade() else { return false };
            if !Arc::ptr_eq(&ear, &self.ear) {
                let mut held = ear.news.lock();
                held.changes |= news.changes;
                held.progress |= news.progress;
                drop(held);
                ear.heard.notify_one();
            }
            true
        });
    }

    /// Waits until another one told something. Safe to drop.
    pub(super) async fn told(&self) -> News {
        loop {
            let news = std::mem::take(&mut *self.ear.news.lock());
            if news != News::default() {
                return news;
            }
            self.ear.heard.notified().await;
        }
    }
}
