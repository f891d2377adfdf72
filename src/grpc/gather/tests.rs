use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::task::yield_now;

use super::Gather;
use crate::domain::limits::GATHERED_BYTES_MAX;

/// Notes each write, and takes only so many bytes of it.
struct Wire {
    writes: Vec<Vec<u8>>,
    takes: usize,
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let taken = bytes.len().min(self.takes);
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

fn wire(takes: usize) -> Gather<Wire> {
    Gather::new(Wire { writes: Vec::new(), takes })
}

#[tokio::test]
async fn what_is_written_before_the_flush_goes_out_in_one_write() {
    let mut gather = wire(usize::MAX);
    gather.write_all(b"one ").await.unwrap();
    gather.write_all(b"two").await.unwrap();
    assert!(gather.connection.writes.is_empty());
    gather.flush().await.unwrap();
    assert_eq!(gather.connection.writes, [b"one two"]);
}

#[tokio::test]
async fn a_flush_gives_way_once_to_whatever_else_is_ready() {
    let mut gather = wire(usize::MAX);
    gather.write_all(b"one").await.unwrap();
    let ran = std::cell::Cell::new(false);
    let flush = async {
        gather.flush().await.unwrap();
        assert!(ran.get());
    };
    let other = async { ran.set(true) };
    futures_util::future::join(flush, other).await;
    yield_now().await;
    assert_eq!(gather.connection.writes.len(), 1);
}

#[tokio::test]
async fn a_wire_that_takes_little_gets_all_of_it_in_order() {
    let mut gather = wire(2);
    gather.write_all(b"12345").await.unwrap();
    gather.flush().await.unwrap();
    assert_eq!(gather.connection.writes.concat(), b"12345");
    assert!(gather.held.is_empty());
}

#[tokio::test]
async fn more_than_the_bound_is_not_held() {
    let mut gather = wire(usize::MAX);
    let much = vec![7; 3 * GATHERED_BYTES_MAX];
    gather.write_all(&much).await.unwrap();
    assert!(gather.held.len() <= 2 * GATHERED_BYTES_MAX);
    gather.shutdown().await.unwrap();
    assert_eq!(gather.connection.writes.concat(), much);
    assert!(gather.held.capacity() <= super::KEPT_BYTES_MAX);
}

#[tokio::test]
async fn a_wire_that_is_gone_fails_the_flush() {
    let (near, far) = tokio::io::duplex(64);
    drop(far);
    let mut gather = Gather::new(near);
    gather.write_all(b"lost").await.unwrap();
    assert!(gather.flush().await.is_err());
}

#[tokio::test]
async fn reads_are_passed_on() {
    let (near, mut far) = tokio::io::duplex(64);
    far.write_all(b"hello").await.unwrap();
    let mut gather = Gather::new(near);
    let mut read = [0; 5];
    gather.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"hello");
}
