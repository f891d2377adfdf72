//! What each key does.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::listing::Pane;
use super::screen::{Mode, Order, Screen};
use super::tail::Tail;
use crate::cli::live::short_id;
use crate::domain::Timestamp;

/// The keys and what they do, for those who ask.
pub const HELP: [(&str, &str); 13] = [
    ("↑ ↓ j k", "move; PgUp PgDn by ten, Home End to the ends"),
    ("Tab ⇧Tab", "the next pane, the one before"),
    ("Enter l", "the log of the job, live"),
    ("c", "cancel the job: asks why first"),
    ("r", "retry the job that failed"),
    ("/", "show only what holds a text; Esc ends that"),
    ("s", "sort the jobs by start, progress, rate, ETA, type"),
    ("p", "hold the picture still; again to go on"),
    ("Esc", "close what is open"),
    ("?", "this"),
    ("Ctrl-L", "draw everything anew"),
    ("Ctrl-Z", "back to the shell; `fg` returns"),
    ("q Ctrl-C", "leave"),
];

/// How far a page goes.
const PAGE: usize = 10;

impl Screen {
    /// Takes a key, and answers what is to be done.
    pub(super) fn key(&mut self, key: KeyEvent, now: Timestamp) -> Option<Order> {
        if key.kind == KeyEventKind::Release {
            return None;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c' | 'd') => Some(Order::Quit),
                KeyCode::Char('z') => Some(Order::Suspend),
                KeyCode::Char('l') => Some(Order::Redraw),
                KeyCode::Char('u') => {
                    self.erase();
                    None
                }
                _ => None,
            };
        }
        match &mut self.mode {
            Mode::Look => self.looking(key.code, now),
            Mode::Help => {
                self.mode = Mode::Look;
                (key.code == KeyCode::Char('q')).then_some(Order::Quit)
            }
            Mode::Filter | Mode::Cancel { .. } => self.typing(key.code),
            Mode::Log(tail) => match reading(tail, key.code) {
                Reading::On => None,
                Reading::Leave => Some(Order::Quit),
                Reading::Close => {
                    self.mode = Mode::Look;
                    Some(Order::Follow(None))
                }
            },
        }
    }

    fn looking(&mut self, key: KeyCode, now: Timestamp) -> Option<Order> {
        let sight = self.sight(now);
        match key {
            KeyCode::Char('q') => return Some(Order::Quit),
            KeyCode::Char('?' | 'h') => self.mode = Mode::Help,
            KeyCode::Tab | KeyCode::Right => self.pane = self.pane.step(1),
            KeyCode::BackTab | KeyCode::Left => self.pane = self.pane.step(Pane::ALL.len() - 1),
            KeyCode::Up | KeyCode::Char('k') => self.go(&sight, |row, _| row.saturating_sub(1)),
            KeyCode::Down | KeyCode::Char('j') => self.go(&sight, |row, _| row + 1),
            KeyCode::PageUp => self.go(&sight, |row, _| row.saturating_sub(PAGE)),
            KeyCode::PageDown => self.go(&sight, |row, _| row + PAGE),
            KeyCode::Home | KeyCode::Char('g') => self.go(&sight, |_, _| 0),
            KeyCode::End | KeyCode::Char('G') => self.go(&sight, |_, last| last),
            KeyCode::Char('/') => self.mode = Mode::Filter,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char('s') => self.sort = self.sort.next(),
            KeyCode::Char('p' | ' ') => self.pause(now),
            KeyCode::Char('c') => {
                if let Some(job_id) = self.chosen(&sight, now) {
                    self.mode = Mode::Cancel { job_id, reason: String::new() };
                }
            }
            KeyCode::Char('r') => {
                let job_id = self.chosen(&sight, now)?;
                self.notify(format!("asking to retry {} …", short_id(&job_id)), true, now);
                return Some(Order::Retry { job_id });
            }
            KeyCode::Char('l') | KeyCode::Enter => {
                let job_id = self.chosen(&sight, now)?;
                self.mode = Mode::Log(Box::new(Tail::of(&job_id)));
                return Some(Order::Follow(Some(job_id)));
            }
            _ => {}
        }
        None
    }

    /// The job the cursor is on; says so if there is none.
    fn chosen(&mut self, sight: &super::model::Sight, now: Timestamp) -> Option<String> {
        let job = self.job(sight);
        if job.is_none() {
            self.notify("no job is selected: Tab to the jobs or the failures", false, now);
        }
        job
    }

    fn typing(&mut self, key: KeyCode) -> Option<Order> {
        match key {
            KeyCode::Esc => {
                if matches!(self.mode, Mode::Filter) {
                    self.filter.clear();
                }
                self.mode = Mode::Look;
            }
            KeyCode::Enter => {
                if let Mode::Cancel { job_id, reason } = std::mem::take(&mut self.mode) {
                    return Some(Order::Cancel { job_id, reason: reason.trim().to_owned() });
                }
            }
            KeyCode::Backspace => match &mut self.mode {
                Mode::Filter => drop(self.filter.pop()),
                Mode::Cancel { reason, .. } => drop(reason.pop()),
                Mode::Look | Mode::Help | Mode::Log(_) => {}
            },
            KeyCode::Char(letter) => self.typed(letter.encode_utf8(&mut [0; 4])),
            _ => {}
        }
        None
    }

    /// Empties what is typed.
    fn erase(&mut self) {
        match &mut self.mode {
            Mode::Filter => self.filter.clear(),
            Mode::Cancel { reason, .. } => reason.clear(),
            Mode::Look | Mode::Help | Mode::Log(_) => {}
        }
    }
}

/// What a key means to whoever reads a log.
enum Reading {
    On,
    Close,
    Leave,
}

fn reading(tail: &mut Tail, key: KeyCode) -> Reading {
    let page = isize::try_from(PAGE).unwrap_or(1);
    match key {
        KeyCode::Esc | KeyCode::Enter | KeyCode::Char('l') | KeyCode::Backspace => {
            return Reading::Close;
        }
        KeyCode::Char('q') => return Reading::Leave,
        KeyCode::Up | KeyCode::Char('k') => tail.scroll(1),
        KeyCode::Down | KeyCode::Char('j') => tail.scroll(-1),
        KeyCode::PageUp => tail.scroll(page),
        KeyCode::PageDown => tail.scroll(-page),
        KeyCode::Home | KeyCode::Char('g') => tail.scroll(isize::MAX),
        KeyCode::End | KeyCode::Char('G') => tail.scroll(isize::MIN),
        _ => {}
    }
    Reading::On
}
