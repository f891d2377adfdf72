//! The measured processes: each on its processor, gone with its handle.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum as _;
use serde_json::Value;
use tempfile::TempDir;

use super::machine;
use super::measure::Measurable;
use crate::bare::orders::{Order, Ran};
use crate::bare::store::Telling;

/// A server that does not come up within this time does not come up.
const UP_WITHIN: Duration = Duration::from_secs(30);

/// Where it listens and what goes wrong, but no line for each change of each job: these are written for an operator,
/// and cost more than the change.
const LOG_LEVEL: &str = "warn,jobplane::app=info";

/// Lines of a server's log that are shown.
const COMPLAINTS_MAX: usize = 3;

/// A process that is killed when this is dropped.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // It may have ended by itself; either way nothing is left of it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where folders are made, if not on the disk of the checkout.
static FOLDER: OnceLock<PathBuf> = OnceLock::new();

/// Has folders made here. Once, before the first.
pub fn make_folders_in(folder: PathBuf) {
    FOLDER.get_or_init(|| folder);
}

/// A folder of its own, gone when this is dropped.
pub fn folder() -> Result<TempDir> {
    let base = FOLDER.get().map_or(Path::new(env!("CARGO_TARGET_TMPDIR")), PathBuf::as_path);
    std::fs::create_dir_all(base)?;
    let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(base);
    folder.with_context(|| format!("cannot make a folder in {}", base.display()))
}

fn pinned(processor: usize) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("pinned").arg(processor.to_string());
    Ok(command)
}

/// A server, jobplane's or the bare one.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    process: Guard,
    /// Of its database, if that is a file.
    folder: Option<TempDir>,
}

impl Server {
    /// Starts jobplane on an empty database.
    pub fn ours(processor: usize) -> Result<Self> {
        Self::over(processor, folder()?)
    }

    /// Starts jobplane on the database in a folder.
    pub fn over(processor: usize, folder: TempDir) -> Result<Self> {
        let url = format!("sqlite://{}", database(folder.path()).display());
        Self::start(jobplane(processor, &url)?, Some(folder))
    }

    /// Starts jobplane on a database that is served by others.
    pub fn on(processor: usize, url: &str) -> Result<Self> {
        Self::start(jobplane(processor, url)?, None)
    }

    /// Starts the bare services.
    pub fn bare(processor: usize) -> Result<Self> {
        let mut command = pinned(processor)?;
        command.arg(std::env::current_exe()?).arg("bare-server");
        Self::start(command, None)
    }

    fn start(mut command: Command, folder: Option<TempDir>) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.env_remove("JOBPLANE_LISTEN").env_remove("JOBPLANE_DATABASE_URL");
        let mut process = Guard(command.spawn().context("cannot start a server")?);
        let log = process.0.stderr.take().context("a server without stderr")?;
        let (tell, told) = mpsc::channel();
        // Reads on until the process ends: a server must not wait for its log.
        std::thread::spawn(move || {
            let mut lines = BufReader::new(log).lines().map_while(Result::ok);
            let mut said = Vec::new();
            for line in &mut lines {
                if let Some(address) = listening(&line) {
                    let _ = tell.send(Ok(address));
                    // What it has to complain of is for whoever runs the benchmark, but not all of it.
                    lines.by_ref().take(COMPLAINTS_MAX).for_each(|line| eprintln!("{line}"));
                    return lines.for_each(drop);
                }
                said.push(line);
            }
            let _ = tell.send(Err(said.join("\n")));
        });
        match told.recv_timeout(UP_WITHIN) {
            Ok(Ok(address)) => Ok(Self { address, process, folder }),
            Ok(Err(said)) => bail!("a server did not start: {said}"),
            Err(_) => bail!("a server did not start within {UP_WITHIN:?}"),
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// The last commit so far, counted from 1.
    pub fn commits(&self) -> Result<i64> {
        let folder = self.folder.as_ref().context("its database is no file")?;
        let file = database(folder.path());
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let connection = rusqlite::Connection::open_with_flags(file, flags)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        let last = "SELECT coalesce(max(sequence), 0) FROM changes";
        Ok(connection.query_row(last, [], |row| row.get(0))?)
    }
}

impl Measurable for Server {
    fn cpu_time(&self) -> Result<Duration> {
        machine::cpu_time(self.pid())
    }
}

fn jobplane(processor: usize, url: &str) -> Result<Command> {
    let mut command = pinned(processor)?;
    command.arg(env!("CARGO_BIN_EXE_jobplane")).arg("serve");
    command.args(["--listen", "127.0.0.1:0", "--log-level", LOG_LEVEL, "--database-url", url]);
    Ok(command)
}

/// The database in a server's folder.
pub fn database(folder: &Path) -> PathBuf {
    folder.join("jobs.db")
}

/// The address in a line of a server's log that says it listens.
fn listening(line: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = line.get("fields").unwrap_or(&line);
    let message = fields.get("message").or_else(|| line.get("message"))?;
    (message == "listening").then(|| fields.get("address")?.as_str()?.parse().ok())?
}

/// A bare loop over a store's statements.
pub struct Loop {
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    _process: Guard,
    _folder: Option<TempDir>,
}

impl Loop {
    /// Starts that of SQLite on an empty database.
    pub fn sqlite(processor: usize) -> Result<Self> {
        let folder = folder()?;
        let mut command = pinned(processor)?;
        command.arg(std::env::current_exe()?).arg("bare-sqlite").arg(folder.path());
        Self::start(command, Some(folder))
    }

    /// Starts that over the store of SQLite on an empty database.
    pub fn sqlite_store(processor: usize, telling: Telling) -> Result<Self> {
        let folder = folder()?;
        let url = database(folder.path()).display().to_string();
        Self::over_store(processor, &url, telling, Some(folder))
    }

    /// Starts that over the store of PostgreSQL on an empty database.
    pub fn postgres_store(processor: usize, url: &str, telling: Telling) -> Result<Self> {
        Self::over_store(processor, url, telling, None)
    }

    fn over_store(
        processor: usize,
        url: &str,
        telling: Telling,
        folder: Option<TempDir>,
    ) -> Result<Self> {
        let telling = telling.to_possible_value().context("a part without a name")?;
        let mut command = pinned(processor)?;
        command.arg(std::env::current_exe()?).args(["store", url, telling.get_name()]);
        Self::start(command, folder)
    }

    /// Starts that of PostgreSQL on an empty database.
    pub fn postgres(processor: usize, url: &str) -> Result<Self> {
        let mut command = pinned(processor)?;
        command.arg(std::env::current_exe()?).args(["bare-postgres", url]);
        Self::start(command, None)
    }

    fn start(mut command: Command, folder: Option<TempDir>) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Guard(command.spawn().context("cannot start a bare loop")?);
        let orders = process.0.stdin.take().context("a loop without stdin")?;
        let answers = process.0.stdout.take().context("a loop without stdout")?;
        let answers = BufReader::new(answers);
        Ok(Self { orders, answers, _process: process, _folder: folder })
    }

    /// Has it begin.
    pub fn begin(&mut self, order: &Order) -> Result<()> {
        writeln!(self.orders, "{}", serde_json::to_string(order)?)?;
        self.orders.flush()?;
        Ok(())
    }

    /// Waits for what came of it.
    pub fn end(&mut self) -> Result<Ran> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("a bare loop said {line:?}"))
    }

    /// Has it run, and waits.
    pub fn run(&mut self, order: &Order) -> Result<Ran> {
        self.begin(order)?;
        self.end()
    }
}
