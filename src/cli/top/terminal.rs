//! The terminal: taken whole, and given back however the command ends.

use std::io::{self, Stdout};
use std::panic;

use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use crossterm::{cursor, execute};
use ratatui::backend::CrosstermBackend;
use rustix::process::{Signal, getpid, kill_process};

use super::draw::{Theme, draw};
use super::screen::Screen;
use crate::domain::Timestamp;

/// The terminal, for as long as this lives.
pub struct Terminal {
    inner: ratatui::Terminal<CrosstermBackend<Stdout>>,
}

impl Terminal {
    /// Takes the terminal. A panic gives it back before it says its words.
    ///
    /// # Errors
    ///
    /// It is none, or does not do as it is told.
    pub fn take() -> io::Result<Self> {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            give_back();
            before(info);
        }));
        enter().inspect_err(|_| give_back())?;
        let inner = ratatui::Terminal::new(CrosstermBackend::new(io::stdout()))
            .inspect_err(|_| give_back())?;
        Ok(Self { inner })
    }

    /// Draws the screen. Only what changed is written.
    pub fn draw(&mut self, screen: &Screen, theme: Theme, now: Timestamp) -> io::Result<()> {
        self.inner.draw(|frame| draw(frame, screen, theme, now)).map(|_| ())
    }

    /// Draws everything anew with the next frame, whatever another program left on the screen.
    pub fn forget(&mut self) -> io::Result<()> {
        // `clear` would ask the terminal where the cursor is, and the keys would get the answer.
        let size = self.inner.size()?;
        self.inner.resize(size.into())
    }

    /// Leaves the terminal to the shell, stops the process, and takes the terminal again when it goes on.
    pub fn suspend(&mut self) -> io::Result<()> {
        give_back();
        kill_process(getpid(), Signal::STOP)?;
        enter()?;
        self.forget()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back();
    }
}

fn enter() -> io::Result<()> {
    enable_raw_mode()?;
    execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste, cursor::Hide)
}

/// As far as it can be done: there is nobody left to tell if it cannot.
fn give_back() {
    drop(execute!(io::stdout(), DisableBracketedPaste, LeaveAlternateScreen, cursor::Show));
    drop(disable_raw_mode());
}
