//! The schema: brought up to date by whoever comes first, one at a time, in one transaction.

use sqlx::migrate::{Migration, MigrationType};
use sqlx::postgres::PgConnection;
use sqlx::{SqlSafeStr as _, query, query_as, raw_sql};

const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "core", include_str!("../../../migrations/postgres/0001_core.sql")),
    (2, "origin", include_str!("../../../migrations/postgres/0002_origin.sql")),
    (3, "rules", include_str!("../../../migrations/postgres/0003_rules.sql")),
    (4, "starts", include_str!("../../../migrations/postgres/0004_starts.sql")),
    (5, "events", include_str!("../../../migrations/postgres/0005_events.sql")),
    (6, "retention", include_str!("../../../migrations/postgres/0006_retention.sql")),
    (7, "figures", include_str!("../../../migrations/postgres/0007_figures.sql")),
    (8, "heard", include_str!("../../../migrations/postgres/0008_heard.sql")),
];

/// Held to the end of the transaction. Any number that nobody else in the database uses: "jobplane".
const LOCK: &str = "SELECT pg_advisory_xact_lock(x'6a6f62706c616e65'::bigint)";

const FOUND: &str = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL, \
    to_regclass('job_status') IS NOT NULL OR to_regclass('jobs') IS NOT NULL";

/// As sqlx keeps it, so that its tools can read it.
const CREATE: &str = "CREATE TABLE IF NOT EXISTS _sqlx_migrations (version bigint PRIMARY KEY, \
    description text NOT NULL, installed_on timestamptz NOT NULL DEFAULT now(), \
    success boolean NOT NULL, checksum bytea NOT NULL, execution_time bigint NOT NULL)";

const APPLIED: &str =
    "SELECT version, description, checksum FROM _sqlx_migrations ORDER BY version";

const NOTE: &str = "INSERT INTO _sqlx_migrations \
    (version, description, success, checksum, execution_time) VALUES ($1, $2, true, $3, 0)";

/// A log in another place than where it came to be is a copy: places in it are not places in the first.
/// That is another cluster, another database, or tables that were made again.
const CLAIM: &str = "UPDATE origin SET store = gen_random_uuid(), home = here.home FROM (\
    SELECT concat_ws(' ', (SELECT system_identifier FROM pg_control_system()), \
    (SELECT oid FROM pg_database WHERE datname = current_database()), \
    'changes'::regclass::oid) AS home) AS here WHERE origin.home <> here.home";

/// Why a schema cannot be used or brought up to date.
#[derive(Debug)]
pub(super) enum Refused {
    TooNew { found: i64, known: i64 },
    Differs { version: i64 },
    Foreign,
    Failed(sqlx::Error),
}

impl From<sqlx::Error> for Refused {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error)
    }
}

fn migrations() -> impl Iterator<Item = Migration> {
    MIGRATIONS.iter().map(|(version, name, sql)| {
        let kind = MigrationType::Simple;
        Migration::new(*version, (*name).into(), kind, (*sql).into_sql_str(), false)
    })
}

/// Migrations that are still to be run: version and name.
pub(super) async fn pending(connection: &mut PgConnection) -> Result<Vec<(i64, String)>, Refused> {
    Ok(open(connection).await?.into_iter().map(named).collect())
}

/// Runs what is still to be run, within a transaction of the caller's; answers what that was.
pub(super) async fn run(connection: &mut PgConnection) -> Result<Vec<(i64, String)>, Refused> {
    query(LOCK).persistent(false).execute(&mut *connection).await?;
    let open = open(connection).await?;
    if open.len() == MIGRATIONS.len() {
        // Only then, for who may not make tables is refused here even if it is there.
        query(CREATE).persistent(false).execute(&mut *connection).await?;
    }
    let mut done = Vec::with_capacity(open.len());
    for migration in open {
        raw_sql(migration.sql.clone()).execute(&mut *connection).await?;
        query(NOTE)
            .persistent(false)
            .bind(migration.version)
            .bind(migration.description.as_ref())
            .bind(migration.checksum.as_ref())
            .execute(&mut *connection)
            .await?;
        done.push(named(migration));
    }
    query(CLAIM).persistent(false).execute(connection).await?;
    Ok(done)
}

fn named(migration: Migration) -> (i64, String) {
    (migration.version, migration.description.into_owned())
}

async fn open(connection: &mut PgConnection) -> Result<Vec<Migration>, Refused> {
    let (kept, used): (bool, bool) =
        query_as(FOUND).persistent(false).fetch_one(&mut *connection).await?;
    let applied: Vec<(i64, String, Vec<u8>)> = match (kept, used) {
        (true, _) => query_as(APPLIED).persistent(false).fetch_all(connection).await?,
        (false, true) => return Err(Refused::Foreign),
        (false, false) => Vec::new(),
    };
    let mut open: Vec<Migration> = migrations().collect();
    let known = open.iter().map(|migration| migration.version).max().unwrap_or(0);
    let is_ours = applied.first().is_none_or(|(version, name, _)| {
        MIGRATIONS.first().is_some_and(|first| first.0 == *version && first.1 == name)
    });
    if !is_ours {
        return Err(Refused::Foreign);
    }
    for (version, _, checksum) in applied {
        match open.iter().position(|migration| migration.version == version) {
            None => return Err(Refused::TooNew { found: version, known }),
            Some(place) if *open[place].checksum != *checksum => {
                return Err(Refused::Differs { version });
            }
            Some(place) => {
                open.remove(place);
            }
        }
    }
    Ok(open)
}
