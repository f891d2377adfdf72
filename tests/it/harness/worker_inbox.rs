//! What a worker was told, in order.

use std::collections::BTreeSet;

use jobplane::proto::v1::report_progress_response as response;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tonic::Status;

use super::refusal::Refusal;
use super::wait::{SOON, within};

/// What a message of the server says.
pub type Message = response::Kind;

#[derive(Default)]
struct Told {
    messages: Vec<Message>,
    /// The places of those that the script has taken up.
    taken: BTreeSet<usize>,
    end: Option<Result<(), Status>>,
}

/// Everything a worker was told.
#[derive(Default)]
pub struct Inbox {
    told: Mutex<Told>,
    news: Notify,
}

impl Told {
    fn take<T>(&mut self, wanted: impl Fn(&Message) -> Option<T>) -> Option<T> {
        let mut open = (0..self.messages.len()).filter(|at| !self.taken.contains(at));
        let (at, found) =
            open.find_map(|at| wanted(&self.messages[at]).map(|found| (at, found)))?;
        self.taken.insert(at);
        Some(found)
    }
}

impl Inbox {
    /// A message came.
    pub fn push(&self, message: Message) {
        self.told.lock().messages.push(message);
        self.news.notify_waiters();
    }

    /// The stream is over.
    pub fn close(&self, end: Result<(), Status>) {
        self.told.lock().end = Some(end);
        self.news.notify_waiters();
    }

    async fn until<T>(&self, what: &str, look: impl Fn(&mut Told) -> Option<T>) -> T {
        within(SOON, &format!("the worker is told {what}"), self.some_time(look)).await
    }

    async fn some_time<T>(&self, look: impl Fn(&mut Told) -> Option<T>) -> T {
        loop {
            let news = self.news.notified();
            let found = look(&mut self.told.lock());
            match found {
                Some(found) => return found,
                None => news.await,
            }
        }
    }

    /// Takes up the first message, not taken up before, that is as `wanted`.
    pub async fn take<T>(&self, what: &str, wanted: impl Fn(&Message) -> Option<T>) -> T {
        self.until(what, |told| told.take(&wanted)).await
    }

    /// The same, however long that takes.
    pub async fn take_some_time<T>(&self, wanted: impl Fn(&Message) -> Option<T>) -> T {
        self.some_time(|told| told.take(&wanted)).await
    }

    /// Waits for the ack that covers an update; the reject, if one came before it.
    pub async fn settled(&self, seq: i64) -> Result<(), Refusal> {
        self.until(&format!("an ack of {seq}"), |told| {
            let covers =
                |message: &Message| matches!(message, Message::Ack(ack) if ack.through_seq >= seq);
            let ack = told.messages.iter().position(covers)?;
            let reject = told.messages[..ack].iter().find_map(|message| match message {
                Message::Reject(reject) if reject.seq == seq => reject.error.as_ref(),
                _ => None,
            });
            Some(reject.map_or(Ok(()), |status| Err(Refusal::of_message(status))))
        })
        .await
    }

    /// Waits for the end of the stream.
    pub async fn end(&self) -> Result<(), Status> {
        self.until("that its stream is over", |told| told.end.clone()).await
    }

    /// Everything so far.
    pub fn messages(&self) -> Vec<Message> {
        self.told.lock().messages.clone()
    }
}
