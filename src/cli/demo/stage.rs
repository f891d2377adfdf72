//! The server of the demo: in this process, on a database that lives as long as it does.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use crate::app::App;
use crate::cli::client::Address;
use crate::config::Config;
use crate::store::sqlite::{Options, SqliteStore};

/// What the server may take to stop: Ctrl-C is to be felt.
const STOP_WITHIN: Duration = Duration::from_millis(1_000);

/// The server.
pub struct Stage {
    app: App,
}

impl Stage {
    /// Starts it on a free port, with its database in `folder`.
    ///
    /// # Errors
    ///
    /// The database cannot be made there, or no port is free.
    pub async fn open(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("jobplane.db");
        let config = Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            database_url: path.to_string_lossy().into_owned(),
            shutdown_within: STOP_WITHIN,
            ..Config::default()
        };
        let options =
            Options { url: config.database_url.clone(), read_pool: config.read_connections };
        let store = SqliteStore::open(options).await?;
        let app = App::start(&config, Arc::new(store)).await.context("cannot start the server")?;
        Ok(Self { app })
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// Never: a socket's address is one.
    pub fn address(&self) -> anyhow::Result<Address> {
        self.app.address.to_string().parse().map_err(anyhow::Error::msg)
    }

    /// Ends when the server has failed; answers of what.
    pub async fn failed(&self) -> anyhow::Error {
        self.app.failed().await.into()
    }

    /// Stops it.
    pub async fn close(self) {
        self.app.stop().await;
    }
}
