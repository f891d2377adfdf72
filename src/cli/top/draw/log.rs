//! The log of one job, and above it how far the job is.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::theme::{DIM, STRONG};
use super::{Canvas, Theme, frame_of};
use crate::cli::live::{Row, Style as Bar, bar};
use crate::cli::paint::Paint;
use crate::cli::top::tail::Tail;
use crate::cli::{format, names};
use crate::proto::v1::{LogEntry, LogLevel};

/// The width of the job's bar.
const BAR: usize = 24;
/// Letters before the text of a line: the time and the level.
const LEAD: usize = 17;

/// Draws it.
pub fn draw(frame: &mut Frame<'_>, area: Rect, tail: &Tail, canvas: &Canvas<'_>) {
    let theme = canvas.theme;
    let title = format!("Log of {}, times in UTC", format::plain(&tail.job_id));
    let block = frame_of(&title, true);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let [head, body] = Layout::vertical([Constraint::Length(1), Constraint::Min(1)]).areas(inner);
    frame.render_widget(Paragraph::new(job(tail, canvas)), head);
    let rows = usize::from(body.height);
    frame.render_widget(Paragraph::new(rows_of(tail, usize::from(body.width), rows, theme)), body);
}

/// The rows that can be seen: the newest lines, or those above them if the reader went up.
fn rows_of(tail: &Tail, width: usize, room: usize, theme: Theme) -> Vec<Line<'static>> {
    let shown = tail.lines.len().saturating_sub(tail.up);
    let mut rows: Vec<Line<'static>> = Vec::new();
    if tail.up == 0 {
        rows.extend(end(tail, theme));
    }
    // From the last line upwards, until there is no room.
    for entry in tail.lines.iter().take(shown).rev() {
        if rows.len() >= room {
            break;
        }
        rows.extend(line(entry, width, theme).into_iter().rev());
    }
    if rows.len() < room && tail.missing > 0 {
        let said = format!("… {} earlier lines are not here …", format::count(tail.missing));
        rows.push(Line::styled(said, DIM));
    }
    rows.truncate(room);
    rows.reverse();
    rows
}

/// What stands below the last line.
fn end(tail: &Tail, theme: Theme) -> Option<Line<'static>> {
    let (text, paint) = match (&tail.trouble, tail.over, tail.lines.is_empty()) {
        (Some(cause), _, _) => (format!("— {} —", format::plain(cause)), Paint::Red),
        (None, true, true) => ("— the job is over; it wrote no lines —".to_owned(), Paint::Dim),
        (None, true, false) => ("— the job is over —".to_owned(), Paint::Dim),
        (None, false, true) => ("— waiting for lines —".to_owned(), Paint::Dim),
        (None, false, false) => return None,
    };
    Some(Line::styled(text, theme.paint(Some(paint))))
}

/// How far the job is.
fn job(tail: &Tail, canvas: &Canvas<'_>) -> Line<'static> {
    let theme = canvas.theme;
    let Some(job) = &tail.job else { return Line::styled("asking …", DIM) };
    let row = Row::of(job, canvas.now);
    let paint = theme.paint(Paint::of_state(row.state));
    let eta = Some(row.eta).filter(|eta| !eta.is_empty()).map(|eta| format!("ETA {eta}"));
    let drawn = row.percent.map(|percent| bar(percent, BAR, Bar::Blocks)).unwrap_or_default();
    let words = [row.amount, row.rate, eta.unwrap_or_default(), row.doing];
    let words: Vec<String> = words.into_iter().filter(|word| !word.is_empty()).collect();
    Line::from(vec![
        Span::styled(format!("{} ", row.job_type), STRONG),
        Span::styled(format!("{} ", names::short(row.state)), paint),
        Span::styled(format!("{drawn} "), paint),
        Span::raw(words.join("  ")),
    ])
}

/// A line of the log; a long one goes on below, under its text.
fn line(entry: &LogEntry, width: usize, theme: Theme) -> Vec<Line<'static>> {
    let time = entry.time.as_ref().map(|time| format::moment(time, 0)).unwrap_or_default();
    // The day is the same for all; the hour tells enough.
    let time = time.split_once('T').map_or("", |(_, hour)| hour.trim_end_matches('Z'));
    let level = match entry.level() {
        LogLevel::Unspecified => LogLevel::Info,
        level => level,
    };
    let style = theme.paint(Paint::of_level(level));
    let step = Some(format::plain(&entry.step)).filter(|step| !step.is_empty());
    let step = step.map(|step| format!("[{step}] ")).unwrap_or_default();
    let text: Vec<char> = format!("{step}{}", format::plain(&entry.message)).chars().collect();
    let room = width.saturating_sub(LEAD).max(8);
    let mut parts = text.chunks(room).map(String::from_iter);
    let first = Line::from(vec![
        Span::styled(format!("{time:<8} "), DIM),
        Span::styled(format!("{:<7} ", names::short(level)), style),
        Span::raw(parts.next().unwrap_or_default()),
    ]);
    let further = parts.map(|part| Line::raw(format!("{:LEAD$}{part}", "")));
    std::iter::once(first).chain(further).collect()
}
