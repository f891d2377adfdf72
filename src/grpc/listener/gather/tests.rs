use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::task::noop_waker;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

use super::{Gather, Phase};
use crate::domain::limits::GATHERED_BYTES_MAX;

const HTTP_2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Says something once, notes each write, and takes only so many bytes in all.
struct Wire {
    says: &'static [u8],
    writes: Vec<Vec<u8>>,
    room: usize,
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let says = std::mem::take(&mut self.says);
        if says.is_empty() {
            return Poll::Pending;
        }
        buffer.put_slice(says);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let taken = bytes.len().min(self.room);
        if taken == 0 {
            return Poll::Pending;
        }
        self.room -= taken;
        self.writes.push(bytes[..taken].to_vec());
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

async fn spoken(says: &'static [u8], room: usize) -> Gather<Wire> {
    let mut gather = Gather::new(Wire { says, writes: Vec::new(), room });
    gather.read_exact(&mut vec![0; says.len()]).await.unwrap();
    gather
}

/// The read that a poll of the connection begins with.
fn poll_read(gather: &mut Gather<Wire>) -> Poll<io::Result<()>> {
    let waker = noop_waker();
    let mut space = [0; 8];
    Pin::new(gather).poll_read(&mut Context::from_waker(&waker), &mut ReadBuf::new(&mut space))
}

fn poll_flush(gather: &mut Gather<Wire>) -> Poll<io::Result<()>> {
    let waker = noop_waker();
    Pin::new(gather).poll_flush(&mut Context::from_waker(&waker))
}

#[tokio::test]
async fn all_that_is_written_and_flushed_in_one_poll_goes_out_in_one_write_with_the_next() {
    let mut gather = spoken(HTTP_2, usize::MAX).await;
    gather.write_all(b"one ").await.unwrap();
    gather.flush().await.unwrap();
    gather.write_all(b"two").await.unwrap();
    gather.flush().await.unwrap();
    assert!(gather.connection.writes.is_empty());
    assert!(poll_read(&mut gather).is_pending());
    assert_eq!(gather.connection.writes, [b"one two"]);
}

#[tokio::test]
async fn what_is_not_http_2_is_written_at_once() {
    let mut gather = spoken(b"GET / HTTP/1.1\r\n", usize::MAX).await;
    gather.write_all(b"HTTP/1.1 200 OK").await.unwrap();
    assert_eq!(gather.connection.writes, [b"HTTP/1.1 200 OK"]);
}

#[tokio::test]
async fn a_peer_that_takes_little_holds_the_flush_until_it_took_all() {
    let mut gather = spoken(HTTP_2, 2).await;
    gather.write_all(b"12345").await.unwrap();
    gather.flush().await.unwrap();
    assert!(poll_read(&mut gather).is_pending());
    assert!(poll_flush(&mut gather).is_pending());
    gather.connection.room = 3;
    assert!(poll_flush(&mut gather).is_ready());
    assert_eq!(gather.connection.writes.concat(), b"12345");
    assert_eq!(gather.phase, Phase::Gathering);
}

#[tokio::test]
async fn a_peer_that_takes_nothing_is_still_heard() {
    let mut gather = spoken(HTTP_2, 0).await;
    gather.write_all(b"12345").await.unwrap();
    gather.flush().await.unwrap();
    gather.connection.says = b"ping";
    assert!(poll_read(&mut gather).is_ready());
}

#[tokio::test]
async fn more_than_the_bound_is_not_held_and_its_space_is_given_back() {
    let mut gather = spoken(HTTP_2, usize::MAX).await;
    let much = vec![7; 3 * GATHERED_BYTES_MAX];
    gather.write_all(&much).await.unwrap();
    assert!(gather.held.len() <= 2 * GATHERED_BYTES_MAX);
    gather.shutdown().await.unwrap();
    assert_eq!(gather.connection.writes.concat(), much);
    assert!(gather.held.capacity() <= super::KEPT_BYTES_MAX);
}

#[tokio::test]
async fn a_connection_that_breaks_says_so_with_the_next_poll() {
    let (near, far) = tokio::io::duplex(64);
    let mut gather = Gather::new(near);
    gather.phase = Phase::Gathering;
    drop(far);
    gather.write_all(b"lost").await.unwrap();
    gather.flush().await.unwrap();
    assert!(gather.read_u8().await.is_err());
}
