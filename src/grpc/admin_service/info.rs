//! The server as a message.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::limits;
use crate::engine::ServerInfo;
use crate::proto::v1;
use crate::proto::v1::get_server_info_response::{Loop, Pool, Store};
use crate::runtime::LoopStatus;

use super::super::convert::time;

pub(super) fn to_proto(info: &ServerInfo) -> v1::GetServerInfoResponse {
    let connections = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
    let store = info.store.as_ref();
    v1::GetServerInfoResponse {
        version: info.version.to_owned(),
        replica_id: info.replica_id.to_string(),
        start_time: Some(time::to_proto(info.start_time)),
        features: info.features.iter().map(ToString::to_string).collect(),
        limits: bounds(),
        resume_retention: Some(time::span_to_proto(info.resume_retention)),
        store: Some(Store {
            kind: store.map(|store| store.kind.to_owned()).unwrap_or_default(),
            version: store.map(|store| store.version.clone()).unwrap_or_default(),
            size_bytes: store
                .map_or(0, |store| i64::try_from(store.size_bytes).unwrap_or(i64::MAX)),
            reachable: store.is_some(),
        }),
        pool: Some(Pool {
            size: store.map_or(0, |store| connections(store.pool_size)),
            idle: store.map_or(0, |store| connections(store.pool_idle)),
            waiting: i32::try_from(info.reads_waiting).unwrap_or(i32::MAX),
        }),
        loops: info.loops.iter().map(one_loop).collect(),
    }
}

fn one_loop(status: &LoopStatus) -> Loop {
    Loop {
        name: status.name.to_owned(),
        period: Some(time::span_to_proto(status.period)),
        last_run_time: status.last_run_time.map(time::to_proto),
        last_result: match &status.last_result {
            None => String::new(),
            Some(Ok(_)) if status.said.is_empty() => "ok".to_owned(),
            Some(Ok(_)) => format!("ok, {}", status.said),
            Some(Err(error)) => error.clone(),
        },
    }
}

/// The bounds that callers meet, by name with the unit last.
fn bounds() -> BTreeMap<String, i64> {
    let sizes = [
        ("acquire_jobs_max", limits::ACQUIRE_JOBS_MAX as usize),
        ("attempts_max", limits::ATTEMPTS_MAX as usize),
        ("batch_create_jobs_max", limits::BATCH_CREATE_MAX),
        ("error_bytes_max", limits::ERROR_BYTES_MAX),
        ("filter_job_ids_max", limits::FILTER_IDS_MAX),
        ("label_key_bytes_max", limits::LABEL_KEY_BYTES_MAX),
        ("label_value_bytes_max", limits::LABEL_VALUE_BYTES_MAX),
        ("labels_max", limits::LABELS_MAX),
        ("log_batch_bytes_max", limits::LOG_BATCH_BYTES_MAX),
        ("log_batch_lines_max", limits::LOG_BATCH_LINES_MAX),
        ("log_entry_bytes_max", limits::LOG_ENTRY_BYTES_MAX),
        ("message_bytes_max", limits::MESSAGE_BYTES_MAX),
        ("name_bytes_max", limits::NAME_BYTES_MAX),
        ("names_per_list_max", limits::NAMES_PER_LIST_MAX),
        ("page_size_max", limits::PAGE_SIZE_MAX),
        ("payload_bytes_max", limits::PAYLOAD_BYTES_MAX),
        ("progress_counters_max", limits::PROGRESS_COUNTERS_MAX),
        ("queues_max", limits::QUEUES_MAX),
        ("reason_bytes_max", limits::REASON_BYTES_MAX),
        ("recent_runs_max", limits::RECENT_RUNS_MAX),
        ("report_message_bytes_max", limits::REPORT_MESSAGE_BYTES_MAX),
        ("request_id_bytes_max", limits::REQUEST_ID_BYTES_MAX),
        ("response_bytes_max", limits::RESPONSE_BYTES_MAX),
        ("retry_delays_max", limits::RETRY_DELAYS_MAX),
        ("slots_max", limits::SLOTS_MAX as usize),
        ("struct_depth_max", limits::STRUCT_DEPTH_MAX),
        ("summary_types_max", limits::SUMMARY_TYPES_MAX),
        ("sweep_job_ids_max", limits::SWEEP_IDS_MAX),
        ("sweep_threshold_minutes_max", limits::SWEEP_BY_HAND_MINUTES_MAX as usize),
        ("sweep_threshold_minutes_min", limits::SWEEP_BY_HAND_MINUTES_MIN as usize),
        ("text_bytes_max", limits::TEXT_BYTES_MAX),
        ("types_max", limits::TYPES_MAX),
        ("unacked_bytes_max", limits::UNACKED_BYTES_MAX),
        ("unacked_updates_max", limits::UNACKED_UPDATES_MAX),
    ];
    let spans = [
        ("acquire_wait_seconds_max", limits::ACQUIRE_WAIT_MAX),
        ("cancel_grace_seconds_max", limits::CANCEL_GRACE_MAX),
        ("lease_ttl_seconds_max", limits::LEASE_TTL_MAX),
        ("lease_ttl_seconds_min", limits::LEASE_TTL_MIN),
        ("request_id_retention_seconds_min", limits::REQUEST_ID_RETENTION),
        ("retention_seconds_max", limits::RETENTION_MAX),
        ("retention_seconds_min", limits::RETENTION_MIN),
        ("retry_delay_seconds_max", limits::RETRY_DELAY_MAX),
        ("timeout_seconds_min", limits::TIMEOUT_MIN),
        ("watch_interval_seconds_max", limits::WATCH_INTERVAL_MAX),
    ];
    let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    let sizes = sizes.map(|(name, size)| (name, i64::try_from(size).unwrap_or(i64::MAX)));
    let spans = spans.map(|(name, span)| (name, seconds(span)));
    sizes.into_iter().chain(spans).map(|(name, bound)| (name.to_owned(), bound)).collect()
}

#[cfg(test)]
mod tests;
