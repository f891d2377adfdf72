//! Writes of one HTTP/2 connection, gathered over a turn of the scheduler.
//!
//! The transport flushes as soon as it has one frame, and the scheduler runs it right after the stream
//! that made the frame: with many streams on a connection that is a system call for each message, and
//! these are most of what a delivery costs. Here a flush only asks for another turn and says that it is
//! done; whatever else is ready runs first, and what was written meanwhile goes out together when the
//! connection is polled again. An idle server writes at once all the same: nobody else is ready.
//!
//! Relies on this: HTTP/2 reads at the beginning of each poll, whatever it is polled for. Over HTTP/1,
//! where that is not so, nothing is held.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

use crate::domain::limits::GATHERED_BYTES_MAX;

/// What an idle connection keeps of the space that its writes were gathered in.
const KEPT_BYTES_MAX: usize = 4 * 1024;

/// How every HTTP/2 connection begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// A connection whose writes are gathered.
pub struct Gather<C> {
    connection: C,
    held: BytesMut,
    phase: Phase,
}

/// How it stands with the writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The peer said nothing yet: nothing is held.
    Unknown,
    /// It speaks something else: nothing is held.
    Direct,
    /// Held until the first flush.
    Gathering,
    /// Flushed: goes out with the next poll, which is asked for.
    Asked,
    /// The peer took less than all: a flush waits for it.
    Blocked,
}

impl<C> Gather<C> {
    /// Gathers the writes of a connection.
    pub fn new(connection: C) -> Self {
        Self { connection, held: BytesMut::new(), phase: Phase::Unknown }
    }

    const fn is_direct(&self) -> bool {
        matches!(self.phase, Phase::Unknown | Phase::Direct)
    }
}

impl<C: AsyncWrite + Unpin> Gather<C> {
    /// Writes what is held.
    fn drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let written = Pin::new(&mut self.connection).poll_write(context, &self.held);
            if written.is_pending() {
                self.phase = Phase::Blocked;
            }
            match ready!(written)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.held.advance(written),
            }
        }
        if !self.is_direct() {
            self.phase = Phase::Gathering;
        }
        self.held.clear();
        if self.held.capacity() > KEPT_BYTES_MAX {
            self.held = BytesMut::new();
        }
        Pin::new(&mut self.connection).poll_flush(context)
    }

    /// Makes room, if what is held is enough for a write of its own.
    fn make_room(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.held.len() < GATHERED_BYTES_MAX { Poll::Ready(Ok(())) } else { self.drain(context) }
    }
}

impl<C: Connected> Connected for Gather<C> {
    type ConnectInfo = C::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.connection.connect_info()
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gather<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if matches!(self.phase, Phase::Asked | Phase::Blocked) {
            // A peer that takes nothing may still say something.
            if let Poll::Ready(Err(error)) = self.drain(context) {
                return Poll::Ready(Err(error));
            }
        }
        ready!(Pin::new(&mut self.connection).poll_read(context, buffer))?;
        if self.phase == Phase::Unknown {
            let is_http2 = buffer.filled()[before..].starts_with(PREFACE);
            self.phase = if is_http2 { Phase::Gathering } else { Phase::Direct };
        }
        Poll::Ready(Ok(()))
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Gather<C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_direct() {
            return Pin::new(&mut self.connection).poll_write(context, bytes);
        }
        ready!(self.make_room(context))?;
        let taken = bytes.len().min(GATHERED_BYTES_MAX);
        self.held.extend_from_slice(&bytes[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_direct() {
            return Pin::new(&mut self.connection).poll_write_vectored(context, slices);
        }
        ready!(self.make_room(context))?;
        let mut taken = 0;
        for slice in slices {
            let more = slice.len().min(GATHERED_BYTES_MAX - taken);
            self.held.extend_from_slice(&slice[..more]);
            taken += more;
        }
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.phase {
            Phase::Gathering if !self.held.is_empty() => {
                self.phase = Phase::Asked;
                context.waker().wake_by_ref();
                Poll::Ready(Ok(()))
            }
            Phase::Asked => Poll::Ready(Ok(())),
            Phase::Unknown | Phase::Direct | Phase::Gathering | Phase::Blocked => {
                self.drain(context)
            }
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.drain(context))?;
        Pin::new(&mut self.connection).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
