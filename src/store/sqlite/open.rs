//! Opening the file: its lock, its version, its schema.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _, SqlSafeStr as _};

use crate::store::{Migrations, Store as _};

use super::writer::Writer;
use super::{SqliteStore, version};

/// Older versions may corrupt a WAL database when a checkpoint meets a commit (fixed in 3.51.3).
const SQLITE_VERSION_MIN: (u32, u32, u32) = (3, 51, 3);
/// How long a connection waits for another process that looks into the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections for short reads: one while the other is in use.
const SHORT_READ_POOL: u32 = 2;
/// How long a read waits for a reading connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Rows that may wait between SQLite's thread and ours; the default of 50 stalls batched reads.
const ROW_BUFFER: usize = 2_048;
/// Pages in the write-ahead log at which a commit moves them into the file (16 MiB).
const AUTOCHECKPOINT_PAGES: &str = "4000";
/// Page cache of a connection, in KiB as SQLite wants it: negative.
const CACHE_KIB: &str = "-16384";

const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "core", include_str!("../../../migrations/sqlite/0001_core.sql")),
    (2, "origin", include_str!("../../../migrations/sqlite/0002_origin.sql")),
    (3, "rules", include_str!("../../../migrations/sqlite/0003_rules.sql")),
    (4, "starts", include_str!("../../../migrations/sqlite/0004_starts.sql")),
    (5, "events", include_str!("../../../migrations/sqlite/0005_events.sql")),
    (6, "retention", include_str!("../../../migrations/sqlite/0006_retention.sql")),
    (7, "figures", include_str!("../../../migrations/sqlite/0007_figures.sql")),
    (8, "heard", include_str!("../../../migrations/sqlite/0008_heard.sql")),
];

/// Where the file is and how it is read.
#[derive(Debug, Clone)]
pub struct Options {
    /// The database file, or `sqlite:` followed by it.
    pub url: String,
    /// Connections that read.
    pub read_pool: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { url: "sqlite://jobplane.db".to_owned(), read_pool: 4 }
    }
}

/// Why a file cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL names no file.
    #[error(
        "{url:?} does not name a database file: want a path, sqlite://PATH, or postgres://HOST/NAME for PostgreSQL"
    )]
    Url {
        /// As it was given.
        url: String,
    },
    /// Another process has it.
    #[error(
        "another process serves {}: it holds the lock on {}",
        database.display(),
        lock.display()
    )]
    Locked {
        /// The database file.
        database: PathBuf,
        /// The lock file.
        lock: PathBuf,
    },
    /// The lock file cannot be used.
    #[error("cannot lock {}", lock.display())]
    Lock {
        /// The lock file.
        lock: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The linked SQLite is too old.
    #[error("SQLite {found} is too old: {}.{}.{} or newer is needed", min.0, min.1, min.2)]
    SqliteTooOld {
        /// The linked version.
        found: String,
        /// The oldest that serves.
        min: (u32, u32, u32),
    },
    /// The file is not ours.
    #[error(
        "{} is a database of another program: name a file of jobplane, or one that does not exist \
         yet",
        database.display()
    )]
    Foreign {
        /// The database file.
        database: PathBuf,
    },
    /// A newer server wrote the file.
    #[error(
        "the database has schema {found}, this server knows {known}: use a newer server for it"
    )]
    SchemaTooNew {
        /// The file's schema.
        found: i64,
        /// The newest schema this server knows.
        known: i64,
    },
    /// The schema cannot be brought up to date.
    #[error("cannot bring the schema up to date")]
    Migrate(#[source] MigrateError),
    /// SQLite cannot open the file.
    #[error("cannot open the database file {}", database.display())]
    Open {
        /// The database file.
        database: PathBuf,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
}

impl SqliteStore {
    /// Opens or creates the file and holds it until [`close`](crate::store::Store::close).
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        let database = path(&options.url)?;
        let lock = lock(&database)?;
        let failed = |source| OpenError::Open { database: database.clone(), source };
        let shared = SqliteConnectOptions::new()
            .filename(&database)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(false)
            .row_buffer_size(ROW_BUFFER)
            .pragma("cache_size", CACHE_KIB)
            // What a large statement might have to take back is kept in memory, not in a file made for it.
            .pragma("temp_store", "MEMORY")
            .disable_statement_logging();
        refuse_foreign(&database, &shared).await?;
        let writing = shared
            .clone()
            .create_if_missing(true)
            // Of a new file only: it is what lets pages be given back later.
            .auto_vacuum(SqliteAutoVacuum::Incremental)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("wal_autocheckpoint", AUTOCHECKPOINT_PAGES);
        let mut connection = writing.connect().await.map_err(failed)?;
        let version = version(&mut connection).await.map_err(failed)?;
        check_version(&version)?;
        migrator().run_direct(None, &mut connection, false).await.map_err(refused)?;
        connection.close().await.map_err(failed)?;
        let reading = shared.read_only(true);
        let readers = pool(options.read_pool.max(1), reading.clone()).await.map_err(failed)?;
        let short_readers = pool(SHORT_READ_POOL, reading).await.map_err(failed)?;
        let writer = Writer::open(writing).await.map_err(failed)?;
        Ok(Self {
            writer: Arc::new(tokio::sync::Mutex::new(writer)),
            readers,
            short_readers,
            read_pool: options.read_pool.max(1),
            version,
            lock: parking_lot::Mutex::new(Some(lock)),
        })
    }

    /// The reading connections.
    pub(super) const fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// The connections for short reads.
    pub(super) const fn short_readers(&self) -> &SqlitePool {
        &self.short_readers
    }
}

const APPLIED: &str = "SELECT version FROM _sqlx_migrations ORDER BY version";

/// Brings the file's schema up to date, or with `only_look` says what that would be; answers what it was.
/// To look does not need the file for itself.
pub async fn migrate(options: Options, only_look: bool) -> Result<Migrations, OpenError> {
    let database = path(&options.url)?;
    let open = pending(&database).await?;
    if !only_look && !open.is_empty() {
        SqliteStore::open(options).await?.close().await;
    }
    Ok(open)
}

async fn pending(database: &Path) -> Result<Migrations, OpenError> {
    let shared = SqliteConnectOptions::new().filename(database).busy_timeout(BUSY_TIMEOUT);
    refuse_foreign(database, &shared).await?;
    let failed = |source| OpenError::Open { database: database.to_owned(), source };
    let mut applied: Vec<i64> = Vec::new();
    if database.metadata().is_ok_and(|file| file.len() > 0) {
        let mut looking = shared.read_only(true).connect().await.map_err(failed)?;
        let kept = sqlx::query_scalar(IS_MIGRATED).fetch_one(&mut looking).await.map_err(failed)?;
        if kept {
            applied = sqlx::query_scalar(APPLIED).fetch_all(&mut looking).await.map_err(failed)?;
        }
        looking.close().await.map_err(failed)?;
    }
    let known = MIGRATIONS.iter().map(|(version, ..)| *version).max().unwrap_or(0);
    if let Some(found) = applied.iter().copied().find(|version| *version > known) {
        return Err(OpenError::SchemaTooNew { found, known });
    }
    let open = MIGRATIONS.iter().filter(|(version, ..)| !applied.contains(version));
    Ok(open.map(|(version, name, _)| (*version, (*name).to_owned())).collect())
}

const IS_MIGRATED: &str =
    "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = '_sqlx_migrations')";

/// What migration 0002 writes into the header of the file.
const APPLICATION_ID: i64 = 1_785_684_592;

/// Ours, or without anything in it; or made before files of ours were marked.
const IS_OURS: &str = "SELECT (SELECT application_id FROM pragma_application_id) = ?1 \
    OR NOT EXISTS (SELECT 1 FROM sqlite_schema) \
    OR (SELECT count(*) FROM sqlite_schema WHERE name IN ('job_status', '_sqlx_migrations')) = 2";

/// Looks before anything is written into a file that may be somebody else's.
async fn refuse_foreign(database: &Path, shared: &SqliteConnectOptions) -> Result<(), OpenError> {
    if !database.exists() {
        return Ok(());
    }
    let failed = |source| OpenError::Open { database: database.to_owned(), source };
    let mut looking = shared.clone().read_only(true).connect().await.map_err(failed)?;
    let is_ours = sqlx::query_scalar(IS_OURS).bind(APPLICATION_ID).fetch_one(&mut looking).await;
    looking.close().await.map_err(failed)?;
    match is_ours {
        Ok(true) => Ok(()),
        Ok(false) => Err(OpenError::Foreign { database: database.to_owned() }),
        Err(source) => Err(failed(source)),
    }
}

async fn pool(connections: u32, reading: SqliteConnectOptions) -> sqlx::Result<SqlitePool> {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(reading)
        .await
}

fn path(url: &str) -> Result<PathBuf, OpenError> {
    let path =
        url.strip_prefix("sqlite:").map_or(url, |rest| rest.strip_prefix("//").unwrap_or(rest));
    if path.is_empty() || path.contains([':', '?']) {
        return Err(OpenError::Url { url: url.to_owned() });
    }
    Ok(PathBuf::from(path))
}

fn lock(database: &Path) -> Result<File, OpenError> {
    let mut lock = database.as_os_str().to_owned();
    lock.push(".lock");
    let lock = PathBuf::from(lock);
    let failed = |source| OpenError::Lock { lock: lock.clone(), source };
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).open(&lock).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(OpenError::Locked { database: database.to_owned(), lock })
        }
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

fn check_version(version: &str) -> Result<(), OpenError> {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    if (next(), next(), next()) < SQLITE_VERSION_MIN {
        return Err(OpenError::SqliteTooOld { found: version.to_owned(), min: SQLITE_VERSION_MIN });
    }
    Ok(())
}

fn migrator() -> Migrator {
    let migrations = MIGRATIONS.iter().map(|(version, name, sql)| {
        Migration::new(
            *version,
            (*name).into(),
            MigrationType::Simple,
            (*sql).into_sql_str(),
            false,
        )
    });
    Migrator::with_migrations(migrations.collect())
}

fn refused(error: MigrateError) -> OpenError {
    let known = MIGRATIONS.iter().map(|(version, _, _)| *version).max().unwrap_or(0);
    match error {
        MigrateError::VersionMissing(found) if found > known => {
            OpenError::SchemaTooNew { found, known }
        }
        error => OpenError::Migrate(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_or_path_names_the_file() {
        for (url, want) in [
            ("sqlite://jobplane.db", "jobplane.db"),
            ("sqlite:///var/lib/jobplane.db", "/var/lib/jobplane.db"),
            ("sqlite:jobplane.db", "jobplane.db"),
            ("data/jobplane.db", "data/jobplane.db"),
        ] {
            assert_eq!(path(url).unwrap(), PathBuf::from(want));
        }
        for url in ["", "sqlite:", "sqlite://", "postgres://host/db", "sqlite::memory:"] {
            assert!(path(url).is_err(), "{url}");
        }
    }

    #[test]
    fn sqlite_before_3_51_3_is_refused() {
        assert!(check_version("3.51.3").is_ok());
        assert!(check_version("3.60.0").is_ok());
        assert!(matches!(check_version("3.51.2"), Err(OpenError::SqliteTooOld { .. })));
        assert!(matches!(check_version("3.9.30"), Err(OpenError::SqliteTooOld { .. })));
    }

    #[tokio::test]
    async fn short_reads_do_not_wait_behind_long_ones() {
        use crate::domain::Timestamp;
        use crate::store::Store as _;

        let folder = tempfile::tempdir().unwrap();
        let url = folder.path().join("jobs.db").display().to_string();
        let store = SqliteStore::open(Options { url, read_pool: 1 }).await.unwrap();
        let long = store.readers().acquire().await.unwrap();
        let now = Timestamp::from_micros(0);
        store.load(&[]).await.unwrap();
        store.ping().await.unwrap();
        assert!(store.expired_sessions(now, 1).await.unwrap().is_empty());
        assert!(store.orphans(1).await.unwrap().is_empty());
        assert!(store.due(now, 1).await.unwrap().is_empty());
        drop(long);
        store.close().await;
    }
}
