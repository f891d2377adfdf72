//! The state of the screen: where the cursor is, what is open, and what each event changes.

use std::time::Duration;

use crossterm::event::KeyEvent;

use super::listing::{self, Pane, Sort};
use super::model::{Figures, Model, Sight};
use super::tail::{News, Tail};
use crate::cli::client::Seen;
use crate::domain::Timestamp;

/// How long a notice stands.
const NOTICE_FOR: Duration = Duration::from_secs(6);

/// What happens.
pub enum Event {
    /// A key was pressed.
    Key(KeyEvent),
    /// Text was pasted.
    Pasted(String),
    /// The watch saw something.
    Seen(Seen),
    /// Fresh figures.
    Polled(Box<Figures>),
    /// No fresh figures, and why.
    PollFailed(String),
    /// News of the job whose log is open.
    Tail(String, News),
    /// What became of an order.
    Answered {
        /// For people.
        text: String,
        /// Whether it was done.
        done: bool,
    },
}

/// What is to be done beyond the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Leave.
    Quit,
    /// Leave the terminal to the shell until it calls back.
    Suspend,
    /// Draw everything anew.
    Redraw,
    /// Cancel a job.
    Cancel {
        /// Which one.
        job_id: String,
        /// Why.
        reason: String,
    },
    /// Retry a job.
    Retry {
        /// Which one.
        job_id: String,
    },
    /// Follow the log of this job; of none.
    Follow(Option<String>),
}

/// What is open before the panes.
#[derive(Debug, Clone, Default)]
pub enum Mode {
    /// Nothing.
    #[default]
    Look,
    /// The keys.
    Help,
    /// The filter is typed.
    Filter,
    /// It is asked whether to cancel a job, and why.
    Cancel {
        /// The job.
        job_id: String,
        /// What is typed.
        reason: String,
    },
    /// The log of a job.
    Log(Box<Tail>),
}

/// Something that was said.
#[derive(Debug, Clone)]
pub struct Notice {
    /// For people.
    pub text: String,
    /// Whether it is good news.
    pub good: bool,
    until: Timestamp,
}

/// The state of the screen.
#[derive(Default)]
pub struct Screen {
    /// Where the server is.
    pub address: String,
    /// What restricts the jobs from the command line, for people; empty if nothing does.
    pub scope: String,
    model: Model,
    /// What is drawn while it is paused.
    frozen: Option<Sight>,
    /// The pane with the cursor.
    pub pane: Pane,
    cursors: [Cursor; 4],
    /// What rows must hold.
    pub filter: String,
    /// The order of the jobs.
    pub sort: Sort,
    /// What is open.
    pub mode: Mode,
    notice: Option<Notice>,
}

/// Where the cursor is in a pane: on what, and on which row that was last.
#[derive(Debug, Clone, Default)]
struct Cursor {
    on: Option<String>,
    row: usize,
}

impl Screen {
    /// A screen of which nothing is known yet.
    #[must_use]
    pub fn new(address: String, scope: String) -> Self {
        Self { address, scope, ..Self::default() }
    }

    /// Takes what happens, and answers what is to be done.
    pub fn update(&mut self, event: Event, now: Timestamp) -> Option<Order> {
        match event {
            Event::Key(key) => return self.key(key, now),
            Event::Pasted(text) => self.typed(&text),
            Event::Seen(seen) => self.model.seen(seen, now),
            Event::Polled(figures) => self.model.polled(*figures),
            Event::PollFailed(cause) => self.model.poll_failed(cause),
            Event::Tail(job_id, news) => {
                if let Mode::Log(tail) = &mut self.mode
                    && tail.job_id == job_id
                {
                    tail.take(news);
                }
            }
            Event::Answered { text, done } => self.notify(text, done, now),
        }
        None
    }

    /// What is drawn: what is known now, or was when it was paused.
    #[must_use]
    pub fn sight(&self, now: Timestamp) -> Sight {
        self.frozen.clone().unwrap_or_else(|| self.model.sight(now))
    }

    /// Whether it is paused.
    #[must_use]
    pub fn paused(&self) -> bool {
        self.frozen.is_some()
    }

    pub(super) fn pause(&mut self, now: Timestamp) {
        self.frozen = match self.frozen.take() {
            Some(_) => None,
            None => Some(self.model.sight(now)),
        };
    }

    /// What was said last, if that was not long ago.
    #[must_use]
    pub fn notice(&self, now: Timestamp) -> Option<&Notice> {
        self.notice.as_ref().filter(|notice| notice.until > now)
    }

    pub(super) fn notify(&mut self, text: impl Into<String>, good: bool, now: Timestamp) {
        self.notice = Some(Notice { text: text.into(), good, until: now.plus(NOTICE_FOR) });
    }

    /// The row of the cursor in a pane with these keys; `None` if there are no rows. What it was on may be gone: then it
    /// is on what took its place.
    #[must_use]
    pub fn row(&self, pane: Pane, keys: &[String]) -> Option<usize> {
        let cursor = &self.cursors[pane as usize];
        let on = cursor.on.as_ref().and_then(|on| keys.iter().position(|key| key == on));
        (!keys.is_empty()).then(|| on.unwrap_or(cursor.row.min(keys.len().saturating_sub(1))))
    }

    /// Moves the cursor of the pane it is in.
    pub(super) fn go(&mut self, sight: &Sight, to: impl Fn(usize, usize) -> usize) {
        let keys = listing::keys(self.pane, sight, &self.filter, self.sort);
        let Some(row) = self.row(self.pane, &keys) else { return };
        let row = to(row, keys.len() - 1).min(keys.len() - 1);
        self.cursors[self.pane as usize] = Cursor { on: keys.get(row).cloned(), row };
    }

    /// The job the cursor is on, if it is on one.
    #[must_use]
    pub fn job(&self, sight: &Sight) -> Option<String> {
        let is_job = matches!(self.pane, Pane::Jobs | Pane::Failures);
        let keys = listing::keys(self.pane, sight, &self.filter, self.sort);
        let row = self.row(self.pane, &keys).filter(|_| is_job)?;
        keys.into_iter().nth(row)
    }

    /// Text for whatever is typed into now.
    pub(super) fn typed(&mut self, text: &str) {
        let (field, most) = match &mut self.mode {
            Mode::Filter => (&mut self.filter, super::FILTER_CHARS_MAX),
            Mode::Cancel { reason, .. } => (reason, super::REASON_CHARS_MAX),
            Mode::Look | Mode::Help | Mode::Log(_) => return,
        };
        let room = most.saturating_sub(field.chars().count());
        field.extend(text.chars().filter(|letter| !letter.is_control()).take(room));
    }
}
