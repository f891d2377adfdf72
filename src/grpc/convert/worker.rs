//! Who attaches, and with what.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::limits::{CLIENT_TEXT_BYTES_MAX, LEASE_TTL_DEFAULT, SLOTS_MAX};
use crate::domain::validate::Violations;
use crate::domain::{InstanceId, JobId, JobType, QueueName, WorkerName};
use crate::proto::v1;
use crate::proto::v1::report_progress_request as request;

use super::path::{Path, is_clean};
use super::{ids, labels, names, number, text, time};

/// What a worker process says of itself when it attaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Its name.
    pub worker_id: WorkerName,
    /// The process; never empty.
    pub instance_id: InstanceId,
    /// Its client library and version, with a space between them; may be empty.
    pub client: String,
    /// Queues it takes jobs from; never empty.
    pub queues: Vec<QueueName>,
    /// Types it takes, all if empty.
    pub types: Vec<JobType>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Jobs it says it can run at a time.
    pub slots: u32,
    /// Memory of its machine; zero if not known.
    pub memory_bytes: u64,
    /// Its lease.
    pub lease_ttl: Duration,
    /// Jobs whose outcome is not acknowledged, with the epoch of each.
    pub running: Vec<(JobId, i64)>,
}

/// A worker's Hello; `prefix` is its path, `hello`.
pub fn hello_from_proto(
    hello: request::Hello,
    prefix: &str,
    violations: &mut Violations,
) -> Option<Hello> {
    let before = violations.as_slice().len();
    let at = Path::root(prefix);
    let spelled = |name| at.field(name).to_string();
    let worker_id = names::worker_id(&hello.worker_id, &spelled("worker_id"), violations);
    let instance_id =
        ids::required_instance_id(&hello.instance_id, &spelled("instance_id"), violations);
    let client = client(hello.client.as_ref(), at.field("client"), violations);
    let queues = names::served_queues(&hello.queues, &spelled("queues"), violations);
    let types = names::types(&hello.types, &spelled("types"), violations);
    labels::check(&hello.labels, at.field("labels"), violations);
    let slots = number::slots(hello.slots, &spelled("slots"), violations);
    let memory_bytes = number::unsigned(hello.memory_bytes, at.field("memory_bytes"), violations);
    let ttl = spelled("lease_ttl");
    let lease_ttl = time::lease_ttl(hello.lease_ttl, LEASE_TTL_DEFAULT, &ttl, violations);
    let running = running(&hello.running, at.field("running"), violations);
    if !is_clean(violations, before) {
        return None;
    }
    Some(Hello {
        worker_id: worker_id?,
        instance_id: instance_id?,
        client,
        queues: queues?,
        types: types?,
        labels: hello.labels,
        slots: slots?,
        memory_bytes,
        lease_ttl: lease_ttl?,
        running,
    })
}

fn client(client: Option<&v1::ClientInfo>, at: Path<'_>, violations: &mut Violations) -> String {
    let Some(client) = client else { return String::new() };
    text::key(&client.name, CLIENT_TEXT_BYTES_MAX, at.field("name"), violations);
    text::key(&client.version, CLIENT_TEXT_BYTES_MAX, at.field("version"), violations);
    format!("{} {}", client.name, client.version).trim().to_owned()
}

fn running(
    jobs: &[request::hello::Running],
    at: Path<'_>,
    violations: &mut Violations,
) -> Vec<(JobId, i64)> {
    let max = usize::try_from(SLOTS_MAX).unwrap_or(usize::MAX);
    if jobs.len() > max {
        let found = jobs.len();
        at.wrong(violations, format!("must have at most {max} elements, has {found}"));
        return Vec::new();
    }
    let mut read = Vec::with_capacity(jobs.len());
    for (index, job) in jobs.iter().enumerate() {
        let at = at.index(index);
        let id = ids::job_id(&job.job_id, &at.field("job_id").to_string(), violations);
        let epoch = at.field("lease_epoch").to_string();
        let epoch = number::lease_epoch(job.lease_epoch, &epoch, violations);
        read.extend(id.zip(epoch));
    }
    read
}
