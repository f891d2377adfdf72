//! The hosts that a database may be on: a primary and the standbys that may take its place.
//!
//! Invariant: of several hosts, only the one that takes writes is ever used. Whoever it is, is found anew by
//! each connection, the one that it was last comes first.

use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::time::timeout;

/// Whether a server only replays what another one writes.
pub(super) const READ_ONLY: &str =
    "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::bool";

/// What others ask of several hosts and what is asked here in any case.
const WRITABLE: [&str; 2] = ["target_session_attrs=read-write", "target_session_attrs=primary"];

/// How each of the hosts is connected to.
#[derive(Debug, Clone)]
pub(super) struct Hosts {
    options: Vec<PgConnectOptions>,
    /// Which of them took writes when it was last asked.
    last: Arc<AtomicUsize>,
    /// How long one of several is waited for.
    within: Duration,
}

impl Hosts {
    /// Those of a URL, of which each is waited for so long that all are asked `within` that time.
    pub(super) fn of(url: &str, within: Duration) -> sqlx::Result<Self> {
        let options = urls(url).into_iter().map(|url| PgConnectOptions::from_str(&url));
        let options = options.collect::<sqlx::Result<Vec<_>>>()?;
        let share = u32::try_from(options.len()).unwrap_or(u32::MAX).max(1);
        Ok(Self { options, last: Arc::default(), within: within / share })
    }

    /// The same hosts, connected to in another way.
    pub(super) fn with(&self, change: impl FnMut(PgConnectOptions) -> PgConnectOptions) -> Self {
        let options = self.options.iter().cloned().map(change).collect();
        Self { options, last: Arc::clone(&self.last), within: self.within }
    }

    /// What is the same for all of them.
    pub(super) fn any(&self) -> &PgConnectOptions {
        &self.options[0]
    }

    /// Where they are, for people.
    pub(super) fn place(&self) -> String {
        let place = |options: &PgConnectOptions| match options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => format!("{}:{}", options.get_host(), options.get_port()),
        };
        self.options.iter().map(place).collect::<Vec<_>>().join(",")
    }

    /// Connects to the one that takes writes. A single one is not asked whether it does.
    pub(super) async fn connect(&self) -> sqlx::Result<PgConnection> {
        Ok(self.search().await?.0)
    }

    /// How the one that takes writes is connected to.
    pub(super) async fn writable(&self) -> sqlx::Result<PgConnectOptions> {
        if let [options] = self.options.as_slice() {
            return Ok(options.clone());
        }
        let (connection, options) = self.search().await?;
        // The goodbye is a courtesy.
        let _ = timeout(self.within, connection.close()).await;
        Ok(options)
    }

    async fn search(&self) -> sqlx::Result<(PgConnection, PgConnectOptions)> {
        if let [options] = self.options.as_slice() {
            return Ok((options.connect().await?, options.clone()));
        }
        let count = self.options.len();
        let first = self.last.load(Ordering::Relaxed);
        let mut failed = None;
        for at in (first..first + count).map(|at| at % count) {
            let options = &self.options[at];
            match timeout(self.within, connect_to_primary(options)).await {
                Ok(Ok(connection)) => {
                    self.last.store(at, Ordering::Relaxed);
                    return Ok((connection, options.clone()));
                }
                Ok(Err(error)) => failed = Some(telling(failed, error)),
                Err(_) => failed = Some(telling(failed, nobody("a host does not answer"))),
            }
        }
        Err(failed.unwrap_or_else(|| nobody("there is no host")))
    }
}

async fn connect_to_primary(options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
    let mut connection = options.connect().await?;
    let query = sqlx::query_scalar(READ_ONLY).persistent(false);
    if query.fetch_one(&mut connection).await? {
        return Err(nobody(
            "of several hosts none takes writes, and one is a standby or read-only",
        ));
    }
    Ok(connection)
}

/// Of what went wrong with two hosts, what tells more: that of a server that answered.
fn telling(before: Option<sqlx::Error>, error: sqlx::Error) -> sqlx::Error {
    match before {
        Some(before @ sqlx::Error::Database(_)) => before,
        Some(_) | None => error,
    }
}

fn nobody(why: &'static str) -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::NotConnected, why))
}

/// A URL for each host of one that names several: `postgres://user@a:5432,b:5433/database`.
fn urls(url: &str) -> Vec<String> {
    let Some((scheme, rest)) = url.split_once("://") else { return vec![url.to_owned()] };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let (user, hosts) = match authority.rsplit_once('@') {
        Some((user, hosts)) => (format!("{user}@"), hosts),
        None => (String::new(), authority),
    };
    let rest = WRITABLE.iter().fold(rest.to_owned(), |rest, wish| without(&rest, wish));
    hosts.split(',').map(|host| format!("{scheme}://{user}{host}{rest}")).collect()
}

/// The path and query of a URL without a parameter.
fn without(rest: &str, parameter: &str) -> String {
    let Some((path, query)) = rest.split_once('?') else { return rest.to_owned() };
    let kept: Vec<&str> = query.split('&').filter(|each| *each != parameter).collect();
    if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) }
}

#[cfg(test)]
mod tests;
