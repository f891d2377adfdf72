//! The listener with peers that do not behave, and a server behind it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::transport::Server;

use super::*;

/// What is promised within seconds, on a machine that does much else.
const SOON: Duration = Duration::from_secs(20);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A listener with the transport's server behind it, which has no routes.
struct Host {
    address: SocketAddr,
    metrics: Metrics,
    shutdown: Shutdown,
    cut: Shutdown,
    tasks: Tasks,
}

impl Host {
    fn start(bounds: &Connections, handshake: Option<Arc<dyn Handshake>>) -> Self {
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).expect("a free port");
        let listener = match handshake {
            Some(handshake) => listener.with_handshake(handshake),
            None => listener,
        };
        let address = listener.address().expect("bound");
        let (shutdown, cut) = (Shutdown::new(), Shutdown::new());
        let (tasks, metrics) = (Tasks::new(), Metrics::new());
        let incoming = listener.start(bounds, metrics.clone(), &tasks, &shutdown, &cut);
        let signalled = shutdown.clone();
        tasks.spawn("server", async move {
            let routes = tonic::service::Routes::default();
            let server = Server::builder().accept_http1(true).add_routes(routes);
            let signal = async move { signalled.signalled().await };
            server.serve_with_incoming_shutdown(incoming, signal).await.expect("it serves");
        });
        Self { address, metrics, shutdown, cut, tasks }
    }

    async fn connect(&self, words: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.expect("it listens");
        stream.write_all(words).await.expect("sent");
        stream
    }

    /// Whether its figures contain a line.
    fn counted(&self, line: &str) -> bool {
        self.metrics.encode().lines().any(|counted| counted == line)
    }

    async fn counts(&self, line: &str) {
        let counted = async {
            while !self.counted(line) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(SOON, counted).await.unwrap_or_else(|_| {
            panic!("{line} is not among these:\n{}", self.metrics.encode());
        });
    }

    async fn stop(self) {
        self.shutdown.signal();
        self.cut.signal();
        tokio::time::timeout(SOON, self.tasks.ended()).await.expect("it ends");
        assert!(self.counted("jobplane_connections 0"), "connections are left");
    }
}

fn bounds(within: Duration) -> Connections {
    Connections { head_within: within, handshake_within: within, ..Connections::default() }
}

/// A bound that no test reaches.
const NEVER: Duration = Duration::from_secs(3600);
/// A bound that is reached soon.
const AT_ONCE: Duration = Duration::from_millis(50);

/// Reads to the end; a reset is an end too.
async fn last_words(mut stream: TcpStream) -> Vec<u8> {
    let mut words = Vec::new();
    let read = stream.read_to_end(&mut words);
    let _ = tokio::time::timeout(SOON, read).await.expect("the connection ends");
    words
}

#[tokio::test]
async fn peers_that_do_not_get_to_the_point_are_left() {
    let host = Host::start(&bounds(AT_ONCE), None);
    let silent = host.connect(b"").await;
    let part = host.connect(&PREFACE[..23]).await;
    let head = host.connect(b"GET / HTTP/1.1\r\nhost: x\r\n").await;
    for stream in [silent, part, head] {
        assert_eq!(last_words(stream).await, b"", "nothing was said to it");
    }
    host.counts("jobplane_connections_failed_total{reason=\"head_timeout\"} 3").await;
    host.counts("jobplane_connections 0").await;
    host.stop().await;
}

#[tokio::test]
async fn a_head_that_drips_is_no_reason_to_wait_longer() {
    let host = Host::start(&bounds(AT_ONCE), None);
    let mut stream = host.connect(b"GET / HTTP/1.1\r\n").await;
    let dripping = async {
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, dripping).await.expect("the connection ends");
    host.counts("jobplane_connections_failed_total{reason=\"head_timeout\"} 1").await;
    host.stop().await;
}

#[tokio::test]
async fn what_was_read_first_reaches_the_server() {
    let host = Host::start(&bounds(NEVER), None);
    let mut http2 = host.connect(PREFACE).await;
    let mut frame = [0; 9];
    tokio::time::timeout(SOON, http2.read_exact(&mut frame))
        .await
        .expect("settings")
        .expect("read");
    assert_eq!(frame[3], 4, "the server sends its settings first");
    let mut http1 = host.connect(b"GET /none HTTP/1.1\r\nhost: x\r\n").await;
    http1.write_all(b"connection: close\r\n\r\n").await.expect("sent");
    assert!(last_words(http1).await.starts_with(b"HTTP/1.1 "));
    let garbage = host.connect(b"\x16\x03\x01\x02\0").await;
    assert!(last_words(garbage).await.starts_with(b"HTTP/1.1 400"));
    host.counts("jobplane_connections_accepted_total 3").await;
    host.counts("jobplane_connections 1").await;
    host.stop().await;
}

#[tokio::test]
async fn connections_beyond_the_bound_are_closed_and_counted() {
    let host = Host::start(&Connections { peer_max: 2, ..bounds(NEVER) }, None);
    let first = host.connect(b"").await;
    let _second = host.connect(b"").await;
    host.counts("jobplane_connections 2").await;
    assert_eq!(last_words(host.connect(PREFACE).await).await, b"");
    host.counts("jobplane_connections_refused_total{reason=\"peer_limit\"} 1").await;
    let probe = host.connect(b"GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n").await;
    assert!(last_words(probe).await.starts_with(b"HTTP/1.1 "), "a probe is answered");
    host.counts("jobplane_connections 2").await;
    drop(first);
    host.counts("jobplane_connections 1").await;
    let _third = host.connect(b"").await;
    host.counts("jobplane_connections_accepted_total 4").await;
    host.stop().await;
}

#[tokio::test]
async fn a_stop_leaves_those_who_asked_for_nothing_and_a_cut_leaves_nobody() {
    let host = Host::start(&bounds(NEVER), None);
    let silent = host.connect(b"").await;
    // Headers without their end: it never asks, and is never done.
    let headers = [PREFACE, b"\0\0\x01\x01\0\0\0\0\x01\x82"].concat();
    let mut in_headers = host.connect(&headers).await;
    let _first_of_settings = in_headers.read_u8().await.expect("the server speaks");
    host.counts("jobplane_connections 2").await;
    host.shutdown.signal();
    assert_eq!(last_words(silent).await, b"");
    host.counts("jobplane_connections 1").await;
    assert!(TcpStream::connect(host.address).await.is_err(), "it still listens");
    host.cut.signal();
    let goodbye = last_words(in_headers).await;
    assert!(!goodbye.is_empty(), "it was told of the stop");
    host.stop().await;
}

/// A handshake that takes one byte: `y` is well, `n` is not, and without it there is none.
struct OneByte;

#[async_trait]
impl Handshake for OneByte {
    async fn shake(&self, mut stream: TcpStream) -> io::Result<Box<dyn Wire>> {
        match stream.read_u8().await? {
            b'y' => Ok(Box::new(stream)),
            _ => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }
}

#[tokio::test]
async fn a_handshake_comes_first() {
    let host = Host::start(&bounds(NEVER), Some(Arc::new(OneByte)));
    let well = host.connect(b"yGET /none HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(last_words(well).await.starts_with(b"HTTP/1.1 "));
    assert_eq!(last_words(host.connect(b"n").await).await, b"");
    host.counts("jobplane_connections_failed_total{reason=\"handshake\"} 1").await;
    host.stop().await;
    let host = Host::start(&bounds(AT_ONCE), Some(Arc::new(OneByte)));
    assert_eq!(last_words(host.connect(b"").await).await, b"");
    host.counts("jobplane_connections_failed_total{reason=\"handshake_timeout\"} 1").await;
    host.stop().await;
}

#[tokio::test]
async fn handshakes_wait_for_their_turn() {
    let host = Host::start(&bounds(NEVER), Some(Arc::new(OneByte)));
    let mut silent = Vec::new();
    for _ in 0..HANDSHAKES_MAX {
        silent.push(host.connect(b"").await);
    }
    host.counts(&format!("jobplane_connections {HANDSHAKES_MAX}")).await;
    let mut next = host.connect(b"yGET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    host.counts(&format!("jobplane_connections {}", HANDSHAKES_MAX + 1)).await;
    let mut byte = [0];
    let early = tokio::time::timeout(AT_ONCE, next.read(&mut byte)).await;
    assert!(early.is_err(), "it had its turn before the others");
    silent.pop();
    assert!(last_words(next).await.starts_with(b"HTTP/1.1 "));
    host.stop().await;
}

#[tokio::test]
async fn a_peer_that_takes_nothing_is_left() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let _peer = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("ok");
    let (stream, peer) = listener.accept().await.expect("accepted");
    let gate = Gate::new(&Connections::default(), Metrics::new());
    let place = gate.enter(peer.ip()).expect("room");
    let cut = Shutdown::new();
    let way = link::Way::Plain(stream);
    let mut link = Link::new(way, bytes::Bytes::new(), (None, peer), &cut, place);
    let block = vec![0; 1 << 20];
    // Paused, so that the clock jumps once nothing else is left to do: the peer reads nothing.
    tokio::time::pause();
    let stalled = loop {
        if let Err(error) = link.write_all(&block).await {
            break error;
        }
    };
    assert_eq!(stalled.kind(), io::ErrorKind::TimedOut);
}
