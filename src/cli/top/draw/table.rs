//! A table with a cursor that scrolls, and columns that give way when there is no room.

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Paragraph, Row, Table, TableState};

use super::theme::{CURSOR, DIM};

/// A column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    title: &'static str,
    /// 0 = it takes what is left.
    width: u16,
    /// It is there only if the table is at least this wide.
    from: u16,
    /// Figures stand at the right.
    right: bool,
}

impl Column {
    /// A column for text.
    pub const fn text(title: &'static str, width: u16, from: u16) -> Self {
        Self { title, width, from, right: false }
    }

    /// A column for figures.
    pub const fn figure(title: &'static str, width: u16, from: u16) -> Self {
        Self { title, width, from, right: true }
    }
}

/// The text of a cell, and how it looks.
pub type Text = (String, Style);

/// Rows to be drawn.
pub struct Rows<'a> {
    /// The columns.
    pub columns: &'a [Column],
    /// Whether their names are shown.
    pub titles: bool,
    /// How many rows there are.
    pub len: usize,
    /// The row of the cursor.
    pub cursor: Option<usize>,
    /// What is said when there are no rows.
    pub empty: &'a str,
}

impl Rows<'_> {
    /// Draws the rows that can be seen; `row` makes the cells of one, one for each column.
    pub fn draw(
        &self,
        frame: &mut Frame<'_>,
        area: Rect,
        block: Block<'_>,
        row: impl Fn(usize) -> Vec<Text>,
    ) {
        let inner = block.inner(area);
        frame.render_widget(block, area);
        if self.len == 0 {
            let line = Line::styled(format!(" {}", self.empty), DIM);
            return frame.render_widget(Paragraph::new(line), inner);
        }
        let room = usize::from(inner.height).saturating_sub(usize::from(self.titles)).max(1);
        // The cursor stays in sight: what is above it moves out first.
        let first = self.cursor.map_or(0, |row| (row + 1).saturating_sub(room));
        let columns: Vec<(usize, Column)> = self
            .columns
            .iter()
            .copied()
            .enumerate()
            .filter(|of| inner.width >= of.1.from)
            .collect();
        let rows = (first..self.len.min(first + room)).map(|at| {
            let mut texts = row(at);
            Row::new(columns.iter().map(|(at, column)| {
                let (text, style) = std::mem::take(&mut texts[*at]);
                aligned(Line::from(Span::styled(text, style)), *column)
            }))
        });
        let widths = columns.iter().map(|(_, column)| match column.width {
            0 => Constraint::Fill(1),
            width => Constraint::Length(width),
        });
        let mut table = Table::new(rows, widths).column_spacing(1).row_highlight_style(CURSOR);
        if self.titles {
            let title = |column: Column| aligned(Line::styled(column.title, DIM), column);
            table = table.header(Row::new(columns.iter().map(|(_, column)| title(*column))));
        }
        let mut state = TableState::default().with_selected(self.cursor.map(|row| row - first));
        frame.render_stateful_widget(table, inner, &mut state);
    }
}

fn aligned(line: Line<'_>, column: Column) -> Cell<'_> {
    Cell::from(if column.right { line.right_aligned() } else { line })
}
