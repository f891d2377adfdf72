//! A request's body: what has come of a message that is not whole yet is charged to the peer.
//!
//! The decoder keeps it until the rest comes, which may be never. So does the transport with all that comes of
//! a call that nobody reads: while a call waits at the door, what comes is taken in here, and charged.

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use tonic::Status;

use super::super::status::to_status;
use super::{Call, Charge};

/// Bytes before a message: a flag and its length.
const PREFIX: usize = 5;

/// Where in a message the bytes so far end.
#[derive(Debug, Default)]
struct Framing {
    prefix: [u8; PREFIX],
    /// Bytes of the prefix that have come.
    known: usize,
    /// Bytes of the message that are still to come.
    left: usize,
    /// Bytes of the unfinished message that have come.
    held: usize,
}

impl Framing {
    fn take(&mut self, mut chunk: &[u8]) {
        while !chunk.is_empty() {
            let taken = if self.left == 0 {
                let taken = chunk.len().min(PREFIX - self.known);
                self.prefix[self.known..self.known + taken].copy_from_slice(&chunk[..taken]);
                self.known += taken;
                if self.known == PREFIX {
                    let [_, length @ ..] = self.prefix;
                    self.left = u32::from_be_bytes(length) as usize;
                    self.known = 0;
                }
                taken
            } else {
                let taken = chunk.len().min(self.left);
                self.left -= taken;
                taken
            };
            self.held += taken;
            if self.left == 0 && self.known == 0 {
                self.held = 0;
            }
            chunk.advance(taken);
        }
    }
}

/// A request's body that is charged for.
pub struct Intake<B> {
    inner: B,
    charge: Charge,
    /// `None` if the body is not framed as gRPC does: all of it counts.
    framing: Option<Framing>,
    /// Bytes given away of a body that is not framed.
    passed: usize,
    /// What came while the call waited: copied, for a slice keeps all that was read with it.
    waiting: BytesMut,
    /// What ended the body while the call waited.
    trailers: Option<Frame<Bytes>>,
    ended: bool,
}

impl<B> Intake<B> {
    pub(super) fn of(inner: B, framed: bool, call: &Arc<Call>) -> Self {
        let charge = Charge::none(Arc::clone(call));
        Self {
            inner,
            charge,
            framing: framed.then(Framing::default),
            passed: 0,
            waiting: BytesMut::new(),
            trailers: None,
            ended: false,
        }
    }

    /// Takes note of a chunk that is given away.
    fn give(&mut self, chunk: &[u8]) -> Result<(), Status> {
        match &mut self.framing {
            Some(framing) => framing.take(chunk),
            None => self.passed += chunk.len(),
        }
        self.weigh()
    }

    fn weigh(&mut self) -> Result<(), Status> {
        let held = self.framing.as_ref().map_or(self.passed, |framing| framing.held);
        self.charge.set(held + self.waiting.len()).map_err(to_status)
    }
}

impl<B: Body<Data = Bytes, Error = Status> + Unpin> Intake<B> {
    /// Takes in what comes while the call waits; ends only if it must not wait any longer, and says why.
    /// Safe to drop.
    pub(super) async fn wait(&mut self) -> Status {
        while !self.ended {
            let frame = match poll_fn(|cx| Pin::new(&mut self.inner).poll_frame(cx)).await {
                Some(Ok(frame)) => frame,
                Some(Err(status)) => return status,
                None => {
                    self.ended = true;
                    continue;
                }
            };
            match frame.into_data() {
                Ok(chunk) => {
                    self.waiting.extend_from_slice(&chunk);
                    if let Err(status) = self.weigh() {
                        return status;
                    }
                }
                Err(trailers) => self.trailers = Some(trailers),
            }
        }
        pending().await
    }
}

impl<B: Body<Data = Bytes, Error = Status> + Unpin> Body for Intake<B> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if !this.waiting.is_empty() {
            let chunk = std::mem::take(&mut this.waiting).freeze();
            return Poll::Ready(Some(this.give(&chunk).map(|()| Frame::data(chunk))));
        }
        if let Some(trailers) = this.trailers.take() {
            return Poll::Ready(Some(Ok(trailers)));
        }
        if this.ended {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut this.inner).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(chunk) = frame.data_ref()
            && let Err(status) = this.give(chunk)
        {
            return Poll::Ready(Some(Err(status)));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        let is_empty = self.waiting.is_empty() && self.trailers.is_none();
        is_empty && (self.ended || self.inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint() + SizeHint::with_exact(self.waiting.len() as u64)
    }
}

#[cfg(test)]
mod tests;
