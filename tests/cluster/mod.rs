//! A PostgreSQL for tests only: one cluster for a test binary, made from the binaries of this machine, and a database of
//! its own for each test.
//!
//! A shell keeps the cluster (`guard.sh`). It hears by the end of its input that this process is gone, whatever way it
//! went, and then stops the cluster and removes its folder.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

/// How durable the cluster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disk {
    /// Fast, and lost with the machine: what is written survives `kill -9` of PostgreSQL.
    Lazy,
    /// As PostgreSQL is by default.
    Synced,
}

/// A running PostgreSQL.
pub(crate) struct Cluster {
    folder: PathBuf,
    port: u16,
    options: String,
    databases: AtomicU32,
    guard: Mutex<Guard>,
}

struct Guard {
    // Dropping it is the guard's end; so it must be dropped before the guard is waited for.
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    shell: Child,
}

/// The cluster of this test binary. None if this machine has no PostgreSQL and may do without.
pub(crate) fn shared() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    CLUSTER.get_or_init(|| Cluster::start(Disk::Lazy)).as_ref()
}

impl Cluster {
    /// A new cluster, stopped and removed when it is dropped or this process ends. None if this machine has no
    /// PostgreSQL and may do without.
    pub(crate) fn start(disk: Disk) -> Option<Self> {
        Self::start_in(&std::env::temp_dir(), disk)
    }

    /// The same, in a folder of this one.
    pub(crate) fn start_in(base: &Path, disk: Disk) -> Option<Self> {
        let Some(binaries) = binaries() else {
            let why =
                "no PostgreSQL: initdb is neither on the PATH nor in /usr/lib/postgresql/*/bin";
            assert!(std::env::var_os("JOBPLANE_REQUIRE_ALL").is_none_or(|all| all != "1"), "{why}");
            eprintln!("skipped: {why}");
            return None;
        };
        let folder =
            tempfile::Builder::new().prefix("jobplane-pg-").tempdir_in(base).expect("a folder");
        let folder = folder.keep();
        let mut guard = Guard::new(&binaries, &folder);
        guard.order("init").unwrap_or_else(|why| panic!("initdb failed: {why}"));
        // Another process may take the port before PostgreSQL does.
        for attempt in 1.. {
            let port = free_port();
            let options = options(port, disk);
            match guard.order(&format!("start {options}")) {
                Ok(()) => {
                    let guard = Mutex::new(guard);
                    let databases = AtomicU32::new(0);
                    return Some(Self { folder, port, options, databases, guard });
                }
                Err(why) => {
                    let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
                    assert!(attempt < 5, "PostgreSQL does not start: {why}{log}");
                }
            }
        }
        None
    }

    /// Where a database of it is.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The process that started all others of it.
    pub(crate) fn pid(&self) -> u32 {
        let file = fs::read_to_string(self.folder.join("data/postmaster.pid")).expect("it runs");
        file.lines().next().and_then(|pid| pid.parse().ok()).expect("a pid")
    }

    /// The port it listens on.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// What it wrote to its log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// A connection to a database.
    pub(crate) async fn connect(&self, database: &str) -> PgConnection {
        PgConnection::connect(&self.url(database)).await.expect("a connection")
    }

    /// Makes a database, empty or like `template` (which nobody may be connected to); answers its name.
    pub(crate) async fn create(&self, template: Option<&str>) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let template = template.unwrap_or("template1");
        self.run(format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
        name
    }

    /// Drops a database, whoever is connected to it.
    pub(crate) async fn remove(&self, database: &str) {
        self.run(format!("DROP DATABASE {database} WITH (FORCE)")).await;
    }

    /// Runs a statement that belongs to no database.
    pub(crate) async fn run(&self, statement: String) {
        let mut connection = self.connect("postgres").await;
        connection.execute(AssertSqlSafe(statement)).await.expect("it runs");
        connection.close().await.expect("it closes");
    }

    /// Kills PostgreSQL and all its processes.
    pub(crate) fn kill(&self) {
        self.order("kill");
    }

    /// Stops it in order; clients are thrown out.
    pub(crate) fn stop(&self) {
        self.order("stop fast");
    }

    /// Starts it again after [`kill`](Self::kill) or [`stop`](Self::stop), on the same port.
    pub(crate) fn start_again(&self) {
        self.order(&format!("again {}", self.options));
    }

    fn order(&self, words: &str) {
        let done = self.guard.lock().order(words);
        done.unwrap_or_else(|why| panic!("{words}: {why}{}", self.log()));
    }
}

impl Guard {
    fn new(binaries: &Path, folder: &Path) -> Self {
        let mut command = Command::new("sh");
        // As a word, for whoever it runs as may not be able to read the file.
        command.args(["-c", include_str!("guard.sh"), "guard"]).args([binaries, folder]);
        // Settings of the caller's own PostgreSQL are not for this one.
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        // A group of its own, so that a signal to that of the test leaves it time to clean up.
        command.current_dir("/").process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        // PostgreSQL does not run as root.
        if fs::metadata(folder).expect("a folder").uid() == 0 {
            let (user, group) = servant();
            chown(folder, Some(user), Some(group)).expect("root may");
            command.uid(user).gid(group);
        }
        let mut shell = command.spawn().expect("a shell");
        let orders = shell.stdin.take();
        let answers = BufReader::new(shell.stdout.take().expect("piped"));
        Self { orders, answers, shell }
    }

    /// Gives an order and waits until it is carried out.
    fn order(&mut self, words: &str) -> Result<(), String> {
        let orders = self.orders.as_mut().ok_or("over")?;
        writeln!(orders, "{words}").map_err(|error| error.to_string())?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer).map_err(|error| error.to_string())?;
        if answer.trim() == "0" { Ok(()) } else { Err(format!("code {answer}")) }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.orders.take());
        // Nothing can be done about a guard that does not come to its end.
        let _ = self.shell.wait();
    }
}

/// Where `initdb` is: on the PATH, or the newest that Debian put where it puts all.
fn binaries() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin"))
        .collect();
    folders.sort_by_key(|folder| {
        let version = folder.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        version.and_then(|version| version.parse::<u32>().ok())
    });
    folders.extend(std::env::split_paths(&path).collect::<Vec<_>>().into_iter().rev());
    folders.into_iter().rev().find(|folder| folder.join("initdb").is_file())
}

/// Whom root runs PostgreSQL as.
pub(crate) fn servant() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").expect("users");
    let found = ["postgres", "nobody"].into_iter().find_map(|wanted| {
        users.lines().find_map(|line| {
            let mut fields = line.split(':').filter(|field| *field != "x");
            let name = fields.next()?;
            let user = fields.next()?.parse().ok()?;
            let group = fields.next()?.parse().ok()?;
            (name == wanted).then_some((user, group))
        })
    });
    found.expect("a user postgres or nobody")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

fn options(port: u16, disk: Disk) -> String {
    let durable = match disk {
        Disk::Lazy => "-c fsync=off -c full_page_writes=off",
        Disk::Synced => "-c fsync=on",
    };
    // Nothing but 127.0.0.1: the path of a socket may be too long for one.
    format!(
        "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
         -c max_connections=200 -c shared_buffers=64MB -c timezone=UTC {durable}"
    )
}
