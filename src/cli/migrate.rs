//! `jobplane migrate`: brings a database's schema up to date without a server.

use std::process::ExitCode;

use serde_json::json;

use super::exit::Failure;
use super::output::{self, Format, Out};
use super::serve::database::Url;
use super::serve::ended;
use crate::app;
use crate::config::Config;
use crate::telemetry::chain;

/// Which database.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    url: Url,
    /// Change nothing; exit with 1 if there is something to do
    #[arg(long)]
    check: bool,
}

/// Migrates, or looks whether there is something to migrate.
///
/// # Errors
/// What was found cannot be written.
pub async fn run(args: Args, out: &mut Out) -> Result<ExitCode, Failure> {
    let config = Config { database_url: args.url.database_url, ..Config::default() };
    let migrations = match app::migrate(&config, args.check).await {
        Ok(migrations) => migrations,
        Err(error) => {
            output::warn(&format!("error: {}", chain(error.as_ref())));
            return Ok(ended::by(&error).into());
        }
    };
    if out.format() == Format::Table {
        let done = if args.check { "to be applied" } else { "applied" };
        let line = |(version, name): &(i64, String)| format!("{done}: {version:04} {name}");
        out.lines(migrations.iter().map(line))?;
        if migrations.is_empty() {
            out.line("the schema is up to date")?;
        }
    } else {
        let migrations: Vec<_> = migrations
            .iter()
            .map(|(version, name)| json!({"version": version, "name": name}))
            .collect();
        out.value(&json!({"migrations": migrations, "applied": !args.check}))?;
    }
    let open = args.check && !migrations.is_empty();
    Ok(if open { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
