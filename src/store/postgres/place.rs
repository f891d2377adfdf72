//! A database by its URL: whether it can be reached and used, and what it says when not.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::time::timeout;

use crate::domain::limits::DATABASE_MIGRATION_MAX;

use crate::store::{Migrations, Remedy};

use super::error::code;
use super::hosts::{Hosts, READ_ONLY};
use super::migrations;

/// `pg_current_xact_id` came with 13, `client_connection_check_interval` with 14.
const SERVER_VERSION_MIN: i64 = 140_000;

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL cannot be read. It may hold a password, so it is not repeated.
    #[error(
        "the database's URL cannot be read: want postgres://USER:PASSWORD@HOST:PORT/DATABASE (or \
         several HOST:PORT with commas between), with special characters in the password as %XX"
    )]
    Url(#[source] sqlx::Error),
    /// Nobody answers there.
    #[error("cannot reach PostgreSQL at {place}: is it running there, and does it listen?")]
    Unreachable {
        /// Host and port.
        place: String,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// It does not answer.
    #[error("PostgreSQL at {place} does not answer within {} s", within.as_secs())]
    Silent {
        /// Host and port.
        place: String,
        /// How long it was waited for.
        within: Duration,
    },
    /// It does not let us in.
    #[error("PostgreSQL at {place} does not let {user:?} in: check user, password and pg_hba.conf")]
    Denied {
        /// Host and port.
        place: String,
        /// As whom.
        user: String,
        /// What it said.
        #[source]
        source: sqlx::Error,
    },
    /// There is no such database.
    #[error(
        "there is no database {database:?} at {place}: create it, for example with \
         createdb {database}"
    )]
    NoDatabase {
        /// Its name.
        database: String,
        /// Host and port.
        place: String,
        /// What it said.
        #[source]
        source: sqlx::Error,
    },
    /// The encrypted connection does not come about.
    #[error(
        "no encrypted connection to {place}: check sslmode and sslrootcert in the URL, and the \
         server's certificate"
    )]
    Tls {
        /// Host and port.
        place: String,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// There is no room for another connection.
    #[error(
        "PostgreSQL at {place} takes no further connections: raise max_connections, or give each server fewer"
    )]
    Full {
        /// Host and port.
        place: String,
        /// What it said.
        #[source]
        source: sqlx::Error,
    },
    /// The server is too old.
    #[error("PostgreSQL {found} is too old: 14 or newer is needed")]
    TooOld {
        /// Its version.
        found: String,
    },
    /// It only replays what another one writes.
    #[error("PostgreSQL at {place} is a standby or read-only: name the primary")]
    ReadOnly {
        /// Host and port.
        place: String,
    },
    /// The user may not make tables.
    #[error("the user {user:?} may not {what}: {grant}")]
    NotAllowed {
        /// As whom.
        user: String,
        /// What is missing.
        what: &'static str,
        /// What would give it.
        grant: String,
        /// What it said.
        #[source]
        source: sqlx::Error,
    },
    /// A newer server brought the schema up to date.
    #[error(
        "the database has schema {found}, this server knows {known}: use a newer server for it"
    )]
    SchemaTooNew {
        /// The database's schema.
        found: i64,
        /// The newest schema this server knows.
        known: i64,
    },
    /// A migration was changed after it ran, or only part of it ran.
    #[error(
        "the database's schema {version} is not the one this server knows: it was made by another build"
    )]
    SchemaDiffers {
        /// Which.
        version: i64,
    },
    /// Tables with our names are there that we did not make.
    #[error("the database holds tables of another program: give jobplane a database of its own")]
    Foreign,
    /// The schema cannot be brought up to date.
    #[error("cannot bring the schema up to date")]
    Migrate(#[source] sqlx::Error),
    /// It failed after it was found to be in order.
    #[error("the database fails")]
    Store(#[source] crate::store::Error),
    /// A question about the database was not answered.
    #[error("PostgreSQL at {place} fails")]
    Failed {
        /// Host and port.
        place: String,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
}

impl OpenError {
    /// What has to be done.
    pub(in crate::store) const fn remedy(&self) -> Remedy {
        match self {
            Self::Url(_) => Remedy::Setting,
            // A standby may be made the primary.
            Self::ReadOnly { .. }
            | Self::Unreachable { .. }
            | Self::Silent { .. }
            | Self::Full { .. }
            | Self::Store(_)
            | Self::Failed { .. }
            | Self::Migrate(sqlx::Error::Io(_)) => Remedy::Wait,
            Self::Denied { .. }
            | Self::NoDatabase { .. }
            | Self::Tls { .. }
            | Self::TooOld { .. }
            | Self::NotAllowed { .. }
            | Self::SchemaTooNew { .. }
            | Self::SchemaDiffers { .. }
            | Self::Foreign
            | Self::Migrate(_) => Remedy::Operator,
        }
    }
}

/// What keeps an acknowledged commit on disk, and what it is here.
const DURABILITY: &str = "SELECT name, setting FROM pg_settings \
    WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes') \
    AND setting IN ('off', 'local') ORDER BY name";
const VERSION: &str = "SELECT current_setting('server_version'), \
    current_setting('server_version_num')::bigint";

/// A database by its URL, for what it says when it cannot be used.
pub(super) struct Place {
    pub hosts: Hosts,
    within: Duration,
}

impl Place {
    pub(super) fn of(url: &str, within: Duration) -> Result<Self, OpenError> {
        let hosts = Hosts::of(url, within).map_err(OpenError::Url)?;
        // A pooler does not know that parameter, and nothing here reads floats as text.
        let hosts =
            hosts.with(|options| options.disable_statement_logging().extra_float_digits(None));
        Ok(Self { hosts, within })
    }

    fn place(&self) -> String {
        self.hosts.place()
    }

    pub(super) async fn connect(&self) -> Result<PgConnection, OpenError> {
        match timeout(self.within, self.hosts.connect()).await {
            Ok(connected) => connected.map_err(|error| self.refused(error)),
            Err(_) => Err(OpenError::Silent { place: self.place(), within: self.within }),
        }
    }

    fn refused(&self, source: sqlx::Error) -> OpenError {
        let place = self.place();
        match (&source, code(&source).as_deref()) {
            (_, Some("28000" | "28P01")) => {
                let user = self.hosts.any().get_username().to_owned();
                OpenError::Denied { place, user, source }
            }
            (_, Some("3D000")) => {
                let options = self.hosts.any();
                let database = options.get_database().unwrap_or(options.get_username()).to_owned();
                OpenError::NoDatabase { database, place, source }
            }
            (_, Some("53300")) => OpenError::Full { place, source },
            (sqlx::Error::Tls(_), _) => OpenError::Tls { place, source },
            // What is wrong with a certificate comes by this way.
            (sqlx::Error::Io(error), _) if error.kind() == std::io::ErrorKind::InvalidData => {
                OpenError::Tls { place, source }
            }
            (sqlx::Error::Io(_), _) => OpenError::Unreachable { place, source },
            (_, _) => OpenError::Failed { place, source },
        }
    }

    pub(super) fn unmigrated(&self, refused: migrations::Refused) -> OpenError {
        match refused {
            migrations::Refused::TooNew { found, known } => {
                OpenError::SchemaTooNew { found, known }
            }
            migrations::Refused::Differs { version } => OpenError::SchemaDiffers { version },
            migrations::Refused::Foreign => OpenError::Foreign,
            migrations::Refused::Failed(source)
                if matches!(code(&source).as_deref(), Some("42501" | "3F000")) =>
            {
                let user = self.hosts.any().get_username();
                OpenError::NotAllowed {
                    user: user.to_owned(),
                    what: "make or change tables there",
                    grant: format!(
                        "make it the owner of the database, or GRANT CREATE ON SCHEMA public TO {user}"
                    ),
                    source,
                }
            }
            migrations::Refused::Failed(source) => OpenError::Migrate(source),
        }
    }

    pub(super) async fn migrate(
        &self,
        connection: &mut PgConnection,
    ) -> Result<Migrations, OpenError> {
        let failed = |source| self.refused(source);
        let mut transaction = connection.begin().await.map_err(failed)?;
        let done = timeout(DATABASE_MIGRATION_MAX, migrations::run(&mut transaction)).await;
        let done = done.map_err(|_| OpenError::Silent {
            place: self.place(),
            within: DATABASE_MIGRATION_MAX,
        })?;
        let done = done.map_err(|refused| self.unmigrated(refused))?;
        transaction.commit().await.map_err(failed)?;
        Ok(done)
    }

    /// What the database is, if it can be used.
    pub(super) async fn check(&self, connection: &mut PgConnection) -> Result<String, OpenError> {
        let failed = |source| self.refused(source);
        // One transaction: a pooler may put statements outside of one before different sessions, half of each.
        let mut transaction = connection.begin().await.map_err(failed)?;
        let (version, number): (String, i64) = sqlx::query_as(VERSION)
            .persistent(false)
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
        if number < SERVER_VERSION_MIN {
            return Err(OpenError::TooOld { found: version });
        }
        let read_only: bool = sqlx::query_scalar(READ_ONLY)
            .persistent(false)
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
        if read_only {
            return Err(OpenError::ReadOnly { place: self.place() });
        }
        let weak: Vec<(String, String)> = sqlx::query_as(DURABILITY)
            .persistent(false)
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        for (name, setting) in weak {
            tracing::warn!(
                database.setting = format!("{name} = {setting}"),
                "the database may lose what it said was written"
            );
        }
        Ok(version)
    }
}
