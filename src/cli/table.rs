//! Rows under a header: plain text, two spaces between columns.

use super::exit::Failure;
use super::format;
use super::output::Out;
use super::paint::{Paint, painted};

#[cfg(test)]
mod tests;

/// One cell. Its text is made safe for a terminal; nothing is shown as `-`.
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    paint: Option<Paint>,
}

impl Cell {
    /// The same text in a colour.
    #[must_use]
    pub fn painted(mut self, paint: Option<Paint>) -> Self {
        self.paint = paint;
        self
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        let text = match text.as_ref() {
            "" => format::NOTHING.to_owned(),
            text => format::plain(text),
        };
        Self { text, paint: None }
    }
}

/// A table written piece by piece: its columns grow with what comes and never shrink.
pub struct Table {
    titles: Vec<&'static str>,
    right: Vec<bool>,
    widths: Vec<usize>,
    begun: bool,
}

impl Table {
    /// A table with these columns; a title that begins with `>` stands for figures, aligned to the right.
    #[must_use]
    pub fn new(titles: &[&'static str]) -> Self {
        let right = titles.iter().map(|title| title.starts_with('>')).collect();
        let titles: Vec<_> = titles.iter().map(|title| title.trim_start_matches('>')).collect();
        let widths = titles.iter().map(|title| title.chars().count()).collect();
        Self { titles, right, widths, begun: false }
    }

    /// Writes rows; before the first ones the header.
    pub fn write(&mut self, rows: &[Vec<Cell>], out: &mut Out) -> Result<(), Failure> {
        for row in rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.chars().count());
            }
        }
        if !std::mem::replace(&mut self.begun, true) {
            let header: Vec<Cell> = self.titles.iter().map(Cell::from).collect();
            let header = self.row(&header, false);
            out.line(&header)?;
        }
        rows.iter().try_for_each(|row| out.line(&self.row(row, out.colour())))
    }

    fn row(&self, cells: &[Cell], colour: bool) -> String {
        let mut line = String::new();
        for (at, cell) in cells.iter().enumerate() {
            let width = self.widths.get(at).copied().unwrap_or_default();
            let space = " ".repeat(width.saturating_sub(cell.text.chars().count()));
            let text = painted(&cell.text, cell.paint, colour);
            let last = at + 1 == cells.len();
            let (before, after) = if self.right.get(at).copied().unwrap_or_default() {
                (space.as_str(), "")
            } else {
                ("", if last { "" } else { space.as_str() })
            };
            line.push_str(before);
            line.push_str(&text);
            line.push_str(after);
            if !last {
                line.push_str("  ");
            }
        }
        line
    }
}
