//! One side of a measurement: servers over a database of their own.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::harness::child::Server;
use crate::harness::machine;
use crate::harness::measure::Measurable;

/// The PostgreSQL of this run.
#[derive(Clone)]
pub struct Postgres {
    cluster: Rc<Cluster>,
    databases: Rc<RefCell<Vec<String>>>,
    /// Where it is; removed after it.
    _folder: Rc<TempDir>,
}

impl Postgres {
    /// That of this cluster, which is in this folder.
    pub fn of(cluster: Cluster, folder: TempDir) -> Self {
        Self { cluster: Rc::new(cluster), databases: Rc::default(), _folder: Rc::new(folder) }
    }

    /// Removes what earlier rows left behind: nobody is to clean up after them meanwhile.
    pub async fn clear(&self) {
        for database in self.databases.take() {
            self.cluster.remove(&database).await;
        }
    }

    /// An empty database: its URL.
    pub async fn database(&self) -> String {
        let database = self.cluster.create(None).await;
        let url = self.cluster.url(&database);
        self.databases.borrow_mut().push(database);
        url
    }

    /// Kills it and starts it again; answers when it takes connections.
    pub fn crash(&self) {
        self.cluster.kill();
        self.cluster.start_again();
    }
}

impl Measurable for Postgres {
    /// Of all its processes, those that ended included.
    fn cpu_time(&self) -> Result<Duration> {
        machine::cpu_time_of_family(self.cluster.pid())
    }
}

/// Servers over a database of their own.
pub struct Side {
    /// Where it is.
    pub url: String,
    /// Its servers.
    pub servers: Vec<Server>,
    postgres: Postgres,
}

impl Side {
    /// Starts so many servers, all on one processor.
    pub async fn start(postgres: &Postgres, processor: usize, servers: usize) -> Result<Self> {
        let url = postgres.database().await;
        // One after the other: the first makes the tables.
        let servers = (0..servers).map(|_| Server::on(processor, &url));
        let servers = servers.collect::<Result<_>>()?;
        Ok(Self { url, servers, postgres: postgres.clone() })
    }

    /// A connection past the servers.
    pub async fn connect(&self) -> Result<PgConnection> {
        PgConnection::connect(&self.url).await.context("no connection to PostgreSQL")
    }

    /// Commits of the store so far.
    pub async fn commits(&self) -> Result<i64> {
        let mut connection = self.connect().await?;
        let commits = sqlx::query_scalar("SELECT count(*) FROM changes");
        let commits = commits.fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok(commits)
    }
}

impl Measurable for Side {
    fn cpu_time(&self) -> Result<Duration> {
        let servers = self.servers.iter().map(Measurable::cpu_time);
        let servers: Duration = servers.sum::<Result<_>>()?;
        Ok(servers + self.postgres.cpu_time()?)
    }
}
