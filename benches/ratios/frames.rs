//! Watchers that cost next to nothing: HTTP/2 frames are counted, not decoded. A client that does more would be what
//! is measured, on both sides alike.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, bail};
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEAD: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const INITIAL_WINDOW_SIZE: u8 = 4;
const WINDOW_MAX: u32 = (1 << 31) - 1;
const WINDOW_DEFAULT: u32 = 65_535;
/// Bytes read before the connection's window is opened again.
const WINDOW_STEP: u32 = 1 << 29;
const READ_BYTES: usize = 256 * 1024;

/// What is counted.
#[derive(Debug, Default)]
pub struct Seen {
    /// Messages.
    pub messages: AtomicU64,
    /// Streams that ended.
    pub ended: AtomicU64,
    /// The newest message of the first stream.
    pub last: Mutex<Bytes>,
}

impl Seen {
    /// Messages so far.
    pub fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    /// Fails if a stream ended.
    pub fn all_open(&self) -> Result<()> {
        match self.ended.load(Ordering::Relaxed) {
            0 => Ok(()),
            ended => bail!("{ended} watches ended early"),
        }
    }
}

/// Streams of one connection that are read, or never are.
pub struct Watchers {
    reading: Option<JoinHandle<()>>,
    _stalled: Option<TcpStream>,
}

impl Drop for Watchers {
    fn drop(&mut self) {
        if let Some(reading) = &self.reading {
            reading.abort();
        }
    }
}

impl Watchers {
    /// Opens so many streams with one request, and reads them.
    pub async fn open(
        address: SocketAddr,
        streams: usize,
        path: &str,
        request: &[u8],
        seen: Arc<Seen>,
    ) -> Result<Self> {
        let mut socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        socket.write_all(&opening(streams, path, request, true)).await?;
        let reading = tokio::spawn(async move {
            if let Err(error) = read(socket, &seen).await {
                seen.ended.fetch_add(1, Ordering::Relaxed);
                eprintln!("a connection of watchers broke: {error:#}");
            }
        });
        Ok(Self { reading: Some(reading), _stalled: None })
    }

    /// Opens so many streams and never reads a byte.
    pub async fn open_stalled(
        address: SocketAddr,
        streams: usize,
        path: &str,
        request: &[u8],
    ) -> Result<Self> {
        let mut socket = TcpStream::connect(address).await?;
        socket.write_all(&opening(streams, path, request, false)).await?;
        Ok(Self { reading: None, _stalled: Some(socket) })
    }
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    out.extend_from_slice(&length[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// The first bytes of a connection: settings, and a call on each stream.
fn opening(streams: usize, path: &str, request: &[u8], wide: bool) -> Vec<u8> {
    let mut out = PREFACE.to_vec();
    if wide {
        let mut settings = vec![0, INITIAL_WINDOW_SIZE];
        settings.extend_from_slice(&WINDOW_MAX.to_be_bytes());
        frame(&mut out, SETTINGS, 0, 0, &settings);
        frame(&mut out, WINDOW_UPDATE, 0, 0, &(WINDOW_MAX - WINDOW_DEFAULT).to_be_bytes());
    } else {
        frame(&mut out, SETTINGS, 0, 0, &[]);
    }
    let head = head(path);
    let mut message = vec![0];
    message.extend_from_slice(&u32::try_from(request.len()).unwrap_or(u32::MAX).to_be_bytes());
    message.extend_from_slice(request);
    for stream in (1..).step_by(2).take(streams) {
        frame(&mut out, HEADERS, END_HEADERS, stream, &head);
        frame(&mut out, DATA, END_STREAM, stream, &message);
    }
    out
}

/// The header block of a call: indexed fields and literals without indexing, no Huffman codes (RFC 7541).
fn head(path: &str) -> Vec<u8> {
    let mut head = vec![0x83, 0x86]; // :method POST, :scheme http
    let literal = |head: &mut Vec<u8>, text: &str| {
        head.push(u8::try_from(text.len()).unwrap_or(u8::MAX) & 0x7f);
        head.extend_from_slice(text.as_bytes());
    };
    head.push(0x04); // :path
    literal(&mut head, path);
    head.push(0x01); // :authority
    literal(&mut head, "localhost");
    head.extend_from_slice(&[0x0f, 0x10]); // content-type
    literal(&mut head, "application/grpc");
    head.push(0x00);
    literal(&mut head, "te");
    literal(&mut head, "trailers");
    head
}

/// Where a stream is in its messages.
#[derive(Clone, Default)]
struct Place {
    /// What is left of the message under way.
    left: usize,
    /// The part of its head that came.
    head: Vec<u8>,
}

impl Place {
    /// Takes a frame's payload; answers how many messages began in it.
    fn take(&mut self, mut payload: &[u8]) -> u64 {
        let mut began = 0;
        while !payload.is_empty() {
            if self.left > 0 {
                let taken = self.left.min(payload.len());
                self.left -= taken;
                payload = &payload[taken..];
                continue;
            }
            let wanted = 5 - self.head.len();
            let (part, rest) = payload.split_at(wanted.min(payload.len()));
            self.head.extend_from_slice(part);
            payload = rest;
            if let [_, a, b, c, d] = self.head[..] {
                self.left = u32::from_be_bytes([a, b, c, d]) as usize;
                self.head.clear();
                began += 1;
            }
        }
        began
    }
}

async fn read(mut socket: TcpStream, seen: &Seen) -> Result<()> {
    let mut buffer = BytesMut::with_capacity(READ_BYTES);
    let mut places: Vec<Place> = Vec::new();
    let mut consumed = 0;
    let mut answers = Vec::new();
    loop {
        buffer.reserve(READ_BYTES);
        if socket.read_buf(&mut buffer).await? == 0 {
            bail!("closed by the server");
        }
        let mut messages = 0;
        while buffer.len() >= FRAME_HEAD {
            let length = u32::from_be_bytes([0, buffer[0], buffer[1], buffer[2]]) as usize;
            if buffer.len() < FRAME_HEAD + length {
                break;
            }
            let mut whole = buffer.split_to(FRAME_HEAD + length);
            let payload = whole.split_off(FRAME_HEAD);
            let (kind, flags) = (whole[3], whole[4]);
            let stream = u32::from_be_bytes([whole[5], whole[6], whole[7], whole[8]]);
            match kind {
                DATA => {
                    let at = (stream / 2) as usize;
                    if places.len() <= at {
                        places.resize(at + 1, Place::default());
                    }
                    messages += places[at].take(&payload);
                    consumed += u32::try_from(length).unwrap_or(u32::MAX);
                    if stream == 1 && payload.len() > 5 {
                        *seen.last.lock() = payload.freeze().slice(5..);
                    }
                }
                SETTINGS if flags & ACK == 0 => frame(&mut answers, SETTINGS, ACK, 0, &[]),
                PING if flags & ACK == 0 => frame(&mut answers, PING, ACK, 0, &payload),
                GOAWAY => bail!("sent away by the server"),
                RST_STREAM => _ = seen.ended.fetch_add(1, Ordering::Relaxed),
                HEADERS if flags & END_STREAM != 0 => {
                    seen.ended.fetch_add(1, Ordering::Relaxed);
                }
                _ => {}
            }
        }
        seen.messages.fetch_add(messages, Ordering::Relaxed);
        if consumed >= WINDOW_STEP {
            frame(&mut answers, WINDOW_UPDATE, 0, 0, &consumed.to_be_bytes());
            consumed = 0;
        }
        if !answers.is_empty() {
            socket.write_all(&answers).await.context("cannot answer")?;
            answers.clear();
        }
    }
}
