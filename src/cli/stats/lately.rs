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

/// The columns that are given up first where there is no room for all.
const SPARE: [&str; 8] = [
    "RUN P99",
    "WAIT P99",
    "SKIPPED",
    "CANCELLED",
    "WAIT MEAN",
    "RUN MEAN",
    "PER SECOND",
    "CREATED",
];

/// A line for each window that is known, and the counters of the day.
pub(super) fn show(total: &Stats, out: &mut Out) -> Result<(), Failure> {
    let windows = [("minute", &total.minute), ("hour", &total.hour), ("day", &total.day)];
    let known = windows.into_iter().filter_map(|(name, of)| Some((name, of.as_ref()?)));
    let rows: Vec<_> = known.map(|(name, window)| row(name, window)).collect();
    if rows.is_empty() {
        out.line(
            "what happened lately is not known: see --stats-by-owner, --stats-by-label of serve",
        )?;
        return out.line("");
    }
    let mut table = Table::new(&[
        "LAST",
        ">CREATED",
        ">SUCCEEDED",
        ">FAILED",
        ">CANCELLED",
        ">SKIPPED",
        ">FAILURES",
        ">PER SECOND",
        ">WAIT MEAN",
        ">WAIT P95",
        ">WAIT P99",
        ">RUN MEAN",
        ">RUN P50",
        ">RUN P95",
        ">RUN P99",
    ])
    .spare(&SPARE);
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
    let text = format!("{sum:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn row(name: &str, window: &Window) -> Vec<Cell> {
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
    cells.extend(
        [&wait.mean, &wait.p95, &wait.p99].map(|span| measured(&wait, span.as_ref()).into()),
    );
    cells.extend(
        [&run.mean, &run.p50, &run.p95, &run.p99].map(|span| measured(&run, span.as_ref()).into()),
    );
    cells
}

/// A line for each quota, the ones that are used up in red.
pub(in super::super) fn quotas(
    quotas: &[QuotaUsage],
    now: Timestamp,
    out: &mut Out,
) -> Result<(), Failure> {
    let rows: Vec<_> = quotas
        .iter()
        .map(|quota| {
            let spent = (quota.remaining <= 0).then_some(Paint::Red);
            vec![
                Cell::from(&quota.name),
                Cell::from(format::count(quota.used)),
                Cell::from(format::count(quota.remaining)).painted(spent),
                Cell::from(format::count(quota.limit)),
                Cell::from(
                    quota.reset_time.as_ref().map(|at| format::age(at, now)).unwrap_or_default(),
                ),
            ]
        })
        .collect();
    Table::new(&["<QUOTA", ">USED", ">LEFT", ">LIMIT", "RESETS"]).write(&rows, out)
}
