//! Databases of many jobs.

use anyhow::Result;
use sqlx::{Connection as _, Executor as _, PgConnection};

use jobplane::store::postgres::{Options, PostgresStore};

use super::Setting;
use crate::harness::child::Server;
use crate::harness::history::{History, fill};
use crate::harness::options::Plan;
use crate::harness::questions::Archive;

impl Archive for Setting {
    fn plan(&self) -> Plan {
        self.plan
    }

    async fn servers(&self, [many, few]: [usize; 2]) -> Result<[Server; 2]> {
        self.postgres.clear().await;
        Ok([server(self, many).await?, server(self, few).await?])
    }
}

/// A server over a database of so many jobs, tidied up as PostgreSQL does by itself some minutes later.
async fn server(setting: &Setting, jobs: usize) -> Result<Server> {
    let url = setting.postgres.database().await;
    let options = Options { url: url.clone(), ..Options::default() };
    fill(&PostgresStore::open(options).await?, History::of(jobs)).await?;
    let mut connection = PgConnection::connect(&url).await?;
    connection.execute("VACUUM ANALYZE").await?;
    connection.close().await?;
    Server::on(setting.places.server, &url)
}
