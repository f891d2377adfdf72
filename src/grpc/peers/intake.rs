//! A request's body: what has come of a message that is not whole yet is charged to the peer.
//!
//! The decoder keeps it until the rest comes, which may be never.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
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
}

impl<B> Intake<B> {
    pub(super) fn of(inner: B, framed: bool, call: &Arc<Call>) -> Self {
        let charge = Charge::none(Arc::clone(call));
        Self { inner, charge, framing: framed.then(Framing::default) }
    }

    fn take(&mut self, chunk: &[u8]) -> Result<(), Status> {
        let held = match &mut self.framing {
            Some(framing) => {
                framing.take(chunk);
                framing.held
            }
            None => self.charge.bytes + chunk.len(),
        };
        self.charge.set(held).map_err(to_status)
    }
}

impl<B: Body<Data = Bytes, Error = Status> + Unpin> Body for Intake<B> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(chunk) = frame.data_ref()
            && let Err(status) = self.take(chunk)
        {
            return Poll::Ready(Some(Err(status)));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests;
