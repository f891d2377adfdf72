//! What the benchmark is told.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::bare::store::Telling;

/// Figures of jobplane against bare baselines, both measured in one run
#[derive(Debug, Clone, clap::Parser)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Options {
    /// One JSON object a line, for programs
    #[arg(long)]
    pub json: bool,
    /// Short: shows that each row can be produced, not what it is
    #[arg(long)]
    pub quick: bool,
    /// Only this row; may be given again
    #[arg(long = "row", value_name = "NAME")]
    pub rows: Vec<String>,
    /// The rows there are
    #[arg(long)]
    pub list: bool,
    /// Pairs of measurements a row
    #[arg(long, value_name = "NUMBER")]
    pairs: Option<usize>,
    /// Seconds of one measurement
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<f64>,
    /// Finished jobs on the large side of rows about many jobs
    #[arg(long, value_name = "NUMBER")]
    jobs: Option<usize>,
    /// Where databases are made, instead of target/tmp: durable figures are those of this disk
    #[arg(long, value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
    /// What a process started by this program does
    #[command(subcommand)]
    pub part: Option<Part>,
}

/// The parts that this program plays in processes of their own.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Part {
    /// Becomes another program on one processor
    #[command(hide = true)]
    Pinned {
        /// The processor
        processor: usize,
        /// The program
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
    /// Serves the bare services
    #[command(hide = true)]
    BareServer,
    /// Runs the bare SQLite loop as told on its input
    #[command(hide = true)]
    BareSqlite {
        /// Where its database is
        folder: PathBuf,
    },
    /// Runs the store alone as told on its input
    #[command(hide = true)]
    Store {
        /// Its database
        url: String,
        /// What is told and recorded
        telling: Telling,
    },
    /// Runs the bare PostgreSQL loop as told on its input
    #[command(hide = true)]
    BarePostgres {
        /// Its database
        url: String,
    },
}

/// How long and how often is measured.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Short?
    pub quick: bool,
    /// Pairs of measurements a row.
    pub pairs: usize,
    /// One measurement.
    pub block: Duration,
    /// Finished jobs on the large side of rows about many jobs, if somebody says.
    jobs: Option<usize>,
}

impl Options {
    /// How long and how often is measured.
    pub fn plan(&self) -> Plan {
        let (pairs, seconds) = if self.quick { (2, 0.3) } else { (7, 1.5) };
        Plan {
            quick: self.quick,
            pairs: self.pairs.unwrap_or(pairs).max(1),
            block: Duration::from_secs_f64(self.seconds.unwrap_or(seconds).clamp(0.05, 60.0)),
            jobs: self.jobs,
        }
    }
}

impl Plan {
    /// Finished jobs on the large side of rows about many jobs.
    pub fn many_jobs(&self) -> usize {
        self.jobs.unwrap_or_else(|| self.pick(1_000_000, 100_000))
    }

    /// `full`, or `quick` if it is to be short.
    pub const fn pick(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }
}
