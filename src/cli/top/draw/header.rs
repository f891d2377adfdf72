//! The first lines: the server, and how the last minute went.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::Canvas;
use super::theme::{DIM, STRONG};
use crate::cli::paint::Paint;
use crate::cli::{format, stats};
use crate::proto::v1::JobState;

/// Lines it takes.
pub const HEIGHT: u16 = 2;
/// Letters of a cause that fit beside the rest.
const CAUSE_CHARS: usize = 36;

/// Draws it.
pub fn draw(frame: &mut Frame<'_>, area: Rect, canvas: &Canvas<'_>) {
    frame.render_widget(Paragraph::new(vec![server(canvas), rates(canvas)]), area);
    let link = link(canvas);
    let width = u16::try_from(link.width()).unwrap_or(u16::MAX).min(area.width);
    let right = Rect { x: area.right() - width, width, height: 1, ..area };
    frame.render_widget(Paragraph::new(link), right);
}

fn server(canvas: &Canvas<'_>) -> Line<'static> {
    let mut words = Vec::new();
    let info = canvas.sight.figures.as_ref().map(|figures| &figures.info);
    words.extend(info.map(|info| format::plain(&info.version)));
    words.push(canvas.screen.address.clone());
    if let Some(info) = info {
        let store = info.store.clone().unwrap_or_default();
        let size = Some(store.size_bytes).filter(|bytes| *bytes > 0).map(format::bytes);
        words.push(format!("{} {}", format::plain(&store.kind), size.unwrap_or_default()));
        words.extend(info.start_time.as_ref().map(|start| {
            let up = canvas.sight.now.since(format::timestamp(start)).as_secs();
            format!("up {}", format::span(Duration::from_secs(up)))
        }));
    }
    words.extend(Some(format::plain(&canvas.screen.scope)).filter(|scope| !scope.is_empty()));
    Line::from(vec![Span::styled("jobplane ", STRONG), Span::raw(words.join("  "))])
}

/// Whether what is shown is true now.
fn link(canvas: &Canvas<'_>) -> Line<'static> {
    let (text, paint) = if canvas.screen.paused() {
        (" PAUSED: p goes on".to_owned(), Paint::Yellow)
    } else if let Some(cause) = &canvas.sight.lost {
        let cause: String = format::plain(cause).chars().take(CAUSE_CHARS).collect();
        (format!(" LOST ({cause}), trying again"), Paint::Red)
    } else if canvas.sight.complete {
        (" live".to_owned(), Paint::Green)
    } else {
        (" connecting …".to_owned(), Paint::Yellow)
    };
    Line::styled(text, canvas.theme.paint(Some(paint)))
}

fn rates(canvas: &Canvas<'_>) -> Line<'static> {
    let Some(figures) = &canvas.sight.figures else { return Line::default() };
    let (theme, stats) = (canvas.theme, &figures.stats);
    let totals = stats.totals.clone().unwrap_or_default();
    let minute = totals.minute.unwrap_or_default();
    let count = |state| format::count(stats::count(&totals.counts, state));
    let painted = |text: &str, count: i64, paint: Paint| {
        let paint = (count > 0).then_some(paint);
        Span::styled(format!("{text} {}  ", format::count(count)), theme.paint(paint))
    };
    Line::from(vec![
        Span::raw(format!("running {}  ", count(JobState::Running))),
        Span::raw(format!("waiting {}  ", count(JobState::Pending))),
        Span::styled("│ 1 min: ", DIM),
        Span::raw(format!("new {}  ", format::count(minute.created))),
        painted("ok", minute.succeeded, Paint::Green),
        painted("failed", minute.failed, Paint::Red),
        Span::styled("│ ", DIM),
        Span::raw(format!("workers {}  slots {}/{}", stats.workers, stats.slots_used, stats.slots)),
    ])
}
