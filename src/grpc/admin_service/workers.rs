//! Workers as messages.

use tonic::Status;

use crate::domain::Timestamp;
use crate::domain::limits::NAMES_PER_LIST_MAX;
use crate::domain::validate::Violations;
use crate::engine::session::HostUsage;
use crate::engine::{Worker, WorkerFilter, WorkerState, percent};
use crate::proto::v1;

use super::super::convert::{Path, names, time};
use super::super::status::invalid;

/// Which workers are asked for.
pub(super) fn filter(request: &v1::ListWorkersRequest) -> Result<WorkerFilter, Status> {
    let mut wrong = Violations::default();
    let queues = names::queues(&request.queues, "queues", &mut wrong);
    let states = states(&request.states, &mut wrong);
    match queues {
        Some(queues) if wrong.is_empty() => Ok(WorkerFilter { queues, states }),
        _ => Err(invalid(wrong)),
    }
}

/// The states of a filter; no restriction if one of them is unspecified.
fn states(numbers: &[i32], wrong: &mut Violations) -> Vec<WorkerState> {
    let at = Path::root("states");
    if numbers.len() > NAMES_PER_LIST_MAX {
        let found = numbers.len();
        at.wrong(wrong, format!("must have at most {NAMES_PER_LIST_MAX} elements, has {found}"));
        return Vec::new();
    }
    let mut states = Vec::new();
    let mut unrestricted = false;
    for (index, number) in numbers.iter().enumerate() {
        match v1::WorkerState::try_from(*number) {
            Ok(v1::WorkerState::Unspecified) => unrestricted = true,
            Ok(v1::WorkerState::Online) => states.push(WorkerState::Online),
            Ok(v1::WorkerState::Draining) => states.push(WorkerState::Draining),
            Ok(v1::WorkerState::Lost) => states.push(WorkerState::Lost),
            Err(_) => {
                at.index(index).wrong(wrong, format!("must be a WorkerState, {number} is none"));
            }
        }
    }
    if unrestricted { Vec::new() } else { states }
}

pub(super) fn to_proto(worker: &Worker, now: Timestamp) -> v1::Worker {
    let count = |count: u64| i32::try_from(count).unwrap_or(i32::MAX);
    let running = worker.running.iter().map(|job| v1::worker::RunningJob {
        job_id: job.id.to_string(),
        r#type: job.spec.job_type.to_string(),
        percent: percent(job, now),
    });
    let state = match worker.state {
        WorkerState::Online => v1::WorkerState::Online,
        WorkerState::Draining => v1::WorkerState::Draining,
        WorkerState::Lost => v1::WorkerState::Lost,
    };
    v1::Worker {
        worker_id: worker.worker_id.to_string(),
        instance_id: worker.instance_id.as_str().to_owned(),
        client: client(&worker.client),
        labels: worker.labels.clone(),
        queues: worker.queues.iter().map(ToString::to_string).collect(),
        types: worker.types.iter().map(ToString::to_string).collect(),
        slots: count(worker.slots),
        held: count(worker.held),
        host_usage: worker.host_usage.map(|usage| host_usage(&usage)),
        running: running.collect(),
        connect_time: Some(time::to_proto(worker.connect_time)),
        last_seen_time: Some(time::to_proto(worker.last_seen_time)),
        state: state.into(),
    }
}

/// Name and version, kept with a space between them; a version has none in it.
fn client(client: &str) -> Option<v1::ClientInfo> {
    let (name, version) = client.rsplit_once(' ').unwrap_or((client, ""));
    (!client.is_empty())
        .then(|| v1::ClientInfo { name: name.to_owned(), version: version.to_owned() })
}

const fn host_usage(usage: &HostUsage) -> v1::HostUsage {
    v1::HostUsage {
        cpu_percent: usage.cpu_percent,
        memory_bytes: usage.memory_bytes,
        memory_total_bytes: usage.memory_total_bytes,
    }
}

#[cfg(test)]
mod tests;
