//! A way to the server that can be cut, and that stays when the server comes back elsewhere.

use std::net::SocketAddr;
use std::sync::Arc;

use jobplane::runtime::{Shutdown, Tasks};
use parking_lot::Mutex;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

/// Where connections go, and what ends those that are open.
struct Line {
    target: Option<SocketAddr>,
    cut: Shutdown,
}

/// Listens on a port of its own for as long as it lives.
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    line: Arc<Mutex<Line>>,
    stop: Shutdown,
}

impl Proxy {
    /// A way to `target`.
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let stop = Shutdown::new();
        let line = Arc::new(Mutex::new(Line { target: Some(target), cut: stop.child() }));
        Tasks::new().spawn("proxy", listen(listener, Arc::clone(&line), stop.clone()));
        Self { address, line, stop }
    }

    /// Breaks every connection; new ones come about.
    pub fn cut(&self) {
        let mut line = self.line.lock();
        line.cut.signal();
        line.cut = self.stop.child();
    }

    /// Breaks every connection, and lets none come about until there is a target.
    pub fn lead_to(&self, target: Option<SocketAddr>) {
        self.line.lock().target = target;
        self.cut();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.signal();
    }
}

async fn listen(listener: TcpListener, line: Arc<Mutex<Line>>, stop: Shutdown) {
    let tasks = Tasks::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.signalled() => return,
        };
        let Ok((mut near, _)) = accepted else { continue };
        let (target, cut) = {
            let line = line.lock();
            (line.target, line.cut.clone())
        };
        let Some(target) = target else { continue };
        tasks.spawn("proxied", async move {
            let Ok(mut far) = TcpStream::connect(target).await else { return };
            tokio::select! {
                _ = copy_bidirectional(&mut near, &mut far) => {}
                () = cut.signalled() => {}
            }
        });
    }
}
