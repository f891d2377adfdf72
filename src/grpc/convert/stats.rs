//! Figures.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::StateKind;
use crate::domain::histogram::Histogram;
use crate::domain::stats::{FacetTally, Tally};
use crate::proto::v1;
use crate::proto::v1::get_stats_response::{Distribution, Window};

use super::enums::Named as _;
use super::time;

/// Jobs in a state; `None` if there are none, which is left out.
#[must_use]
fn count(state: StateKind, stored: i64) -> Option<v1::StateCount> {
    (stored > 0).then(|| v1::StateCount { state: state.to_wire(), count: stored })
}

/// Jobs by state, those without jobs left out.
#[must_use]
pub fn counts(counts: &BTreeMap<StateKind, i64>) -> Vec<v1::StateCount> {
    counts.iter().filter_map(|(state, stored)| count(*state, *stored)).collect()
}

/// How long something took.
#[must_use]
pub fn distribution(histogram: &Histogram) -> Distribution {
    let quantile = |quantile| histogram.quantile(quantile).map(time::span_to_proto);
    Distribution {
        count: signed(histogram.count()),
        mean: histogram.mean().map(time::span_to_proto),
        p50: quantile(0.50),
        p95: quantile(0.95),
        p99: quantile(0.99),
    }
}

/// What happened within a window of this `length`.
#[must_use]
pub fn window(tally: &Tally, covered: Duration) -> Window {
    Window {
        wait: Some(distribution(&tally.wait)),
        run: Some(distribution(&tally.run)),
        counters: tally.counters.clone(),
        ..facet_window(&FacetTally::from(tally), covered)
    }
}

/// What happened to the jobs of an owner or a label within a window of this length.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "rates, for people")]
pub fn facet_window(tally: &FacetTally, covered: Duration) -> Window {
    let ended = tally.succeeded + tally.failed;
    let finished = ended + tally.cancelled;
    let seconds = covered.as_secs_f64();
    let measured = |count, mean: Option<Duration>| Distribution {
        count: signed(count),
        mean: mean.map(time::span_to_proto),
        ..Distribution::default()
    };
    Window {
        created: signed(tally.created),
        started: signed(tally.started),
        succeeded: signed(tally.succeeded),
        failed: signed(tally.failed),
        cancelled: signed(tally.cancelled),
        skipped: signed(tally.skipped),
        throughput_per_second: if seconds > 0.0 { finished as f64 / seconds } else { 0.0 },
        failure_rate: if ended > 0 { tally.failed as f64 / ended as f64 } else { 0.0 },
        wait: Some(measured(tally.started, tally.mean_wait())),
        run: Some(measured(tally.ended, tally.mean_run())),
        counters: BTreeMap::new(),
        covered: Some(time::span_to_proto(covered)),
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
