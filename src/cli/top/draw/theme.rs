//! Modest colour, or none. Meaning never hangs on it alone.

use ratatui::style::{Color, Modifier, Style};

use crate::cli::paint::Paint;

/// Of little weight.
pub const DIM: Style = Style::new().add_modifier(Modifier::DIM);
/// A title, a name.
pub const STRONG: Style = Style::new().add_modifier(Modifier::BOLD);
/// The row the cursor is on.
pub const CURSOR: Style = Style::new().add_modifier(Modifier::REVERSED);

/// How things look.
#[derive(Debug, Clone, Copy)]
pub struct Theme {
    /// Whether colour is welcome.
    pub colour: bool,
}

impl Theme {
    /// The style of a colour.
    #[must_use]
    pub fn paint(self, paint: Option<Paint>) -> Style {
        let style = Style::default();
        match paint {
            Some(Paint::Dim) => DIM,
            _ if !self.colour => style,
            None => style,
            Some(Paint::Green) => style.fg(Color::Green),
            Some(Paint::Red) => style.fg(Color::Red),
            Some(Paint::Yellow) => style.fg(Color::Yellow),
            Some(Paint::Cyan) => style.fg(Color::Cyan),
        }
    }
}
