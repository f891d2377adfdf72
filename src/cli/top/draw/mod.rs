//! The picture: which part goes where, and what is before it.
//!
//! Owns: the cut of the screen ([`draw`]), one file for each part.
//! Invariants: draws what it is given and changes nothing; text from afar comes without control characters.

mod header;
mod log;
mod panes;
mod popup;
mod table;
mod theme;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph, Wrap};

pub use theme::Theme;
use theme::{DIM, STRONG};

use super::listing::Pane;
use super::model::Sight;
use super::screen::{Mode, Screen};
use crate::cli::paint::Paint;
use crate::domain::Timestamp;

/// Below this nothing of use can be shown.
pub const WIDTH_MIN: u16 = 60;
/// See [`WIDTH_MIN`].
pub const HEIGHT_MIN: u16 = 16;

/// What every part needs.
struct Canvas<'a> {
    screen: &'a Screen,
    sight: &'a Sight,
    theme: Theme,
    now: Timestamp,
}

/// Draws the screen as it is now.
pub fn draw(frame: &mut Frame<'_>, screen: &Screen, theme: Theme, now: Timestamp) {
    let area = frame.area();
    if area.width < WIDTH_MIN || area.height < HEIGHT_MIN {
        return too_small(frame, area);
    }
    let sight = screen.sight(now);
    let canvas = Canvas { screen, sight: &sight, theme, now };
    let [top, body, foot] = Layout::vertical([
        Constraint::Length(header::HEIGHT),
        Constraint::Min(1),
        Constraint::Length(1),
    ])
    .areas(area);
    header::draw(frame, top, &canvas);
    if let Mode::Log(tail) = &screen.mode {
        log::draw(frame, body, tail, &canvas);
    } else {
        all_panes(frame, body, &canvas);
    }
    footer(frame, foot, &canvas);
    match &screen.mode {
        Mode::Help => popup::help(frame, body),
        Mode::Cancel { job_id, reason } => popup::cancel(frame, body, job_id, reason, &canvas),
        Mode::Look | Mode::Filter | Mode::Log(_) => {}
    }
}

/// Queues and workers side by side, below them what runs, below that what failed.
fn all_panes(frame: &mut Frame<'_>, area: Rect, canvas: &Canvas<'_>) {
    let figures = canvas.sight.figures.as_ref();
    let rows = figures.map_or(1, |figures| figures.queues.len().max(figures.workers.len()));
    let failures = canvas.sight.failures.len();
    // A title and the names of the columns stand above the rows; neither part takes more than a third.
    let tall = |rows: usize, least: u16| {
        u16::try_from(rows).unwrap_or(u16::MAX).min(area.height / 3).max(least)
    };
    let [upper, middle, lower] = Layout::vertical([
        Constraint::Length(tall(rows + 2, 3)),
        Constraint::Min(3),
        Constraint::Length(tall(failures + 1, 2)),
    ])
    .areas(area);
    let [left, right] = Layout::horizontal([Constraint::Percentage(45), Constraint::Fill(1)])
        .spacing(1)
        .areas(upper);
    panes::queues(frame, left, canvas);
    panes::workers(frame, right, canvas);
    panes::jobs(frame, middle, canvas);
    panes::failures(frame, lower, canvas);
}

/// The last line: what is typed, what was said, or the keys.
fn footer(frame: &mut Frame<'_>, area: Rect, canvas: &Canvas<'_>) {
    let (screen, theme) = (canvas.screen, canvas.theme);
    let line = match (&screen.mode, screen.notice(canvas.now)) {
        (Mode::Filter, _) => {
            let column = u16::try_from(screen.filter.chars().count() + 1).unwrap_or(0);
            frame.set_cursor_position((area.x + column.min(area.width - 1), area.y));
            Line::from(vec![
                Span::styled("/", STRONG),
                Span::raw(screen.filter.as_str()),
                Span::styled("   Enter keeps it, Esc clears it", DIM),
            ])
        }
        (_, Some(notice)) => {
            let paint = if notice.good { Paint::Green } else { Paint::Red };
            Line::styled(notice.text.as_str(), theme.paint(Some(paint)))
        }
        (Mode::Log(_), None) => {
            keys(&[("↑↓", "scroll"), ("End", "follow"), ("Esc", "back"), ("q", "quit")])
        }
        (Mode::Look | Mode::Help | Mode::Cancel { .. }, None) => keys(&[
            ("Tab", "pane"),
            ("⏎", "log"),
            ("c", "cancel"),
            ("r", "retry"),
            ("/", "filter"),
            ("s", "sort"),
            ("p", "pause"),
            ("?", "keys"),
            ("q", "quit"),
        ]),
    };
    frame.render_widget(Paragraph::new(line), area);
}

fn keys(keys: &[(&'static str, &'static str)]) -> Line<'static> {
    let spans = keys.iter().flat_map(|(key, does)| {
        [Span::styled(*key, STRONG), Span::styled(format!(" {does}  "), DIM)]
    });
    Line::from(spans.collect::<Vec<_>>())
}

/// A pane's frame: a line with its title, which shows whether the keys go there.
fn frame_of(title: &str, here: bool) -> Block<'static> {
    let (mark, style) = if here { ("▸", STRONG) } else { (" ", DIM) };
    Block::new()
        .borders(Borders::TOP)
        .border_style(DIM)
        .title(Span::styled(format!("{mark}{title} "), style))
}

/// The frame of a pane with rows.
fn frame_of_pane(title: &str, pane: Pane, canvas: &Canvas<'_>) -> Block<'static> {
    frame_of(title, pane == canvas.screen.pane)
}

fn too_small(frame: &mut Frame<'_>, area: Rect) {
    let said = format!(
        "Too small: this window has {}×{} characters, jobplane top needs {WIDTH_MIN}×{HEIGHT_MIN}. \
         Make it larger, or press q.",
        area.width, area.height
    );
    frame.render_widget(Paragraph::new(said).wrap(Wrap { trim: true }), area);
}
