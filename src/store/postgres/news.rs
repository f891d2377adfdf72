//! What other servers over the same database are told, and what they tell: that there is something to
//! look at, never what.
//!
//! Both ways have connections of their own, which nothing else waits for. A server does not hear itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex as Lock;
use sqlx::Executor as _;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until, timeout};
use uuid::Uuid;

use crate::domain::limits::{DATABASE_NEWS_INTERVAL, DATABASE_NEWS_REST, DATABASE_NEWS_SILENCE};
use crate::runtime::Clock;
use crate::store::{Error, News, Result};

use super::error::{from_sqlx, late};
use super::hosts::Hosts;
use super::pool::Pool;

pub(super) const STATEMENTS: &[&str] = &[TELL];

const CHANNEL: &str = "jobplane";
const TELL: &str = "SELECT pg_notify('jobplane', $1)";
/// The cheapest question there is.
const THERE: &str = "SELECT 1";

/// What there may be, when nobody knows what was missed.
const ALL: News = News { changes: true, progress: true };

/// See the module.
pub(super) struct Exchange {
    /// Who this is, so that it does not answer itself.
    own: Uuid,
    speaking: Pool,
    listening: Option<Hosts>,
    patience: Duration,
    /// To be told with the next word.
    pending: Lock<News>,
    /// When it last spoke, or a commit did.
    spoke: Lock<Option<Instant>>,
    /// A commit that was to tell could not be made: none is to tell until a word has got through by itself.
    hushed: AtomicBool,
    speaker: Mutex<()>,
    ear: Mutex<Option<PgListener>>,
}

impl Exchange {
    /// Speaks over `speaking`; hears by `listening`, if it is to hear anything.
    pub(super) fn new(speaking: Pool, listening: Option<Hosts>) -> Self {
        Self {
            own: Uuid::new_v4(),
            patience: speaking.patience(),
            speaking,
            listening,
            pending: Lock::default(),
            spoke: Lock::default(),
            hushed: AtomicBool::default(),
            speaker: Mutex::default(),
            ear: Mutex::default(),
        }
    }

    /// Tells the others, together with what comes up in the next moment. If somebody is at it already, he
    /// takes this along.
    pub(super) async fn tell(&self, news: News) -> Result<()> {
        {
            let mut pending = self.pending.lock();
            pending.changes |= news.changes;
            pending.progress |= news.progress;
        }
        // Looked at again after the turn is over: what came just then found it taken.
        while *self.pending.lock() != News::default() {
            let Ok(_speaker) = self.speaker.try_lock() else { return Ok(()) };
            let spoke = *self.spoke.lock();
            if let Some(spoke) = spoke {
                sleep_until(spoke + DATABASE_NEWS_INTERVAL).await;
            }
            *self.spoke.lock() = Some(Clock::monotonic());
            let news = std::mem::take(&mut *self.pending.lock());
            if news == News::default() {
                continue;
            }
            let said = timeout(self.patience, self.say(news)).await;
            said.unwrap_or_else(|_| Err(late()))?;
        }
        Ok(())
    }

    /// What a commit is to tell, if nothing was told for a while: then it is heard with the commit, and is no
    /// transaction of its own. Under load it would hold the lock that telling takes while it waits for the disk.
    pub(super) fn word_of_commit(&self) -> Option<String> {
        if self.hushed.load(Ordering::Relaxed) {
            return None;
        }
        let mut spoke = self.spoke.lock();
        let now = Clock::monotonic();
        if spoke.is_some_and(|spoke| now.duration_since(spoke) < DATABASE_NEWS_REST) {
            return None;
        }
        *spoke = Some(now);
        Some(word(self.own, News { changes: true, progress: false }))
    }

    /// A commit that was to tell something failed, maybe by that alone: the queue of what is told may be full, for
    /// somebody who listens may have stopped to read.
    pub(super) fn hush(&self) {
        self.hushed.store(true, Ordering::Relaxed);
    }

    async fn say(&self, news: News) -> Result<()> {
        let mut link = self.speaking.read().await?;
        let query = link.query(TELL).bind(word(self.own, news));
        query.execute(&mut *link).await.map_err(from_sqlx)?;
        match link.done().await {
            Ok(()) => {
                self.hushed.store(false, Ordering::Relaxed);
                Ok(())
            }
            // Heard or not, it was a hint.
            Err(Error::OutcomeUnknown(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Waits for what others tell. Whoever begins to listen, or lost the connection meanwhile, has to look
    /// at everything.
    pub(super) async fn told(&self) -> Result<News> {
        let Some(hosts) = &self.listening else { return std::future::pending().await };
        let mut ear = self.ear.lock().await;
        let Some(listener) = ear.as_mut() else {
            *ear = Some(self.listen(hosts).await?);
            return Ok(ALL);
        };
        loop {
            let heard = match timeout(DATABASE_NEWS_SILENCE, listener.try_recv()).await {
                Ok(Ok(Some(heard))) => heard,
                Ok(Ok(None)) => return Ok(ALL),
                Ok(Err(error)) => {
                    *ear = None;
                    return Err(from_sqlx(error));
                }
                Err(_) => match timeout(self.patience, (&mut *listener).execute(THERE)).await {
                    Ok(Ok(_)) => continue,
                    Ok(Err(error)) => {
                        *ear = None;
                        return Err(from_sqlx(error));
                    }
                    Err(_) => {
                        *ear = None;
                        return Err(late());
                    }
                },
            };
            let mut news = read(self.own, heard.payload());
            // What came with it is one piece of news.
            while let Some(more) = listener.next_buffered() {
                let more = read(self.own, more.payload());
                news.changes |= more.changes;
                news.progress |= more.progress;
            }
            if news != News::default() {
                return Ok(news);
            }
        }
    }

    async fn listen(&self, hosts: &Hosts) -> Result<PgListener> {
        let listening = async {
            let pool = PgPoolOptions::new()
                .max_connections(1)
                .acquire_timeout(self.patience)
                .connect_lazy_with(hosts.writable().await?);
            let mut listener = PgListener::connect_with(&pool).await?;
            listener.listen(CHANNEL).await?;
            Ok(listener)
        };
        timeout(self.patience, listening).await.map_err(|_| late())?.map_err(from_sqlx)
    }

    pub(super) async fn close(&self) {
        self.speaking.close().await;
        // Somebody who waits for news holds it, and is about to be dropped.
        if let Ok(mut ear) = self.ear.try_lock() {
            *ear = None;
        }
    }
}

fn word(own: Uuid, news: News) -> String {
    let changes = if news.changes { " changes" } else { "" };
    let progress = if news.progress { " progress" } else { "" };
    format!("{own}{changes}{progress}")
}

/// What is said in words of a newer server counts as anything.
fn read(own: Uuid, word: &str) -> News {
    let mut words = word.split(' ');
    if words.next().is_some_and(|who| who == own.to_string()) {
        return News::default();
    }
    words.fold(News::default(), |news, word| match word {
        "changes" => News { changes: true, ..news },
        "progress" => News { progress: true, ..news },
        _ => ALL,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_heard_and_oneself_is_not() {
        let (own, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        for news in [
            ALL,
            News { changes: true, progress: false },
            News { changes: false, progress: true },
            News::default(),
        ] {
            assert_eq!(read(own, &word(other, news)), news);
            assert_eq!(read(own, &word(own, news)), News::default());
        }
        assert_eq!(read(own, "somebody says something"), ALL);
    }
}
