//! An answer's body: what its reader leaves unread is charged to the peer.
//!
//! The transport takes a chunk whole as soon as the reader's window lets a byte of it through. So a large one
//! is given away piece by piece, and what is left of it is still here to be counted.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use crate::domain::limits::ANSWER_PIECE_BYTES_MAX;
use crate::engine::Error;

use super::super::status::to_status;
use super::{Call, Charge};

/// An answer's body that is charged for.
pub struct Answer<B> {
    /// `None` once it is given up.
    inner: Option<B>,
    /// What is not given away yet of the chunk that came last.
    rest: Bytes,
    /// `None` for an answer that nothing is charged for: a refusal.
    charge: Option<Charge>,
}

impl<B> Answer<B> {
    pub(super) fn of(inner: B, call: &Arc<Call>) -> Self {
        let charge = Some(Charge::none(Arc::clone(call)));
        Self { inner: Some(inner), rest: Bytes::new(), charge }
    }

    /// The next piece of a chunk; the rest is charged for.
    fn piece(&mut self, mut chunk: Bytes) -> Result<Frame<Bytes>, Error> {
        let piece = chunk.split_to(chunk.len().min(ANSWER_PIECE_BYTES_MAX));
        if let Some(charge) = &mut self.charge {
            charge.set(chunk.len())?;
        }
        self.rest = chunk;
        Ok(Frame::data(piece))
    }

    /// Ends the call: the chunk that is too much is dropped, and whatever would come after it.
    fn give_up(&mut self, error: Error) -> Frame<Bytes> {
        self.inner = None;
        let mut trailers = HeaderMap::new();
        // Fails only for texts that are no headers, and those of the service are.
        let _ = to_status(error).add_header(&mut trailers);
        Frame::trailers(trailers)
    }
}

impl<B: Default> Default for Answer<B> {
    fn default() -> Self {
        Self { inner: Some(B::default()), rest: Bytes::new(), charge: None }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Answer<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        let chunk = if this.rest.is_empty() {
            let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
            match ready!(Pin::new(inner).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(chunk) => chunk,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                end => return Poll::Ready(end),
            }
        } else {
            std::mem::take(&mut this.rest)
        };
        let frame = this.piece(chunk).unwrap_or_else(|error| this.give_up(error));
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.inner.as_ref().map(Body::size_hint).unwrap_or_default();
        hint + SizeHint::with_exact(self.rest.len() as u64)
    }
}

#[cfg(test)]
mod tests;
