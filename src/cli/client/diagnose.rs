//! Who it is that answers, when an answer is none that a jobplane server gives: asked in plain bytes, once, after the
//! failure.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Address;
use crate::cli::exit::Failure;

#[cfg(test)]
mod tests;

/// How HTTP/2 begins. A server of HTTP/1 answers it with an error, one of TLS with an alert.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// A failure is told this much later at most.
const PATIENCE: Duration = Duration::from_secs(2);
/// The first bytes tell enough.
const ENOUGH: usize = 64;

/// The failure with what was found out about who answers; as it was if there is nothing to find out.
pub async fn explain(failure: Failure, address: &Address) -> Failure {
    let Failure::Refused(refusal) = &failure else { return failure };
    if !refusal.of_connection {
        return failure;
    }
    let found = match timeout(PATIENCE, probe(address)).await {
        Ok(Some(begin)) => who(&begin),
        Ok(None) | Err(_) => None,
    };
    let found = found.or_else(|| refusal.of_gateway.then_some(Who::Http));
    match found {
        Some(who) => Failure::Stranger {
            address: address.to_string(),
            doing: refusal.doing().to_owned(),
            who: who.said().to_owned(),
            next: who.next().to_owned(),
        },
        None => failure,
    }
}

/// The first bytes that are answered.
async fn probe(address: &Address) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(address.authority()).await.ok()?;
    stream.write_all(PREFACE).await.ok()?;
    let mut begin = Vec::new();
    stream.take(ENOUGH as u64).read_to_end(&mut begin).await.ok();
    Some(begin)
}

/// Who answers instead of a jobplane server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// HTTP without gRPC.
    Http,
    /// TLS.
    Tls,
    /// Something else.
    Other,
    /// Nothing: it takes the connection and ends it.
    Mute,
}

/// Reads who it is from the first bytes; `None` if it speaks HTTP/2, as a jobplane server does.
fn who(begin: &[u8]) -> Option<Who> {
    match begin {
        [] => Some(Who::Mute),
        // Some answer a version they do not know with the page alone.
        [b'H', b'T', b'T', b'P', b'/', ..] | [b'<', ..] => Some(Who::Http),
        // A record of TLS: an alert or a handshake, and the version.
        [0x15 | 0x16, 0x03, ..] => Some(Who::Tls),
        // The header of an empty or small SETTINGS frame.
        [0, 0, _, 0x04, ..] => None,
        _ => Some(Who::Other),
    }
}

impl Who {
    fn said(self) -> &'static str {
        match self {
            Self::Http => "an HTTP server answers there that speaks no gRPC",
            Self::Tls => "the server there wants TLS, and this program speaks without",
            Self::Other => "what answers there speaks neither HTTP nor gRPC",
            Self::Mute => "somebody takes the connection there and says nothing",
        }
    }

    fn next(self) -> &'static str {
        match self {
            Self::Http | Self::Other | Self::Mute => {
                "check the port: --endpoint or JOBPLANE_ENDPOINT must name that of `jobplane \
                 serve`, 50051 unless it was told another"
            }
            Self::Tls => {
                "name the port where `jobplane serve` itself listens, or put a proxy in between \
                 that ends the TLS; check --endpoint or JOBPLANE_ENDPOINT"
            }
        }
    }
}
