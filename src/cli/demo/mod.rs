//! `jobplane demo`: a server, workers and real work, on this machine and for a short time.
//!
//! Owns: the server in this process ([`stage`]), the workers ([`crew`], [`bench`]) and their work ([`work`]), what is
//! done when ([`plan`], [`director`]), the picture ([`show`], [`picture`], [`inline`]) and the reckoning ([`ledger`],
//! [`check`], [`summary`]).
//! Does not own: anything a user's own server and workers do otherwise: jobs are submitted, run, watched and cancelled
//! over gRPC on loopback.
//! Invariants: it ends in time; nothing outside its temporary folder is written, and nothing of it is left.

mod bench;
mod check;
mod crew;
mod director;
mod inline;
mod ledger;
mod picture;
mod plan;
mod show;
mod speed;
mod stage;
mod summary;
mod work;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Signal as Posix, getpid, kill_process};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::client::{Address, Client};
use super::exit::{Exit, Failure};
use super::format;
use super::output::{Format, Out};
use super::screen::{Frames, Signal, Signals};
use crate::runtime::Clock;

use check::Account;
use crew::Crew;
use director::{Director, Step};
use inline::Inline;
use ledger::Ledger;
use show::Kind;
use speed::Speed;
use stage::Stage;
use work::Shelf;

/// What is left of the time, when the work is over, for the reckoning and for tidying up.
const RESERVE: Duration = Duration::from_millis(700);
/// The part of the time that the plan fills; the rest is for what nobody planned.
const FILLED: f64 = 0.92;
/// The part of the time that is played in any case: a machine so busy that the files take the rest of it to be made is
/// given more time, because nothing to see would agree with itself, too.
const PLAYED_MIN: f64 = 0.5;
/// What the workers may take to leave.
const LEAVE_WITHIN: Duration = Duration::from_millis(400);
/// What the server may take to answer the last report.
const SETTLE_WITHIN: Duration = Duration::from_secs(2);
/// Files to work on, and how large each is: 3 MiB in all, and a few times that with what is made of them.
const FILES: usize = 128;
/// See [`FILES`].
const FILE_BYTES: usize = 24 * 1024;

/// How long.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Args {
    /// How long it takes, in seconds; 3 to 3600
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(3..=3_600))]
    seconds: u64,
    /// Go on with new jobs after that, until Ctrl-C
    #[arg(long)]
    keep: bool,
}

/// Plays the demo, and tidies up however it ends.
pub async fn run(args: Args, out: &mut Out) -> Result<Exit, Failure> {
    let begin = Clock::monotonic();
    let mut signals = Signals::new()?;
    let folder = tempfile::Builder::new()
        .prefix("jobplane-demo-")
        .tempdir()
        .map_err(|error| local("make a temporary folder", &error.into()))?;
    let stage =
        Stage::open(folder.path()).await.map_err(|error| local("start a server", &error))?;
    let ended = on_stage(args, begin, &stage, folder.path(), &mut signals, out).await;
    stage.close().await;
    let tidied = remove(folder).await;
    let exit = ended?;
    tidied?;
    if exit == Exit::Ok && out.format() == Format::Table {
        out.lines(summary::next())?;
    }
    Ok(exit)
}

async fn on_stage(
    args: Args,
    begin: Instant,
    stage: &Stage,
    folder: &Path,
    signals: &mut Signals,
    out: &mut Out,
) -> Result<Exit, Failure> {
    let clock = Clock::new();
    let address = stage.address().map_err(|error| local("find the server", &error))?;
    if out.format() == Format::Table {
        out.lines(opening(&address))?;
        out.flush()?;
    }
    let client = Client::connect(&address, None).await?;
    let files = folder.join("files");
    let made = tokio::task::spawn_blocking(move || prepare(&files)).await;
    let (shelf, speed) = made
        .map_err(anyhow::Error::new)
        .and_then(|made| made)
        .map_err(|error| local("make the files to work on", &error))?;
    let ledger = Ledger::default();
    let crew = Crew::start(&address, &shelf, &ledger, &clock);
    let time = Duration::from_secs(args.seconds);
    let until = (begin + time - RESERVE).max(Clock::monotonic() + time.mul_f64(PLAYED_MIN));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let cores = u32::try_from(cores).unwrap_or(u32::MAX);
    let director = Director::new(&client);
    let play = Play {
        args,
        begin,
        until,
        speed,
        cores,
        address,
        stage,
        ledger,
        clock,
        director,
        rounds: 0,
    };
    let ended = play.run(signals, out).await;
    crew.leave(LEAVE_WITHIN).await;
    ended
}

fn opening(address: &Address) -> Vec<String> {
    vec![
        format!(
            "A jobplane server at {address}, {} workers with {} slots, and real work on this machine:",
            crew::NAMES.len(),
            plan::SLOTS
        ),
        "files are copied, checked, compressed and counted; primes and a picture are computed."
            .to_owned(),
        format!("Look at it from another terminal: jobplane top --endpoint {address}"),
        String::new(),
    ]
}

/// Makes the files, and measures how fast this machine works on them.
fn prepare(folder: &Path) -> anyhow::Result<(Arc<Shelf>, Speed)> {
    let shelf = Arc::new(Shelf::make(folder, FILES, FILE_BYTES)?);
    let speed = Speed::measure(&shelf)?;
    Ok((shelf, speed))
}

/// The performance.
struct Play<'a> {
    args: Args,
    begin: Instant,
    until: Instant,
    speed: Speed,
    cores: u32,
    address: Address,
    stage: &'a Stage,
    ledger: Ledger,
    clock: Clock,
    director: Director<'a>,
    rounds: usize,
}

impl Play<'_> {
    async fn run(mut self, signals: &mut Signals, out: &mut Out) -> Result<Exit, Failure> {
        let table = out.format() == Format::Table;
        if let Some(exit) = self.round(self.until, signals, out).await? {
            return Ok(exit);
        }
        let took = Clock::monotonic().duration_since(self.begin);
        let account = self.reckon().await?;
        match out.format() {
            Format::Table => {
                out.lines(summary::lines(&self.director.show, &account, took, out.colour()))?;
            }
            Format::Json | Format::Jsonl => out.value(&summary::json(&account, took))?,
        }
        out.flush()?;
        if !account.differences.is_empty() {
            return Ok(Exit::JobFailed);
        }
        if !self.args.keep {
            return Ok(Exit::Ok);
        }
        if table {
            out.line("")?;
            out.line(&format!("The server stays, with new jobs, until Ctrl-C: {}", self.address))?;
        }
        loop {
            let until = Clock::monotonic() + Duration::from_secs(self.args.seconds);
            if let Some(exit) = self.round(until, signals, out).await? {
                // It was over before; this is how it is meant to end.
                return Ok(if exit == Exit::Interrupted { Exit::Ok } else { exit });
            }
        }
    }

    /// Plays a round to its end; answers how to leave, if it was told to.
    async fn round(
        &mut self,
        until: Instant,
        signals: &mut Signals,
        out: &mut Out,
    ) -> Result<Option<Exit>, Failure> {
        let start = Clock::monotonic();
        let window = until.saturating_duration_since(start).mul_f64(FILLED);
        let jobs = plan::round(self.rounds, window, &self.speed, self.cores);
        self.rounds += 1;
        self.director.round(jobs, plan::back_off(window), until);
        let told = out.format() == Format::Table;
        let whole = until.saturating_duration_since(self.begin);
        let (mut view, mut frames) = (Inline::new(out), Frames::new());
        loop {
            self.director.act().await?;
            let clock = &self.clock;
            tokio::select! {
                step = self.director.step(|| clock.now()) => match step? {
                    Step::Over => return Ok(None),
                    Step::News(news) => {
                        frames.changed();
                        if told {
                            let lines = self.lines(news, &view);
                            if !lines.is_empty() {
                                view.print(&lines)?;
                                view.draw(&self.rows(whole, &view))?;
                            }
                        }
                    }
                },
                signal = signals.next() => match signal {
                    Signal::Interrupt => return Ok(Some(Exit::Interrupted)),
                    Signal::Terminate => return Ok(Some(Exit::Terminated)),
                    Signal::Resize => frames.changed(),
                    Signal::Suspend => {
                        view.clear()?;
                        kill_process(getpid(), Posix::STOP)
                            .map_err(|error| Failure::Output(error.into()))?;
                        frames.changed();
                    }
                },
                error = self.stage.failed() => return Err(local("keep the server", &error)),
                () = frames.due() => if told {
                    view.draw(&self.rows(whole, &view))?;
                },
            }
        }
    }

    /// The lines for what happened. Where rows move, only ends are worth one.
    fn lines(&self, news: Vec<show::News>, view: &Inline<'_>) -> Vec<String> {
        let (since, now) = (Clock::monotonic().duration_since(self.begin), self.clock.now());
        let worth = |kind| !view.moves() || matches!(kind, Kind::AttemptFailed | Kind::Over);
        let news = news.into_iter().filter(|news| worth(news.kind));
        news.map(|news| picture::told(&news, since, now, view.colour())).collect()
    }

    fn rows(&self, whole: Duration, view: &Inline<'_>) -> Vec<String> {
        let since = Clock::monotonic().duration_since(self.begin);
        let show = &self.director.show;
        picture::rows(show, since, whole, self.clock.now(), view.colour())
    }

    /// Reads the state back from the server and holds it against what the workers say.
    async fn reckon(&self) -> Result<Account, Failure> {
        let patience = Clock::monotonic() + SETTLE_WITHIN;
        while !self.ledger.settled() && Clock::monotonic() < patience {
            sleep(Duration::from_millis(20)).await;
        }
        let (jobs, figures) = self.director.account().await?;
        Ok(check::account(&jobs, &figures, &self.ledger.entries()))
    }
}

/// Removes the folder and everything in it.
async fn remove(folder: TempDir) -> Result<(), Failure> {
    let path = format::plain(&folder.path().to_string_lossy());
    let removed = tokio::task::spawn_blocking(move || folder.close()).await;
    let removed = removed.map_err(anyhow::Error::new).and_then(|done| done.map_err(Into::into));
    removed.map_err(|error| local(&format!("remove {path}"), &error))
}

/// Something on this machine does not do what it must.
fn local(doing: &str, error: &anyhow::Error) -> Failure {
    Failure::Local { doing: doing.to_owned(), cause: format!("{error:#}") }
}
