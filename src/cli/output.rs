//! Where a command's answer goes: stdout for the answer, stderr for notes beside it.
//!
//! A reader that leaves early (`jobplane list | head`) ends the command quietly: the write fails with
//! [`Failure::Closed`], which is no failure. Colour and cursor moves only when stdout is a terminal.

use std::io::{self, BufWriter, IsTerminal as _, Write};

use clap::ValueEnum;
use serde_json::Value;

use super::exit::Failure;
use super::format::fit_painted;
use super::json::{self, Described};

#[cfg(test)]
pub(super) mod tests;

/// What `--output` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Choice {
    /// For people.
    #[default]
    Table,
    /// For people, with all columns and whole texts, however wide that is.
    Wide,
    /// The whole answer in the proto JSON mapping, on many lines.
    Json,
    /// One item or event a line, in the proto JSON mapping.
    Jsonl,
}

/// How answers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Table,
    /// One document.
    Json,
    /// One item or event a line.
    Jsonl,
}

impl From<Choice> for Format {
    fn from(choice: Choice) -> Self {
        match choice {
            Choice::Table | Choice::Wide => Self::Table,
            Choice::Json => Self::Json,
            Choice::Jsonl => Self::Jsonl,
        }
    }
}

/// The output of one command.
pub struct Out {
    choice: Choice,
    terminal: bool,
    colour: bool,
    drawn: bool,
    sink: Box<dyn Write>,
    notes: Notes,
}

/// Where notes go, if not to stderr.
type Notes = Option<Box<dyn FnMut(&str)>>;

impl Out {
    /// Writes to stdout.
    #[must_use]
    pub fn stdout(choice: Choice) -> Self {
        let terminal = io::stdout().is_terminal()
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let sink = Box::new(BufWriter::new(io::stdout()));
        Self { choice, terminal, colour, drawn: false, sink, notes: None }
    }

    /// Writes nothing, and hands the notes to somebody: for those who draw the screen themselves.
    #[must_use]
    pub fn notes_to(notes: Box<dyn FnMut(&str)>) -> Self {
        let sink = Box::new(io::sink());
        let (choice, notes) = (Choice::Table, Some(notes));
        Self { choice, terminal: false, colour: false, drawn: false, sink, notes }
    }

    /// Whether all columns are wanted.
    #[must_use]
    pub fn wide(&self) -> bool {
        self.choice == Choice::Wide
    }

    /// How many columns a line may have; `None` if it may have as many as it likes.
    #[must_use]
    pub fn room(&self) -> Option<usize> {
        let fits = self.terminal() && !self.wide();
        fits.then(|| usize::from(size().0))
    }

    /// How answers are written.
    #[must_use]
    pub fn format(&self) -> Format {
        self.choice.into()
    }

    /// Whether people watch: lines may be redrawn.
    #[must_use]
    pub fn terminal(&self) -> bool {
        self.terminal && self.format() == Format::Table
    }

    /// Whether colour is welcome.
    #[must_use]
    pub fn colour(&self) -> bool {
        self.colour && self.format() == Format::Table
    }

    /// Writes one line.
    pub fn line(&mut self, line: &str) -> Result<(), Failure> {
        self.undraw()?;
        written(writeln!(self.sink, "{line}"))
    }

    /// Writes lines.
    pub fn lines<I: IntoIterator<Item = String>>(&mut self, lines: I) -> Result<(), Failure> {
        lines.into_iter().try_for_each(|line| self.line(&line))
    }

    /// Writes a message: on many lines as `json`, on one as `jsonl`.
    pub fn message<M: Described>(&mut self, message: &M) -> Result<(), Failure> {
        self.value(&json::value(message)?)
    }

    /// Writes a value: on many lines as `json`, on one as `jsonl`.
    pub fn value(&mut self, value: &Value) -> Result<(), Failure> {
        let text = match self.format() {
            Format::Jsonl => value.to_string(),
            Format::Table | Format::Json => format!("{value:#}"),
        };
        self.line(&text)
    }

    /// Replaces the line drawn before; on a terminal only, where what does not fit is cut off.
    pub fn draw(&mut self, line: &str) -> Result<(), Failure> {
        self.drawn = true;
        let line = self.room().map_or_else(|| line.to_owned(), |room| fit_painted(line, room));
        // Wrapping is off for this line alone, so that an interrupted command leaves the terminal as it was.
        written(write!(self.sink, "\r\x1b[?7l{line}\x1b[K\x1b[?7h"))?;
        self.flush()
    }

    /// Writes as it is, for a [`super::screen::Screen`], and hands it over.
    pub fn raw(&mut self, text: &str) -> Result<(), Failure> {
        written(self.sink.write_all(text.as_bytes()))?;
        self.flush()
    }

    /// Clears the line drawn before, if any.
    fn undraw(&mut self) -> Result<(), Failure> {
        if std::mem::take(&mut self.drawn) {
            written(write!(self.sink, "\r\x1b[K"))?;
        }
        Ok(())
    }

    /// Says something beside the answer, on stderr, also where the answer cannot be written.
    pub fn note(&mut self, note: &str) -> Result<(), Failure> {
        let written = self.undraw().and_then(|()| self.flush());
        match &mut self.notes {
            Some(notes) => notes(note),
            None => warn(note),
        }
        written
    }

    /// Hands everything written so far to the reader.
    pub fn flush(&mut self) -> Result<(), Failure> {
        written(self.sink.flush())
    }
}

/// Columns and lines of the terminal; what is usual if it does not say.
#[must_use]
pub fn size() -> (u16, u16) {
    match crossterm::terminal::size() {
        Ok((columns, lines)) if columns > 0 && lines > 0 => (columns, lines),
        _ => (80, 24),
    }
}

fn written(result: io::Result<()>) -> Result<(), Failure> {
    result.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::Closed,
        _ => Failure::Output(error),
    })
}

/// Writes a line to stderr; if nobody listens there, there is nobody to tell.
pub fn warn(line: &str) {
    drop(writeln!(io::stderr(), "{line}"));
}
