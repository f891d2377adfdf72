//! Reads what a command writes: passes it on as it comes, and cuts it into lines.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::process::Child;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::event::Stream;
use super::lines::{End, Splitter};
use super::sink::{Pieces, Sink};
use crate::runtime::Tasks;

/// As much as a pipe holds on Linux.
const CHUNK_BYTES: usize = 64 * 1024;
/// So much is cut into lines at a time: if all of them are empty, they weigh far more in the queue.
const PART_BYTES: usize = 4 * 1024;
/// A line that was drawn and is not at its end is looked at after this much silence.
const SILENCE: Duration = Duration::from_millis(150);

/// Starts to read both streams; the tasks end with them.
pub(super) fn start(
    child: &mut Child,
    echo: bool,
    sink: &Sink,
    tasks: &Tasks,
) -> Vec<JoinHandle<()>> {
    let mut readers = Vec::new();
    if let Some(pipe) = child.stdout.take() {
        let to = echo.then(tokio::io::stdout);
        readers.push(tasks.spawn("process stdout", read(pipe, to, Stream::Stdout, sink.clone())));
    }
    if let Some(pipe) = child.stderr.take() {
        let to = echo.then(tokio::io::stderr);
        readers.push(tasks.spawn("process stderr", read(pipe, to, Stream::Stderr, sink.clone())));
    }
    readers
}

async fn read<R, W>(mut pipe: R, mut echo: Option<W>, stream: Stream, sink: Sink)
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut splitter = Splitter::default();
    let mut pieces = Pieces::new(sink.clone(), stream);
    loop {
        let read = pipe.read(&mut chunk);
        let read = if splitter.drawn().is_some() {
            if let Ok(read) = timeout(SILENCE, read).await {
                read
            } else {
                if let Some(drawn) = splitter.drawn() {
                    pieces.take(drawn, End::Open);
                }
                pipe.read(&mut chunk).await
            }
        } else {
            read.await
        };
        // A pipe that breaks is at its end.
        let Ok(count @ 1..) = read else { break };
        let bytes = &chunk[..count];
        if let Some(to) = &mut echo {
            let passed = async {
                to.write_all(bytes).await?;
                to.flush().await
            };
            if passed.await.is_err() {
                // Nobody reads us any more; the command's work is not in vain for that.
                echo = None;
            }
        }
        if stream == Stream::Stdout {
            sink.stdout(bytes);
        }
        for part in bytes.chunks(PART_BYTES) {
            splitter.feed(part, |piece, end| pieces.take(piece, end));
            sink.room().await;
        }
    }
    splitter.finish(|piece, end| pieces.take(piece, end));
    pieces.finish();
}
