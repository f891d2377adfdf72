//! Rows under a header: plain text, two spaces between columns, as wide as the terminal at most.
//!
//! A table that is too wide gives up its columns of little weight and shortens the one for free text; what is no
//! terminal gets everything.

use super::exit::Failure;
use super::format;
use super::output::Out;
use super::paint::{Paint, painted};

#[cfg(test)]
mod tests;

/// Space between two columns.
const GAP: usize = 2;
/// A column of free text is not made narrower than this before others are given up for it.
const FLEXIBLE_MIN: usize = 12;

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

    /// A cell that is empty where there is nothing, without a dash.
    #[must_use]
    pub fn blank(text: &str) -> Self {
        Self { text: format::plain(text), paint: None }
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

struct Column {
    title: &'static str,
    right: bool,
    flexible: bool,
    /// The widest cell so far.
    natural: usize,
    /// How wide it is shown; `None` if it is given up.
    shown: Option<usize>,
}

/// A table written piece by piece: its columns grow with what comes and never shrink.
pub struct Table {
    columns: Vec<Column>,
    /// The columns to give up, the first one first.
    spare: &'static [&'static str],
    begun: bool,
}

impl Table {
    /// A table with these columns. A title that begins with `>` stands for figures, aligned to the right; one that
    /// begins with `~` for free text, which may be shortened.
    #[must_use]
    pub fn new(titles: &[&'static str]) -> Self {
        let column = |title: &&'static str| {
            let name = title.trim_start_matches(['>', '~']);
            Column {
                title: name,
                right: title.starts_with('>'),
                flexible: title.starts_with('~'),
                natural: format::width(name),
                shown: None,
            }
        };
        Self { columns: titles.iter().map(column).collect(), spare: &[], begun: false }
    }

    /// Names the columns that are given up, one after the other, where there is no room for all.
    #[must_use]
    pub fn spare(mut self, spare: &'static [&'static str]) -> Self {
        self.spare = spare;
        self
    }

    /// Writes rows; before the first ones the header.
    pub fn write(&mut self, rows: &[Vec<Cell>], out: &mut Out) -> Result<(), Failure> {
        self.measure(rows);
        if std::mem::replace(&mut self.begun, true) {
            self.widen();
        } else {
            self.arrange(out.room());
            out.line(&self.header())?;
        }
        rows.iter().try_for_each(|row| out.line(&self.row(row, out.colour())))
    }

    /// The whole table for a screen of this width, header first.
    #[must_use]
    pub fn frame(&mut self, rows: &[Vec<Cell>], room: usize, colour: bool) -> Vec<String> {
        self.measure(rows);
        self.arrange(Some(room));
        let rows = rows.iter().map(|row| self.row(row, colour));
        std::iter::once(self.header()).chain(rows).collect()
    }

    fn measure(&mut self, rows: &[Vec<Cell>]) {
        for row in rows {
            for (column, cell) in self.columns.iter_mut().zip(row) {
                column.natural = column.natural.max(format::width(&cell.text));
            }
        }
    }

    /// Gives each column its width.
    fn arrange(&mut self, room: Option<usize>) {
        for column in &mut self.columns {
            column.shown = Some(column.natural);
        }
        let Some(room) = room else { return };
        let mut spare = self.spare.iter();
        while self.least() > room {
            let Some(title) = spare.next() else { break };
            let given_up = self.columns.iter_mut().filter(|column| column.title == *title);
            given_up.for_each(|column| column.shown = None);
        }
        let mut over = self.width().saturating_sub(room);
        for column in self.columns.iter_mut().filter(|column| column.flexible) {
            let Some(shown) = &mut column.shown else { continue };
            let less = over.min(shown.saturating_sub(FLEXIBLE_MIN.min(*shown)));
            *shown -= less;
            over -= less;
        }
        // What is still too wide is cut off at the edge.
        for column in self.columns.iter_mut().rev() {
            let Some(shown) = &mut column.shown else { continue };
            let less = over.min(shown.saturating_sub(1));
            *shown -= less;
            over -= less;
        }
    }

    /// Later rows may be wider than those the columns were arranged for.
    fn widen(&mut self) {
        let narrowed = self.columns.iter().any(|column| match column.shown {
            None => true,
            Some(shown) => shown < column.natural && column.flexible,
        });
        for column in self.columns.iter_mut().filter(|column| !(narrowed && column.flexible)) {
            column.shown = column.shown.map(|shown| shown.max(column.natural));
        }
    }

    fn width(&self) -> usize {
        let widths: Vec<usize> = self.columns.iter().filter_map(|column| column.shown).collect();
        widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
    }

    /// The width with free text as short as it may be.
    fn least(&self) -> usize {
        let shortened = |column: &Column| match column.shown {
            Some(shown) if column.flexible => shown.saturating_sub(FLEXIBLE_MIN),
            _ => 0,
        };
        self.width() - self.columns.iter().map(shortened).sum::<usize>()
    }

    fn header(&self) -> String {
        let titles: Vec<Cell> = self.columns.iter().map(|column| column.title.into()).collect();
        self.row(&titles, false)
    }

    fn row(&self, cells: &[Cell], colour: bool) -> String {
        let shown = self.columns.iter().zip(cells);
        let shown: Vec<_> =
            shown.filter_map(|(column, cell)| Some((column, column.shown?, cell))).collect();
        let mut line = String::new();
        for (at, (column, width, cell)) in shown.iter().enumerate() {
            let text = format::fit(&cell.text, *width);
            let space = " ".repeat(width.saturating_sub(format::width(&text)));
            let text = painted(&text, cell.paint, colour);
            let last = at + 1 == shown.len();
            let (before, after) = match (column.right, last) {
                (true, _) => (space.as_str(), ""),
                (false, true) => ("", ""),
                (false, false) => ("", space.as_str()),
            };
            line.push_str(before);
            line.push_str(&text);
            line.push_str(after);
            if !last {
                line.push_str(&" ".repeat(GAP));
            }
        }
        line
    }
}
