//! Rows under a header: plain text, two spaces between columns, as wide as the terminal at most.
//!
//! A table that is too wide shortens free text and long names, and gives up columns of little weight, whole: half a
//! figure would be a wrong one. What is no terminal gets everything.

use super::exit::Failure;
use super::format;
use super::output::Out;
use super::paint::{Paint, painted};

#[cfg(test)]
mod tests;

/// Space between two columns.
const GAP: usize = 2;
/// A column of free text is not made narrower than this before others are given up for it.
const TEXT_MIN: usize = 12;
/// The same for names, of which the beginning tells the most.
const NAME_MIN: usize = 16;

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
    /// How narrow it may be made, if it may be shortened at all.
    least: Option<usize>,
    /// The widest cell so far.
    natural: usize,
    /// Whether any cell says more than nothing, or zero.
    told: bool,
    /// How wide it is shown; `None` if it is given up.
    shown: Option<usize>,
}

impl Column {
    /// Free text gives way before names do.
    fn is_text(&self) -> bool {
        self.least == Some(TEXT_MIN)
    }

    /// What is left to shorten.
    fn spare(&self) -> usize {
        let least = self.least.unwrap_or(usize::MAX);
        self.shown.unwrap_or_default().saturating_sub(least)
    }
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
    /// begins with `~` for free text, one with `<` for names, both of which may be shortened.
    #[must_use]
    pub fn new(titles: &[&'static str]) -> Self {
        let column = |title: &&'static str| {
            let name = title.trim_start_matches(['>', '<', '~']);
            let least = match title.as_bytes().first() {
                Some(b'~') => Some(TEXT_MIN),
                Some(b'<') => Some(NAME_MIN),
                _ => None,
            };
            Column {
                title: name,
                right: title.starts_with('>'),
                least,
                natural: format::width(name),
                told: false,
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
                column.told |= !matches!(cell.text.as_str(), "" | format::NOTHING | "0");
            }
        }
    }

    /// Gives each column its width.
    fn arrange(&mut self, room: Option<usize>) {
        for column in &mut self.columns {
            column.shown = Some(column.natural);
        }
        let Some(room) = room else { return };
        // Those that tell nothing go before those that do.
        let told: Vec<&str> = self.columns.iter().filter(|of| of.told).map(|of| of.title).collect();
        let (full, empty): (Vec<&str>, Vec<&str>) =
            self.spare.iter().copied().partition(|title| told.contains(title));
        let mut spare = empty.into_iter().chain(full);
        while self.least() > room {
            let given_up = match spare.next() {
                Some(title) => self.columns.iter_mut().find(|column| column.title == title),
                // The first one says what the row is about.
                None => self.columns.iter_mut().skip(1).rfind(|column| column.shown.is_some()),
            };
            match given_up {
                Some(column) => column.shown = None,
                None => break,
            }
        }
        for _ in room..self.width() {
            let widest = self.columns.iter_mut().filter(|column| column.spare() > 0);
            let widest = widest.max_by_key(|column| (column.is_text(), column.shown));
            let Some(shown) = widest.and_then(|column| column.shown.as_mut()) else { break };
            *shown -= 1;
        }
        if self.width() > room
            && let Some(first) = self.columns.first_mut()
        {
            first.shown = Some(room);
        }
    }

    /// Later rows may be wider than those the columns were arranged for.
    fn widen(&mut self) {
        let narrowed = self.columns.iter().any(|column| match column.shown {
            None => true,
            Some(shown) => shown < column.natural && column.least.is_some(),
        });
        for column in self.columns.iter_mut().filter(|of| !(narrowed && of.least.is_some())) {
            column.shown = column.shown.map(|shown| shown.max(column.natural));
        }
    }

    fn width(&self) -> usize {
        let widths: Vec<usize> = self.columns.iter().filter_map(|column| column.shown).collect();
        widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
    }

    /// The width with text and names as short as they may be.
    fn least(&self) -> usize {
        self.width() - self.columns.iter().map(Column::spare).sum::<usize>()
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
