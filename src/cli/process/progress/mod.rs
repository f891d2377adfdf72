//! Progress found in lines of output: JSON lines, and what progress bars and counters usually look like.
//!
//! Owns: [`read`], a pure function from a line to a [`Reading`].
//! Does not own: lines ([`super::lines`]), and what is done with a reading.
//! Invariants: a reading fits the protocol (counts not negative, completed ≤ total, percent 0 to 100 and never beside a
//! total); any text is taken, and what is not surely progress is none: a wrong figure is worse than none.

mod auto;
mod bar;
mod json;
mod token;

#[cfg(test)]
mod tests;

use super::spec::Mode;
use crate::domain::limits::{
    PROGRESS_MESSAGE_BYTES_MAX, PROGRESS_NAME_BYTES_MAX, PROGRESS_UNIT_BYTES_MAX,
};

/// How far a process says it is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reading {
    /// Items done.
    pub completed: Option<i64>,
    /// Items in all; at least `completed`.
    pub total: Option<i64>,
    /// How much is done, 0 to 100; only without a total.
    pub percent: Option<f64>,
    /// Items that went well.
    pub succeeded: Option<i64>,
    /// Items that went wrong.
    pub failed: Option<i64>,
    /// What is counted; empty if not said.
    pub unit: String,
    /// The name of the step; empty if not said.
    pub step: String,
    /// The number of the step, from 1; 0 if not said.
    pub step_number: i32,
    /// Steps in all; 0 if not said.
    pub step_count: i32,
    /// What happens now; empty if not said.
    pub message: String,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// Nothing about progress.
    Nothing,
    /// Progress and nothing else: it need not stand in the log.
    Progress(Reading),
    /// Progress beside other words, as `[450/1000] Building foo.o`: it belongs into the log too.
    Both(Reading),
}

/// What `line`, without its end and without escape sequences, says.
#[must_use]
pub fn read(line: &str, mode: Mode) -> Said {
    match mode {
        Mode::Off => Said::Nothing,
        Mode::Json => json::read(line).map_or(Said::Nothing, Said::Progress),
        Mode::Auto => json::read(line).map_or_else(|| auto::read(line), Said::Progress),
    }
}

impl Reading {
    /// Cut to what the protocol takes.
    fn fitted(mut self) -> Self {
        cut(&mut self.unit, PROGRESS_UNIT_BYTES_MAX);
        cut(&mut self.step, PROGRESS_NAME_BYTES_MAX);
        cut(&mut self.message, PROGRESS_MESSAGE_BYTES_MAX);
        self
    }

    /// With the figures of the reading before it, if it only names a step.
    #[must_use]
    pub fn after(mut self, before: Option<&Self>) -> Self {
        let is_bare = self.completed.is_none() && self.total.is_none() && self.percent.is_none();
        if let Some(before) = before.filter(|_| is_bare) {
            (self.completed, self.total) = (before.completed, before.total);
            self.percent = before.percent;
            self.unit.clone_from(&before.unit);
        }
        self
    }
}

fn cut(text: &mut String, bytes: usize) {
    text.truncate(text.floor_char_boundary(bytes));
}
