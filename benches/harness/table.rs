//! Rows: what each compares, and what it should come to.

use std::pin::Pin;

use anyhow::{Result, bail};

use super::measure::Figure;
use super::options::Options;
use super::report;

/// What a row should come to.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    /// The ratio, or the figure if there is no baseline, is no less.
    AtLeast(f64),
    /// It is no more.
    AtMost(f64),
    /// About that, for orientation.
    About(f64),
    /// It is only told.
    Report,
}

/// A measurement under way.
pub type Measured = Pin<Box<dyn Future<Output = Result<Figure>>>>;

/// A row of the table, measured with an `S`.
pub struct Row<S> {
    /// What it is called.
    pub name: &'static str,
    /// What is compared with what.
    pub what: &'static str,
    /// What both sides are counted in.
    pub unit: &'static str,
    /// What it should come to.
    pub target: Target,
    /// Measures it.
    pub measure: fn(S) -> Measured,
}

macro_rules! rows {
    ($setting:ty; $($name:literal, $what:literal, $unit:literal, $target:expr, $measure:expr;)*) => {
        /// All rows, in the order of the table.
        pub const ROWS: &[$crate::harness::table::Row<$setting>] = &[
            $($crate::harness::table::Row {
                name: $name,
                what: $what,
                unit: $unit,
                target: $target,
                measure: |setting| Box::pin($measure(setting)),
            }),*
        ];
    };
}

pub(crate) use rows;

/// Whether there are the rows that are asked for.
pub fn check<S>(rows: &[Row<S>], options: &Options) -> Result<()> {
    for name in &options.rows {
        if !rows.iter().any(|row| row.name == name) {
            bail!("there is no row {name:?}; --list shows those there are");
        }
    }
    Ok(())
}

/// Measures the wanted rows; answers whether each came out.
pub async fn run<S: Clone>(rows: &[Row<S>], options: &Options, setting: S) -> Result<bool> {
    if !options.json {
        report::head();
    }
    let mut all = true;
    let wanted =
        |row: &&Row<S>| options.rows.is_empty() || options.rows.iter().any(|name| name == row.name);
    for row in rows.iter().filter(wanted) {
        match (row.measure)(setting.clone()).await {
            Ok(figure) if options.json => report::json(row, &figure),
            Ok(figure) => report::line(row, &figure),
            Err(error) => {
                all = false;
                report::failed(row, &error, options.json);
            }
        }
    }
    Ok(all)
}
