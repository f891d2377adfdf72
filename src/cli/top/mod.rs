//! `jobplane top`: a full-screen view of a server that people steer by keys.
//!
//! Owns: the terminal ([`terminal`]), the news ([`feed`]), the state of the screen ([`screen`], [`keys`]) and its
//! picture ([`draw`]).
//! Does not own: what a live set of jobs is (`cli::live`).
//! Invariants: the state is pure and changes by events only; drawn when something changed, at most ten times a second;
//! the terminal is given back however the command ends.

mod draw;
mod feed;
mod keys;
mod listing;
mod model;
mod screen;
mod tail;
mod terminal;

#[cfg(test)]
mod tests;

use std::io;
use std::time::Duration;

use crossterm::event::{Event as Input, EventStream};
use futures_util::StreamExt as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::Context;
use super::client::Client;
use super::exit::{Exit, Failure};
use super::output::Out;
use crate::domain::limits::TOP_EVENTS_MAX;
use crate::proto::v1::{JobFilter, JobState};
use crate::runtime::Clock;

use draw::Theme;
use screen::{Event, Order, Screen};
use terminal::Terminal;

/// Drawn no more often than this.
const FRAME: Duration = Duration::from_millis(100);
/// Drawn so often although nothing happens: ages go on.
const IDLE: Duration = Duration::from_secs(1);
/// A filter is a word or two.
const FILTER_CHARS_MAX: usize = 64;
/// The server takes reasons of 1,024 bytes; a letter has up to four.
const REASON_CHARS_MAX: usize = 256;

/// Which jobs.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    filter: super::filter::Filter,
}

/// Shows the server until the user leaves.
pub async fn run(args: Args, context: &Context, out: &mut Out) -> Result<Exit, Failure> {
    if !out.terminal() || !io::IsTerminal::is_terminal(&io::stdin()) {
        return Err(Failure::usage(
            "jobplane top",
            "needs a terminal for its screen and its keys; for plain lines take `jobplane active` \
             or `jobplane watch`",
        ));
    }
    let mut filter = args.filter.wire(context.now())?;
    let client = Client::connect(&context.address, None).await?;
    if filter.states.is_empty() {
        filter.states.push(JobState::Running.into());
    }
    let screen = Screen::new(context.address.to_string(), args.filter.words());
    let theme = Theme { colour: out.colour() };
    Box::pin(show(&client, filter, screen, theme, &context.clock)).await
}

async fn show(
    client: &Client,
    filter: JobFilter,
    mut screen: Screen,
    theme: Theme,
    clock: &Clock,
) -> Result<Exit, Failure> {
    let (events, mut news) = mpsc::channel(TOP_EVENTS_MAX);
    let (orders, todo) = mpsc::channel(TOP_EVENTS_MAX);
    let mut feed = Box::pin(feed::run(client, filter, events, todo));
    let listen = |kind| signal(kind).map_err(Failure::Output);
    let mut ends = (
        listen(SignalKind::terminate())?,
        listen(SignalKind::hangup())?,
        listen(SignalKind::interrupt())?,
    );
    let mut terminal = Terminal::take().map_err(Failure::Output)?;
    let mut keys = EventStream::new();
    let (mut drawn, mut changed) = (Clock::monotonic(), false);
    terminal.draw(&screen, theme, clock.now()).map_err(Failure::Output)?;
    loop {
        let happened = tokio::select! {
            failure = &mut feed => return Err(failure),
            _ = ends.0.recv() => return Ok(Exit::Ok),
            _ = ends.1.recv() => return Ok(Exit::Ok),
            _ = ends.2.recv() => return Ok(Exit::Ok),
            input = keys.next() => match input {
                Some(Ok(Input::Key(key))) => Some(Event::Key(key)),
                Some(Ok(Input::Paste(text))) => Some(Event::Pasted(text)),
                Some(Ok(_)) => None,
                Some(Err(error)) => return Err(Failure::Output(error)),
                // The terminal is gone.
                None => return Ok(Exit::Ok),
            },
            Some(event) = news.recv() => Some(event),
            () = sleep_until(due(drawn, changed)) => {
                terminal.draw(&screen, theme, clock.now()).map_err(Failure::Output)?;
                (drawn, changed) = (Clock::monotonic(), false);
                continue;
            }
        };
        changed = true;
        let order = happened.and_then(|event| screen.update(event, clock.now()));
        match order {
            None => {}
            Some(Order::Quit) => return Ok(Exit::Ok),
            Some(Order::Suspend) => terminal.suspend().map_err(Failure::Output)?,
            Some(Order::Redraw) => terminal.forget().map_err(Failure::Output)?,
            Some(order @ (Order::Cancel { .. } | Order::Retry { .. } | Order::Follow(_))) => {
                let sent = orders.try_send(order);
                if sent.is_err() {
                    let text = "too much is under way: try again".to_owned();
                    screen.update(Event::Answered { text, done: false }, clock.now());
                }
            }
        }
    }
}

/// When to draw next: soon if something changed, but not too often.
fn due(drawn: Instant, changed: bool) -> Instant {
    drawn + if changed { FRAME } else { IDLE }
}
