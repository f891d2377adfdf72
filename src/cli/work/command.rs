//! The command of one job: what it reads, what it finds in its environment, what it may use.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rustix::fs::{Access, access};

use crate::cli::client::Address;
use crate::cli::json;
use crate::cli::process::{Limits, Mode, Spec, Stdin};
use crate::proto::v1::{Job, JobSpec, JobStatus, ResourceLimits};

#[cfg(test)]
mod tests;

/// Looks for a program: better now than with the first job.
///
/// # Errors
///
/// It is not there, or not ours to run.
pub(super) fn find(program: &OsStr) -> Result<(), String> {
    let named = Path::new(program);
    let shown = named.display();
    let runs = |path: &Path| path.is_file() && access(path, Access::EXEC_OK).is_ok();
    if named.components().count() > 1 || program.as_encoded_bytes().contains(&b'/') {
        return match () {
            () if runs(named) => Ok(()),
            () if named.exists() => Err(format!("{shown} cannot be executed")),
            () => Err(format!("{shown} is not there")),
        };
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&folders).any(|folder| runs(&folder.join(named))) {
        return Ok(());
    }
    Err(format!("{shown}: command not found"))
}

/// What is the same for every job.
pub(super) struct Template {
    pub(super) command: Vec<OsString>,
    pub(super) progress: Mode,
    pub(super) address: Address,
    /// Where result files are.
    pub(super) folder: PathBuf,
}

impl Template {
    /// Where the command of a job may put its result.
    pub(super) fn result_file(&self, job_id: &str, epoch: i64) -> PathBuf {
        self.folder.join(format!("{job_id}-{epoch}.json"))
    }

    /// The command for a job.
    pub(super) fn spec(&self, job: &Job, epoch: i64) -> Spec {
        let spec = job.spec.clone().unwrap_or_default();
        let status = job.status.clone().unwrap_or_default();
        let mut words = self.command.iter().cloned();
        let program = words.next().unwrap_or_default();
        let mut payload = spec
            .payload
            .as_ref()
            .map_or_else(|| "{}".to_owned(), |payload| json::of_struct(payload).to_string());
        payload.push('\n');
        let mut env: Vec<(OsString, OsString)> = environment(job, &spec, &status, epoch)
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        env.push(("JOBPLANE_ENDPOINT".into(), self.address.to_string().into()));
        env.push(("JOBPLANE_RESULT_FILE".into(), self.result_file(&job.id, epoch).into()));
        let effective = status.effective.and_then(|effective| effective.limits);
        Spec {
            args: words.collect(),
            env,
            stdin: Stdin::Bytes(Bytes::from(payload)),
            progress: self.progress,
            limits: limits(effective.or(spec.limits).unwrap_or_default()),
            ..Spec::new(program)
        }
    }
}

fn environment(job: &Job, spec: &JobSpec, status: &JobStatus, epoch: i64) -> Vec<(String, String)> {
    let queue = status.effective.as_ref().map(|effective| &effective.queue);
    let queue = queue.filter(|queue| !queue.is_empty()).unwrap_or(&spec.queue);
    let mut env = vec![
        ("JOBPLANE_JOB_ID".to_owned(), job.id.clone()),
        ("JOBPLANE_JOB_TYPE".to_owned(), spec.r#type.clone()),
        ("JOBPLANE_QUEUE".to_owned(), queue.clone()),
        ("JOBPLANE_ATTEMPT".to_owned(), status.attempt.to_string()),
        ("JOBPLANE_MAX_ATTEMPTS".to_owned(), status.max_attempts.to_string()),
        ("JOBPLANE_LEASE_EPOCH".to_owned(), epoch.to_string()),
        ("JOBPLANE_OWNER".to_owned(), spec.owner.clone()),
        ("JOBPLANE_SUBJECT".to_owned(), spec.subject.clone()),
        ("JOBPLANE_EXTERNAL_ID".to_owned(), spec.external_id.clone()),
    ];
    if !spec.traceparent.is_empty() {
        env.push(("TRACEPARENT".to_owned(), spec.traceparent.clone()));
    }
    env.extend(spec.labels.iter().map(|(key, value)| (label_name(key), value.clone())));
    // The system ends such texts at the first NUL.
    env.retain(|(_, value)| !value.contains('\0'));
    env
}

/// A label's variable: `app.kubernetes.io/name` is `JOBPLANE_LABEL_APP_KUBERNETES_IO_NAME`.
fn label_name(key: &str) -> String {
    let upper = |letter: char| {
        if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' }
    };
    format!("JOBPLANE_LABEL_{}", key.chars().map(upper).collect::<String>())
}

/// Zero is no limit.
fn limits(limits: ResourceLimits) -> Limits {
    let memory = u64::try_from(limits.memory_bytes).ok().filter(|bytes| *bytes > 0);
    let cpu = Some(limits.cpu_percent).filter(|percent| *percent > 0.0);
    Limits { memory_bytes: memory, cpu_percent: cpu }
}
