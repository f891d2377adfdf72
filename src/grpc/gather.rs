//! Writes of one connection, gathered over a turn of the scheduler.
//!
//! The transport flushes as soon as it has one frame, and the scheduler runs it right after the stream
//! that made the frame: with many streams on a connection that is a system call for each message, and
//! these are most of what a delivery costs. Here the first flush gives way once to whatever else is ready
//! to run; all that is written meanwhile goes out together. An idle server writes at once all the same:
//! nobody else is ready.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

use crate::domain::limits::GATHERED_BYTES_MAX;

/// What an idle connection keeps of the space that its writes were gathered in.
const KEPT_BYTES_MAX: usize = 4 * 1024;

/// A connection whose writes are gathered.
pub struct Gather<C> {
    connection: C,
    held: BytesMut,
    /// Others had their turn since the first write.
    gave_way: bool,
}

impl<C> Gather<C> {
    /// Gathers the writes of a connection.
    pub fn new(connection: C) -> Self {
        Self { connection, held: BytesMut::new(), gave_way: false }
    }
}

impl<C: AsyncWrite + Unpin> Gather<C> {
    /// Writes what is held.
    fn drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let written = Pin::new(&mut self.connection).poll_write(context, &self.held);
            match ready!(written)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.held.advance(written),
            }
        }
        self.gave_way = false;
        self.held.clear();
        if self.held.capacity() > KEPT_BYTES_MAX {
            self.held = BytesMut::new();
        }
        Poll::Ready(Ok(()))
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

impl<C: AsyncRead + Unpin> AsyncRead for Gather<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_read(context, buffer)
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Gather<C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
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
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.held.is_empty() {
            if !self.gave_way {
                self.gave_way = true;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            ready!(self.drain(context))?;
        }
        Pin::new(&mut self.connection).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.drain(context))?;
        Pin::new(&mut self.connection).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
