//! The first words of a connection.
//!
//! The transport waits for HTTP/2's preface without a bound, so it is only given connections whose
//! first words are there: the preface, or the whole head of an HTTP/1 request.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::domain::limits::HTTP1_HEAD_BYTES_MAX;

/// What every HTTP/2 connection begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How the requests of orchestrators begin, who ask whether the server is well.
const PROBES: &[&[u8]] = &[b"GET /healthz ", b"GET /readyz ", b"HEAD /healthz ", b"HEAD /readyz "];
/// What most peers send at once: the preface, their settings and the headers of a call.
const FIRST_READ_BYTES: usize = 512;

/// How far the first words have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    Part,
    Enough,
}

/// Reads until the peer has said what it wants, and answers all that was read.
///
/// # Errors
/// If the peer leaves before, or says too much without coming to the end.
pub(super) async fn read<W: AsyncRead + Unpin>(wire: &mut W) -> io::Result<Bytes> {
    let mut head = BytesMut::with_capacity(FIRST_READ_BYTES);
    while heard(&head) == Heard::Part {
        if head.len() >= HTTP1_HEAD_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the head does not end"));
        }
        if wire.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head.freeze())
}

/// Whether it is the head of a probe.
pub(super) fn is_probe(head: &[u8]) -> bool {
    PROBES.iter().any(|probe| head.starts_with(probe))
}

fn heard(head: &[u8]) -> Heard {
    // The transport passes over empty lines before a request.
    let head = head.trim_ascii_start();
    let is_over = |end: &[u8]| head.windows(end.len()).any(|part| part == end);
    if head.len() < PREFACE.len() && PREFACE.starts_with(head) {
        Heard::Part
    } else if head.starts_with(PREFACE) || is_over(b"\r\n\r\n") || is_over(b"\n\n") {
        Heard::Enough
    } else if head.iter().take_while(|byte| **byte != b' ').all(|byte| is_of_method(*byte)) {
        Heard::Part
    } else {
        // No method: the transport says so at once.
        Heard::Enough
    }
}

/// What the transport takes for a part of a method: any token.
fn is_of_method(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests;
