//! Settings of a database that servers share. A file has none of them.

use std::time::Duration;

use super::Invalid;
use super::transport::{count, span};
use crate::domain::limits::{
    DATABASE_LANES, DATABASE_LANES_MAX, DATABASE_STATEMENT_TIMEOUT, DATABASE_STATEMENT_TIMEOUT_MAX,
    DATABASE_STATEMENT_TIMEOUT_MIN,
};

/// How a shared database is used.
#[derive(Debug, Clone)]
pub struct Database {
    /// Writers.
    pub lanes: u32,
    /// What a single statement may take.
    pub statement_timeout: Duration,
    /// Where to listen for what other servers do, if not at the database's own URL.
    pub listen_url: Option<String>,
    /// Not to listen at all.
    pub no_listen: bool,
    /// Whether the URL leads to a pooler that gives each transaction another session.
    pub pooler: bool,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            lanes: DATABASE_LANES,
            statement_timeout: DATABASE_STATEMENT_TIMEOUT,
            listen_url: None,
            no_listen: false,
            pooler: false,
        }
    }
}

impl Database {
    /// Checks every setting.
    ///
    /// # Errors
    /// With the first one that is out of its bounds.
    pub fn validate(&self) -> Result<(), Invalid> {
        count("database-lanes", self.lanes.into(), 1, DATABASE_LANES_MAX.into())?;
        let (least, most) = (DATABASE_STATEMENT_TIMEOUT_MIN, DATABASE_STATEMENT_TIMEOUT_MAX);
        span("database-statement-timeout", self.statement_timeout, least, most)
    }
}
