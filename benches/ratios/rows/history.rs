//! Databases of many jobs.

use anyhow::Result;
use tempfile::TempDir;

use jobplane::store::sqlite::{Options, SqliteStore};

use super::Setting;
use crate::harness::child::{Server, database, folder};
use crate::harness::history::{History, fill};
use crate::harness::options::Plan;
use crate::harness::questions::Archive;

impl Archive for Setting {
    fn plan(&self) -> Plan {
        self.plan
    }

    async fn servers(&self, [many, few]: [usize; 2]) -> Result<[Server; 2]> {
        let many = Server::over(self.places.server, written(History::of(many)).await?)?;
        Ok([many, Server::over(self.places.server, written(History::of(few)).await?)?])
    }
}

/// A database of so many jobs that have succeeded, written by the store itself.
pub(super) async fn finished(jobs: usize) -> Result<TempDir> {
    written(History::over(jobs)).await
}

/// A database of this history, written by the store itself.
pub(super) async fn written(history: History) -> Result<TempDir> {
    let folder = folder()?;
    let url = database(folder.path()).display().to_string();
    fill(&SqliteStore::open(Options { url, read_pool: 1 }).await?, history).await?;
    Ok(folder)
}
