//! Lines that stay, and below them rows that are drawn anew in their place. Without a terminal only the lines.

use crate::cli::exit::Failure;
use crate::cli::format::fit_painted;
use crate::cli::output::Out;

/// Begins a frame: the terminal shows it when it is whole; no line wraps.
const BEGIN: &str = "\x1b[?2026h\x1b[?25l\x1b[?7l\r";
/// Ends it.
const END: &str = "\x1b[?7h\x1b[?2026l";
/// No line wraps, not even one that was fitted to a window that is smaller by now.
const NO_WRAP: &str = "\x1b[?7l";
/// As usual.
const WRAP: &str = "\x1b[?7h";
/// Nothing from here on.
const CLEAR_BELOW: &str = "\x1b[J";
/// Nothing to the end of the line.
const CLEAR_RIGHT: &str = "\x1b[K";
/// The cursor can be seen.
const SHOW_CURSOR: &str = "\x1b[?25h";

/// The part of the terminal below what was written so far.
pub struct Inline<'a> {
    out: &'a mut Out,
    /// Lines the cursor is below the first row.
    below: usize,
    drawn: bool,
}

impl<'a> Inline<'a> {
    /// Nothing is drawn yet.
    #[must_use]
    pub fn new(out: &'a mut Out) -> Self {
        Self { out, below: 0, drawn: false }
    }

    /// Whether rows are drawn at all.
    #[must_use]
    pub fn moves(&self) -> bool {
        self.out.terminal()
    }

    /// Whether colour is welcome.
    #[must_use]
    pub fn colour(&self) -> bool {
        self.out.colour()
    }

    /// Writes lines that stay, in place of the rows, which are to be drawn again.
    ///
    /// # Errors
    ///
    /// They cannot be written.
    pub fn print(&mut self, lines: &[String]) -> Result<(), Failure> {
        self.clear()?;
        for line in lines {
            if self.moves() {
                // What does not fit is cut off: the summary has it whole.
                self.out.line(&format!("{NO_WRAP}{}{WRAP}", self.fit(line)))?;
            } else {
                self.out.line(line)?;
            }
        }
        self.out.flush()
    }

    /// Draws the rows in place of those before.
    ///
    /// # Errors
    ///
    /// They cannot be written.
    pub fn draw(&mut self, rows: &[String]) -> Result<(), Failure> {
        if !self.moves() || rows.is_empty() {
            return Ok(());
        }
        let up = self.up();
        let rows: Vec<String> = rows.iter().map(|row| self.fit(row)).collect();
        let text = rows.join(&format!("{CLEAR_RIGHT}\r\n"));
        self.out.raw(&format!("{BEGIN}{up}{text}{CLEAR_RIGHT}{CLEAR_BELOW}{END}"))?;
        (self.below, self.drawn) = (rows.len() - 1, true);
        Ok(())
    }

    /// Takes the rows away.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn clear(&mut self) -> Result<(), Failure> {
        if std::mem::take(&mut self.drawn) {
            let up = self.up();
            self.below = 0;
            return self.out.raw(&format!("\r{up}{CLEAR_BELOW}{SHOW_CURSOR}"));
        }
        Ok(())
    }

    fn fit(&self, line: &str) -> String {
        self.out.room().map_or_else(|| line.to_owned(), |room| fit_painted(line, room))
    }

    fn up(&self) -> String {
        if self.below == 0 { String::new() } else { format!("\x1b[{}A", self.below) }
    }
}

impl Drop for Inline<'_> {
    fn drop(&mut self) {
        // Nobody is left to tell if it cannot be written.
        drop(self.clear());
    }
}
