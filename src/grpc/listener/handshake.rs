//! What a connection passes before HTTP is spoken on it.

use std::io;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// What bytes travel over: the socket, or what a handshake made of it.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<W: AsyncRead + AsyncWrite + Send + Unpin + 'static> Wire for W {}

/// A handshake, as of TLS. The listener bounds its time and how many there are at once.
#[async_trait]
pub trait Handshake: Send + Sync + 'static {
    /// Makes of a fresh connection one that HTTP can be spoken on.
    ///
    /// # Errors
    /// If the peer does not play its part.
    async fn shake(&self, stream: TcpStream) -> io::Result<Box<dyn Wire>>;
}
