//! What becomes of the output: lines, progress, use of quotas, the result, the last words of stderr.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::event::{Line, Stream};
use super::lines::End;
use super::progress::{self, Reading, Said};
use super::queue::Queue;
use super::quota::{self, QuotaUse};
use super::result::Candidate;
use super::spec::Mode;
use super::text;
use crate::domain::limits::{
    PROCESS_LINE_BYTES_MAX, PROCESS_REDRAWN_EVERY, PROCESS_STDERR_BYTES_MAX,
    PROCESS_STDERR_LINES_MAX,
};
use crate::runtime::Clock;

/// Stands where a line that is too long was cut.
const CUT: &str = "…";

/// Takes the output of both streams. Cheap to clone.
#[derive(Clone)]
pub(super) struct Sink {
    queue: Queue,
    clock: Clock,
    mode: Mode,
    found: Arc<Mutex<Found>>,
}

/// What was found in the output.
#[derive(Default)]
pub(super) struct Found {
    result: Candidate,
    tail: VecDeque<String>,
    tail_bytes: usize,
    progress: Option<Reading>,
    quota_use: QuotaUse,
}

impl Found {
    /// The result of the command, or why there is none.
    pub(super) fn result(&mut self) -> Result<Option<Map<String, Value>>, String> {
        self.result.finish()
    }

    pub(super) fn tail(&mut self) -> Vec<String> {
        std::mem::take(&mut self.tail).into()
    }

    pub(super) fn progress(&mut self) -> Option<Reading> {
        self.progress.take()
    }

    pub(super) fn quota_use(&mut self) -> QuotaUse {
        std::mem::take(&mut self.quota_use)
    }

    fn remember(&mut self, text: &str) {
        self.tail_bytes += text.len();
        self.tail.push_back(text.to_owned());
        while self.tail.len() > PROCESS_STDERR_LINES_MAX
            || self.tail_bytes > PROCESS_STDERR_BYTES_MAX && self.tail.len() > 1
        {
            self.tail_bytes -= self.tail.pop_front().map_or(0, |line| line.len());
        }
    }
}

impl Sink {
    pub(super) fn new(queue: Queue, clock: Clock, mode: Mode) -> Self {
        Self { queue, clock, mode, found: Arc::default() }
    }

    pub(super) fn found(&self) -> parking_lot::MutexGuard<'_, Found> {
        self.found.lock()
    }

    /// Waits until there is room for lines. Safe to drop.
    pub(super) async fn room(&self) {
        self.queue.room().await;
    }

    /// Takes the bytes of stdout as they came.
    pub(super) fn stdout(&self, bytes: &[u8]) {
        self.found.lock().result.feed(bytes);
    }

    /// Tells of progress and of use of quotas, and gives the text if it is to be logged.
    fn unless_told(&self, text: String) -> Option<String> {
        if self.mode != Mode::Off
            && let Some(said) = quota::read(&text)
        {
            let mut found = self.found.lock();
            if !quota::add(&mut found.quota_use, &said) {
                return Some(text);
            }
            self.queue.quota_use(found.quota_use.clone());
            drop(found);
            // Of such a line nothing but progress that it says outright is left.
            if let Said::Progress(reading) = progress::read(&text, Mode::Json) {
                self.tell(reading);
            }
            return None;
        }
        let (reading, text) = match progress::read(&text, self.mode) {
            Said::Nothing => return Some(text),
            Said::Progress(reading) => (reading, None),
            Said::Both(reading) => (reading, Some(text)),
        };
        self.tell(reading);
        text
    }

    fn tell(&self, reading: Reading) {
        let mut found = self.found.lock();
        let reading = reading.after(found.progress.as_ref());
        found.progress = Some(reading.clone());
        drop(found);
        self.queue.progress(reading);
    }

    fn log(&self, stream: Stream, text: String) {
        if stream == Stream::Stderr {
            self.found.lock().remember(&text);
        }
        let level = text::level(&text);
        self.queue.line(Line { stream, time: self.clock.now(), level, text });
    }
}

/// Takes the pieces of one stream.
pub(super) struct Pieces {
    sink: Sink,
    stream: Stream,
    /// What was drawn last and is not in the log.
    drawn: Option<String>,
    drawn_logged: Option<Instant>,
    /// The line goes on from a piece before.
    cut: bool,
}

impl Pieces {
    pub(super) fn new(sink: Sink, stream: Stream) -> Self {
        Self { sink, stream, drawn: None, drawn_logged: None, cut: false }
    }

    /// Takes a piece of output.
    pub(super) fn take(&mut self, bytes: &[u8], end: End) {
        let text = text::plain(bytes);
        match end {
            End::Open => self.peek(text),
            End::Redraw => self.redraw(text),
            End::Line | End::Cut => self.line(text, end),
        }
    }

    /// The stream is at its end.
    pub(super) fn finish(&mut self) {
        self.log_drawn();
    }

    fn line(&mut self, text: String, end: End) {
        if text.is_empty() {
            // The end of a line that was drawn with CR.
            if self.drawn.is_some() {
                self.log_drawn();
                return;
            }
        }
        self.drawn = None;
        let goes_on = end == End::Cut;
        let was_cut = std::mem::replace(&mut self.cut, goes_on);
        if was_cut && !goes_on && text.is_empty() {
            return;
        }
        if was_cut || goes_on {
            self.log(&text, was_cut, goes_on);
        } else if let Some(text) = self.sink.unless_told(text) {
            self.log(&text, false, false);
        }
    }

    /// Logs a text; in pieces if replaced bytes made it too long.
    fn log(&self, mut text: &str, mut was_cut: bool, goes_on: bool) {
        loop {
            let room = text.floor_char_boundary(PROCESS_LINE_BYTES_MAX);
            let (piece, rest) = text.split_at(room);
            let begin = if was_cut { CUT } else { "" };
            let end = if goes_on || !rest.is_empty() { CUT } else { "" };
            self.sink.log(self.stream, format!("{begin}{piece}{end}"));
            if rest.is_empty() {
                return;
            }
            text = rest;
            was_cut = true;
        }
    }

    /// The line was drawn and will be drawn anew: of many such lines the last one counts.
    fn redraw(&mut self, text: String) {
        self.cut = false;
        // Beside a figure that changes, other words are no line of the log.
        let Said::Nothing = progress::read(&text, self.sink.mode) else {
            self.drawn = None;
            self.peek(text);
            return;
        };
        let now = Clock::monotonic();
        let due = self.drawn_logged.is_none_or(|at| now - at >= PROCESS_REDRAWN_EVERY);
        self.drawn = Some(text);
        if due {
            self.log_drawn();
            self.drawn_logged = Some(now);
        }
    }

    /// Progress in a line that is not at its end.
    fn peek(&mut self, text: String) {
        drop(self.sink.unless_told(text));
    }

    fn log_drawn(&mut self) {
        if let Some(text) = self.drawn.take().filter(|text| !text.is_empty()) {
            self.log(&text, false, false);
        }
    }
}
