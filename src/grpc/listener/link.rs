//! A connection as the transport has it.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::domain::limits::WRITE_STALLED_AFTER;
use crate::runtime::Shutdown;

use super::gate::Place;
use super::handshake::Wire;

/// A connection that is ready for HTTP. It fails when it is cut, and when its peer takes nothing for
/// too long.
pub struct Link {
    way: Way,
    /// What was read of it already.
    head: Bytes,
    info: TcpConnectInfo,
    cut: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Runs while the peer takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    _place: Place,
}

/// The wire; the plain one is spared the indirection.
pub(super) enum Way {
    Plain(TcpStream),
    Shaken(Box<dyn Wire>),
}

impl Link {
    pub(super) fn new(
        way: Way,
        head: Bytes,
        (local, peer): (Option<SocketAddr>, SocketAddr),
        cut: &Shutdown,
        place: Place,
    ) -> Self {
        // A child of its own, so that connections do not meet at one lock.
        let cut = cut.child();
        Self {
            way,
            head,
            info: TcpConnectInfo { local_addr: local, remote_addr: Some(peer) },
            cut: Box::pin(async move { cut.signalled().await }),
            stalled: None,
            _place: place,
        }
    }

    /// What a wait ends with when the connection is cut.
    fn waits<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        match self.cut.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Bounds a wait for the peer to take what is written.
    fn written<T>(
        &mut self,
        context: &mut Context<'_>,
        answer: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if answer.is_ready() {
            self.stalled = None;
            return answer;
        }
        let stalled =
            self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(WRITE_STALLED_AFTER)));
        if stalled.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        self.waits(context)
    }
}

impl Connected for Link {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.info.clone()
    }
}

impl AsyncRead for Way {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Shaken(wire) => Pin::new(wire).poll_read(context, buffer),
        }
    }
}

impl AsyncRead for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.head.is_empty() {
            let length = self.head.len().min(buffer.remaining());
            buffer.put_slice(&self.head[..length]);
            self.head.advance(length);
            if self.head.is_empty() {
                self.head = Bytes::new();
            }
            return Poll::Ready(Ok(()));
        }
        let answer = Pin::new(&mut self.way).poll_read(context, buffer);
        if answer.is_ready() { answer } else { self.waits(context) }
    }
}

impl AsyncWrite for Link {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let answer = match &mut self.way {
            Way::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Way::Shaken(wire) => Pin::new(wire).poll_write(context, bytes),
        };
        self.written(context, answer)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let answer = match &mut self.way {
            Way::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Way::Shaken(wire) => Pin::new(wire).poll_write_vectored(context, slices),
        };
        self.written(context, answer)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.way {
            Way::Plain(stream) => stream.is_write_vectored(),
            Way::Shaken(wire) => wire.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let answer = match &mut self.way {
            Way::Plain(stream) => Pin::new(stream).poll_flush(context),
            Way::Shaken(wire) => Pin::new(wire).poll_flush(context),
        };
        // A flush that is done says nothing about the peer: only a write that goes on does.
        if answer.is_ready() { answer } else { self.written(context, answer) }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let answer = match &mut self.way {
            Way::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Way::Shaken(wire) => Pin::new(wire).poll_shutdown(context),
        };
        self.written(context, answer)
    }
}
