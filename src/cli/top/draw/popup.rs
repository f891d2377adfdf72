//! What stands before the panes: the keys, and the question whether to cancel.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Clear, Paragraph};

use super::Canvas;
use super::theme::{DIM, STRONG};
use crate::cli::format;
use crate::cli::live::short_id;
use crate::cli::top::keys::HELP;

/// How wide it is, if there is room.
const WIDTH: u16 = 66;
/// Letters before the reason that is typed.
const LEAD: u16 = 9;

/// In the middle, with an empty place behind it.
fn window(frame: &mut Frame<'_>, area: Rect, lines: Vec<Line<'_>>, title: &str) -> Rect {
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2).min(area.height);
    let width = WIDTH.min(area.width);
    let x = area.x + (area.width - width) / 2;
    let y = area.y + (area.height - height) / 2;
    let place = Rect { x, y, width, height };
    let block = Block::bordered().border_type(BorderType::Rounded).title(format!(" {title} "));
    let inner = block.inner(place);
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(lines).block(block), place);
    inner
}

/// The keys.
pub fn help(frame: &mut Frame<'_>, area: Rect) {
    let lines = HELP.iter().map(|(keys, does)| {
        Line::from(vec![Span::styled(format!(" {keys:<9} "), STRONG), Span::raw(*does)])
    });
    window(frame, area, lines.collect(), "Keys");
}

/// Whether to cancel a job, and why.
pub fn cancel(frame: &mut Frame<'_>, area: Rect, job_id: &str, reason: &str, canvas: &Canvas<'_>) {
    let known = canvas.sight.jobs.iter().chain(&canvas.sight.failures);
    let job = { known }.find(|job| job.id == job_id);
    let job_type = job.and_then(|job| job.spec.as_ref()).map_or("", |spec| spec.r#type.as_str());
    // Of a long reason its end is shown: there the cursor is.
    let room = usize::from(area.width.min(WIDTH).saturating_sub(LEAD + 3));
    let hidden = reason.chars().count().saturating_sub(room);
    let seen: String = reason.chars().skip(hidden).collect();
    let column = u16::try_from(seen.chars().count()).unwrap_or(0);
    let lines = vec![
        Line::from(vec![
            Span::raw(" Cancel job "),
            Span::styled(short_id(job_id), STRONG),
            Span::raw(format!("  {}", format::plain(job_type))),
        ]),
        Line::default(),
        Line::from(vec![Span::styled(" Reason: ", DIM), Span::raw(seen)]),
        Line::default(),
        Line::styled(" Enter cancels the job, Esc leaves it alone", DIM),
    ];
    let inner = window(frame, area, lines, "Cancel");
    frame.set_cursor_position((inner.x + LEAD + column, inner.y + 2));
}
