//! The result of a command: the last line of its stdout that is a JSON object, and neither progress nor use of quotas.

use serde_json::{Map, Value};

use super::spec::Mode;
use super::{progress, quota};
use crate::domain::limits::PROCESS_RESULT_BYTES_MAX;

#[cfg(test)]
mod tests;

/// Looks at a stream for lines that are JSON objects, however long a log line may be.
#[derive(Default)]
pub(super) struct Candidate {
    line: Line,
    last: Option<Vec<u8>>,
    too_long: bool,
}

/// The line that is being read.
#[derive(Default)]
enum Line {
    /// Nothing of it but blanks.
    #[default]
    Blank,
    /// It begins as an object does.
    Object(Vec<u8>),
    /// It is none, or too long.
    Other,
}

impl Candidate {
    /// Takes bytes of the stream.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.extend(part);
            if part.ends_with(b"\n") {
                self.end();
            }
        }
    }

    /// The result, at the end of the stream, or why there is none.
    pub(super) fn finish(&mut self) -> Result<Option<Map<String, Value>>, String> {
        self.end();
        if self.too_long {
            return Err(format!(
                "the last line of JSON has more than {PROCESS_RESULT_BYTES_MAX} bytes"
            ));
        }
        let Some(last) = self.last.take() else { return Ok(None) };
        serde_json::from_slice(&last).map(Some).map_err(|error| error.to_string())
    }

    fn extend(&mut self, part: &[u8]) {
        match &mut self.line {
            Line::Other => {}
            Line::Blank => match part.trim_ascii_start() {
                [] => {}
                [b'{', ..] => self.line = Line::Object(part.trim_ascii_start().to_vec()),
                _ => self.line = Line::Other,
            },
            Line::Object(line) => line.extend_from_slice(part),
        }
        if matches!(&self.line, Line::Object(line) if line.len() > PROCESS_RESULT_BYTES_MAX) {
            self.line = Line::Other;
            self.too_long = true;
        }
    }

    fn end(&mut self) {
        let Line::Object(line) = std::mem::take(&mut self.line) else { return };
        let Ok(text) = std::str::from_utf8(&line) else { return };
        let is_object = serde_json::from_str::<Map<String, Value>>(text).is_ok();
        let is_told = quota::read(text).is_some()
            || progress::read(text.trim(), Mode::Json) != progress::Said::Nothing;
        if is_object && !is_told {
            self.last = Some(line);
            self.too_long = false;
        }
    }
}
