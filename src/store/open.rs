//! Which store a URL means.

use std::sync::Arc;
use std::time::Duration;

use super::postgres::{self, Listen, PostgresStore};
use super::sqlite::{self, SqliteStore};
use super::{Store, postgres::LeaseClock};

/// Where jobs are kept, and how that is used.
#[derive(Debug, Clone)]
pub struct Options {
    /// `postgres://…` is a database that servers share; anything else is a file.
    pub url: String,
    /// Connections for what may take long.
    pub read_connections: u32,
    /// Connections that write; of a shared database only.
    pub lanes: u32,
    /// What a single statement may take; of a shared database only.
    pub statement_timeout: Duration,
    /// How it is heard what other servers do; of a shared database only.
    pub listen: Listen,
    /// Whether the URL leads to a pooler; of a shared database only.
    pub pooler: bool,
}

/// Why it cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file.
    #[error(transparent)]
    Sqlite(#[from] sqlite::OpenError),
    /// A shared database.
    #[error(transparent)]
    Postgres(#[from] postgres::OpenError),
}

/// What has to be done before it can be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// The URL is wrong.
    Setting,
    /// Somebody changes the database, what may be done with it, or the version of this server.
    Operator,
    /// The database comes back, or has room again.
    Wait,
    /// Another process that has it leaves.
    Held,
    /// The file, or its folder, can be used on this machine.
    File,
}

impl OpenError {
    /// What has to be done.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Sqlite(error) => error.remedy(),
            Self::Postgres(error) => error.remedy(),
        }
    }
}

/// A migration by its number and name.
pub type Migrations = Vec<(i64, String)>;

/// Whether the URL means a database that servers share.
#[must_use]
pub fn is_shared(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

impl Options {
    fn postgres(&self) -> postgres::Options {
        postgres::Options {
            url: self.url.clone(),
            lanes: self.lanes,
            read_connections: self.read_connections,
            statement_timeout: self.statement_timeout,
            listen: self.listen.clone(),
            pooler: self.pooler,
            clock: LeaseClock::Database,
        }
    }

    fn sqlite(&self) -> sqlite::Options {
        sqlite::Options { url: self.url.clone(), read_pool: self.read_connections }
    }
}

/// Opens it, and brings its schema up to date.
pub async fn open(options: &Options) -> Result<Arc<dyn Store>, OpenError> {
    Ok(if is_shared(&options.url) {
        Arc::new(PostgresStore::open(options.postgres()).await?)
    } else {
        Arc::new(SqliteStore::open(options.sqlite()).await?)
    })
}

/// Brings the schema up to date, or with `only_look` says what that would be; answers what it was.
pub async fn migrate(options: &Options, only_look: bool) -> Result<Migrations, OpenError> {
    Ok(if is_shared(&options.url) {
        postgres::migrate(&options.postgres(), only_look).await?
    } else {
        sqlite::migrate(options.sqlite(), only_look).await?
    })
}
