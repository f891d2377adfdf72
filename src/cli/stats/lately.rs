//! How the last minute, hour and day went, and how quotas stand.

use super::super::exit::Failure;
use super::super::format;
use super::super::output::Out;
use super::super::paint::Paint;
use super::super::table::{Cell, Table};
use super::measured;
use crate::domain::Timestamp;
use crate::proto::v1::QuotaUsage;
use crate::proto::v1::get_stats_response::{Stats, Window};

/// The columns.
const ALL: [&str; 15] = [
    "LAST",
    ">CREATED",
    ">SUCCEEDED",
    ">FAILED",
    ">CANCELLED",
    ">SKIPPED",
    ">FAILURES",
    ">RATE",
    ">WAIT MEAN",
    ">RUN MEAN",
    ">WAIT P95",
    ">WAIT P99",
    ">RUN P50",
    ">RUN P95",
    ">RUN P99",
];
/// Those of them that need no percentiles.
const PLAIN: usize = 10;

/// The columns that are given up first where there is no room for all.
const SPARE: [&str; 8] =
    ["RUN P99", "WAIT P99", "RUN P50", "WAIT MEAN", "RATE", "SKIPPED", "CANCELLED", "CREATED"];

/// From here on a double may stand for several whole numbers.
const EXACT_BELOW: f64 = 9_007_199_254_740_992.0;

/// A line for each window that is known, and the counters of the day.
pub(super) fn show(total: &Stats, out: &mut Out) -> Result<(), Failure> {
    let windows = [("minute", &total.minute), ("hour", &total.hour), ("day", &total.day)];
    let known = windows.into_iter().filter_map(|(name, of)| Some((name, of.as_ref()?)));
    // Of an owner or a label nobody knows how what took long was spread.
    let spreads = total.minute.is_some();
    let rows: Vec<_> = known.map(|(name, window)| row(name, window, spreads)).collect();
    if rows.is_empty() {
        out.line(
            "what happened lately is not known: see --stats-by-owner, --stats-by-label of serve",
        )?;
        return out.line("");
    }
    let mut table = Table::new(if spreads { &ALL } else { &ALL[..PLAIN] }).spare(&SPARE);
    table.write(&rows, out)?;
    out.line("")?;
    let counters = total.day.iter().flat_map(|day| &day.counters);
    let counters: Vec<_> =
        counters.map(|(name, sum)| format!("{} {}", format::plain(name), amount(*sum))).collect();
    if !counters.is_empty() {
        out.line(&format!("counted in the last day: {}", counters.join("  ")))?;
        out.line("")?;
    }
    Ok(())
}

/// A sum of what workers counted: whole if it is, else to two digits.
fn amount(sum: f64) -> String {
    if sum.fract() == 0.0 && sum.abs() < EXACT_BELOW {
        #[expect(clippy::cast_possible_truncation, reason = "whole, and below 2^53")]
        return format::count(sum as i64);
    }
    format!("{sum:.2}")
}

fn row(name: &str, window: &Window, spreads: bool) -> Vec<Cell> {
    let (wait, run) = (window.wait.unwrap_or_default(), window.run.unwrap_or_default());
    let ended = window.succeeded + window.failed;
    let failures = (ended > 0).then(|| format::percent(100.0 * window.failure_rate));
    let red = (window.failed > 0).then_some(Paint::Red);
    let mut cells = vec![Cell::from(name)];
    let Window { created, succeeded, failed, cancelled, skipped, .. } = *window;
    cells.extend([created, succeeded].map(|count| Cell::from(format::count(count))));
    cells.push(Cell::from(format::count(failed)).painted(red));
    cells.extend([cancelled, skipped].map(|count| Cell::from(format::count(count))));
    cells.push(Cell::from(failures.unwrap_or_default()).painted(red));
    cells.push(Cell::from(format::rate(window.throughput_per_second).unwrap_or_default()));
    cells.push(measured(&wait, wait.mean.as_ref()).into());
    cells.push(measured(&run, run.mean.as_ref()).into());
    if spreads {
        let of_wait = [&wait.p95, &wait.p99].map(|span| measured(&wait, span.as_ref()));
        let of_run = [&run.p50, &run.p95, &run.p99].map(|span| measured(&run, span.as_ref()));
        cells.extend(of_wait.into_iter().chain(of_run).map(Cell::from));
    }
    cells
}

/// A line for each quota, the ones that are used up in red.
pub(in super::super) fn quotas(
    quotas: &[QuotaUsage],
    now: Timestamp,
    out: &mut Out,
) -> Result<(), Failure> {
    let (mut table, rows) = quota_rows(quotas, now);
    table.write(&rows, out)
}

/// The same as a table and its rows.
pub(in super::super) fn quota_rows(
    quotas: &[QuotaUsage],
    now: Timestamp,
) -> (Table, Vec<Vec<Cell>>) {
    let row = |quota: &QuotaUsage| {
        let spent = (quota.remaining <= 0).then_some(Paint::Red);
        let resets = quota.reset_time.as_ref().map(|at| format::age(at, now));
        vec![
            Cell::from(&quota.name),
            Cell::from(format::count(quota.used)),
            Cell::from(format::count(quota.remaining)).painted(spent),
            Cell::from(format::count(quota.limit)),
            Cell::from(resets.unwrap_or_default()),
        ]
    };
    let table = Table::new(&["<QUOTA", ">USED", ">LEFT", ">LIMIT", "RESETS"]);
    (table, quotas.iter().map(row).collect())
}
