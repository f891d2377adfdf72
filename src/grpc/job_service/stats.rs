//! GetStats and GetSummary.

use std::collections::BTreeMap;

use tonic::Status;

use crate::auth::Caller;
use crate::domain::job_type::TypeOrigin;
use crate::domain::validate::Violations;
use crate::engine::{
    Engine, FacetWindow, Figures, Lately, StatsFilter, Summary, SummaryQuery, Window,
};
use crate::proto::v1;
use crate::proto::v1::get_stats_response::{self as answer, QueueStats, TypeStats};

use super::super::convert::enums::Named as _;
use super::super::convert::path::Path;
use super::super::convert::{
    View, job_type, labels, names, number, quota, stats as figures, text, time,
};
use super::super::show;
use super::super::status::{invalid, to_status};

/// A label that is given as `key=value`; none if nothing is.
fn label(given: &str, wrong: &mut Violations) -> Option<(String, String)> {
    if given.is_empty() {
        return None;
    }
    let Some((key, value)) = given.split_once('=') else {
        wrong.add("label", "must be written key=value");
        return None;
    };
    let mut one: BTreeMap<_, _> = [(key.to_owned(), value.to_owned())].into();
    labels::check(&one, Path::root("label"), wrong);
    one.pop_first()
}

fn stats_filter(request: &v1::GetStatsRequest) -> Result<StatsFilter, Status> {
    let mut wrong = Violations::default();
    let types = names::known_types(&request.types, "types", &mut wrong);
    let categories = names::categories(&request.categories, "categories", &mut wrong);
    let queues = names::queues(&request.queues, "queues", &mut wrong);
    let owner = text::indexed(request.owner.clone(), "owner", &mut wrong);
    let label = label(&request.label, &mut wrong);
    match (types, categories, queues) {
        (Some(types), Some(categories), Some(queues)) if wrong.is_empty() => {
            Ok(StatsFilter { types, categories, queues, owner, label, is_void: false })
        }
        _ => Err(invalid(wrong)),
    }
}

pub(super) async fn stats(
    engine: &Engine,
    caller: &Caller,
    request: &v1::GetStatsRequest,
) -> Result<v1::GetStatsResponse, Status> {
    let filter = stats_filter(request)?;
    let stats = engine.stats(caller, filter).await.map_err(to_status)?;
    let by_type = stats.by_type.iter().map(|(name, figures)| TypeStats {
        r#type: name.to_string(),
        category: engine.category(name).map(|of| of.to_string()).unwrap_or_default(),
        stats: Some(group(figures)),
    });
    let by_queue = stats.by_queue.iter().map(|(queue, figures)| QueueStats {
        queue: queue.to_string(),
        stats: Some(group(figures)),
    });
    let mut totals = group(&stats.totals);
    if let Some([hour, day]) = &stats.facet {
        let window = |of: &FacetWindow| Some(figures::facet_window(&of.tally, of.span));
        (totals.hour, totals.day) = (window(hour), window(day));
    }
    Ok(v1::GetStatsResponse {
        as_of_time: Some(time::to_proto(stats.as_of)),
        totals: Some(totals),
        by_type: by_type.collect(),
        by_queue: by_queue.collect(),
        quotas: quotas(engine, caller).await?,
        workers: signed(stats.workforce.workers),
        slots: signed(stats.workforce.slots),
        slots_used: signed(stats.workforce.held),
        counts_capped: stats.is_capped,
    })
}

fn group(group: &Figures) -> answer::Stats {
    let window = |of: &dyn Fn(&Lately) -> &Window| {
        group.lately.as_ref().map(of).map(|window| figures::window(&window.tally, window.span))
    };
    answer::Stats {
        counts: figures::counts(&group.counts),
        finished_total: group.finished_total,
        oldest_pending_age: group.oldest_pending_age.map(time::span_to_proto),
        minute: window(&|lately| &lately.minute),
        hour: window(&|lately| &lately.hour),
        day: window(&|lately| &lately.day),
    }
}

pub(super) async fn summary(
    engine: &Engine,
    caller: &Caller,
    request: &v1::GetSummaryRequest,
) -> Result<v1::GetSummaryResponse, Status> {
    let mut wrong = Violations::default();
    let types = names::known_types(&request.types, "types", &mut wrong);
    let categories = names::categories(&request.categories, "categories", &mut wrong);
    let recent_runs = number::recent_runs(request.recent_runs, "recent_runs", &mut wrong);
    let (Some(types), Some(categories), Some(recent_runs)) = (types, categories, recent_runs)
    else {
        return Err(invalid(wrong));
    };
    let query = SummaryQuery { types, categories, recent_runs };
    let summaries = engine.summaries(caller, query).await.map_err(to_status)?;
    let summaries = summaries.iter().map(|summary| one_summary(engine, summary)).collect();
    Ok(v1::GetSummaryResponse { summaries, quotas: quotas(engine, caller).await? })
}

fn one_summary(engine: &Engine, summary: &Summary) -> v1::get_summary_response::Summary {
    let shown = |job| show::job(engine, job, View::Basic);
    let spec = summary.declared.as_ref();
    let category = spec.and_then(|spec| spec.category.as_ref());
    let origin = if spec.is_some() { TypeOrigin::Declared } else { TypeOrigin::Observed };
    v1::get_summary_response::Summary {
        r#type: summary.job_type.to_string(),
        display_name: spec.map(|spec| spec.display_name.clone()).unwrap_or_default(),
        category: category.map(ToString::to_string).unwrap_or_default(),
        origin: origin.to_wire(),
        disabled: spec.is_some_and(|spec| spec.disabled),
        last_job: summary.last_job.as_ref().map(shown),
        recent_jobs: summary.recent_jobs.iter().map(shown).collect(),
        last_success_time: summary.last_success_time.map(time::to_proto),
        next_fire_time: summary.next_fire_time.map(time::to_proto),
        circuit_state: job_type::circuit_state(summary.circuit.as_ref()).into(),
        typical_run_duration: summary.typical_run_duration.map(time::span_to_proto),
        counts: figures::counts(&summary.counts),
        failed_last_hour: signed(summary.failed_last_hour),
        failed_last_day: signed(summary.failed_last_day),
    }
}

async fn quotas(engine: &Engine, caller: &Caller) -> Result<Vec<v1::QuotaUsage>, Status> {
    let quotas = engine.quotas(caller).await.map_err(to_status)?;
    Ok(quotas.iter().map(quota::usage_to_proto).collect())
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
