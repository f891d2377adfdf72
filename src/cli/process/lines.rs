//! Bytes cut into lines, the way a terminal would show them.
//!
//! A line ends with LF or CR LF. CR alone means that the line is drawn anew. A line that is too long comes in pieces,
//! cut between characters. Pure.

use crate::domain::limits::PROCESS_LINE_BYTES_MAX;

#[cfg(test)]
mod tests;

/// How a piece of output ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// With the end of the line.
    Line,
    /// It is drawn anew.
    Redraw,
    /// It goes on: the line is too long.
    Cut,
    /// Not yet; it may go on.
    Open,
}

/// Cuts bytes into lines.
#[derive(Default)]
pub(super) struct Splitter {
    line: Vec<u8>,
    /// The line began after a CR.
    redrawn: bool,
    /// A CR came last: LF makes it the end of a line.
    returned: bool,
}

impl Splitter {
    /// Takes bytes and gives each piece that ended in them to `piece`.
    pub(super) fn feed(&mut self, mut bytes: &[u8], mut piece: impl FnMut(&[u8], End)) {
        while let Some(&byte) = bytes.first() {
            match byte {
                b'\n' => {
                    piece(&self.line, End::Line);
                    self.line.clear();
                    (self.redrawn, self.returned) = (false, false);
                    bytes = &bytes[1..];
                }
                b'\r' => {
                    self.returned = true;
                    bytes = &bytes[1..];
                }
                _ => {
                    self.redraw(&mut piece);
                    let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
                    let (text, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
                    self.extend(text, &mut piece);
                    bytes = rest;
                }
            }
        }
    }

    /// What was drawn since the last CR: the figure of a bar that puts its CR first. Nothing of a line that began
    /// otherwise, which may still be on its way.
    pub(super) fn drawn(&self) -> Option<&[u8]> {
        ((self.redrawn || self.returned) && !self.line.is_empty()).then_some(&self.line)
    }

    /// The last line, which has no end.
    pub(super) fn finish(&mut self, mut piece: impl FnMut(&[u8], End)) {
        if !self.line.is_empty() {
            piece(&self.line, End::Line);
            self.line.clear();
        }
    }

    /// The line is drawn anew, if a CR came last.
    fn redraw(&mut self, piece: &mut impl FnMut(&[u8], End)) {
        if std::mem::take(&mut self.returned) {
            if !self.line.is_empty() {
                piece(&self.line, End::Redraw);
                self.line.clear();
            }
            self.redrawn = true;
        }
    }

    fn extend(&mut self, mut text: &[u8], piece: &mut impl FnMut(&[u8], End)) {
        while self.line.len() + text.len() > PROCESS_LINE_BYTES_MAX {
            let room = PROCESS_LINE_BYTES_MAX - self.line.len();
            self.line.extend_from_slice(&text[..room]);
            text = &text[room..];
            let cut = boundary(&self.line);
            piece(&self.line[..cut], End::Cut);
            self.line.drain(..cut);
        }
        self.line.extend_from_slice(text);
    }
}

/// Where to cut so that no character of UTF-8 is cut in two.
fn boundary(bytes: &[u8]) -> usize {
    // A character has at most four bytes: look for the beginning of the last one.
    let from = bytes.len().saturating_sub(3);
    let last = bytes[from..].iter().rposition(|byte| byte & 0b1100_0000 == 0b1100_0000);
    match last.map(|at| from + at) {
        Some(at) if at > 0 && bytes.len() - at < width(bytes[at]) => at,
        _ => bytes.len(),
    }
}

/// Bytes of a character that begins with this byte.
fn width(first: u8) -> usize {
    match first {
        0xf0.. => 4,
        0xe0.. => 3,
        _ => 2,
    }
}
