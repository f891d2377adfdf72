//! Sockets and their options.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};

use crate::domain::limits::{ACCEPT_BACKLOG, TCP_KEEPALIVE_AFTER};
#[cfg(target_os = "linux")]
use crate::domain::limits::{UNSENT_BYTES_MAX, WRITE_STALLED_AFTER};

/// A socket that listens.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A successor may listen while connections of its predecessor still die.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(ACCEPT_BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Sets the options of an accepted connection.
///
/// # Errors
/// If the peer is gone already.
pub(super) fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(TCP_KEEPALIVE_AFTER))?;
    #[cfg(target_os = "linux")]
    {
        // The system then gives up a peer that acknowledges nothing, also over HTTP/1, which has no pings.
        socket.set_tcp_user_timeout(Some(WRITE_STALLED_AFTER))?;
        socket.set_tcp_notsent_lowat(UNSENT_BYTES_MAX)?;
    }
    Ok(())
}
