//! What `work` prints: a line for each event, or an object for each, with names as the proto JSON mapping has them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::exit::Failure;
use crate::cli::output::{Format, Out};
use crate::cli::paint::{Paint, painted};
use crate::cli::worker::Lease;
use crate::cli::{Context, format, parse};

/// Prints what happens.
pub(super) struct Teller<'a> {
    pub(super) context: &'a Context,
    pub(super) out: &'a mut Out,
}

impl Teller<'_> {
    /// A job was started.
    pub(super) fn started(
        &mut self,
        lease: &Lease,
        job_type: &str,
        attempt: i32,
        pid: u32,
    ) -> Result<(), Failure> {
        let job_type = format::plain(job_type);
        let id = &lease.job_id;
        let line = format!("started  {id}  {job_type}  attempt {attempt}  pid {pid}");
        let object = json!({
            "event": "started", "jobId": id, "leaseEpoch": lease.epoch, "type": job_type, "attempt": attempt,
            "pid": pid,
        });
        self.tell(&line, object)
    }

    /// A job ended here: `how` in a word, `why` if there is more to say.
    pub(super) fn ended(
        &mut self,
        lease: &Lease,
        job_type: &str,
        how: &str,
        why: &str,
        took: Duration,
    ) -> Result<(), Failure> {
        let (id, job_type, why) = (&lease.job_id, format::plain(job_type), format::plain(why));
        let paint = match how {
            "succeeded" => Paint::Green,
            "failed" => Paint::Red,
            _ => Paint::Yellow,
        };
        let shown = painted(how, Some(paint), self.out.colour());
        let mut line = format!("ended    {id}  {job_type}  {shown} after {}", format::span(took));
        let mut object = json!({
            "event": "ended", "jobId": id, "leaseEpoch": lease.epoch, "type": job_type, "outcome": how,
            "runSeconds": took.as_secs_f64(),
        });
        if !why.is_empty() {
            line = format!("{line}: {why}");
            object["reason"] = why.into();
        }
        self.tell(&line, object)
    }

    /// Something happened to a job.
    pub(super) fn job(&mut self, event: &str, lease: &Lease, what: &str) -> Result<(), Failure> {
        let (id, what) = (&lease.job_id, format::plain(what));
        let object = json!({
            "event": event, "jobId": id, "leaseEpoch": lease.epoch, "reason": what,
        });
        self.tell(&format!("{event:<8} {id}  {what}"), object)
    }

    /// Something happened to the worker: beside the lines about jobs, for people.
    pub(super) fn note(&mut self, event: &str, what: &str) -> Result<(), Failure> {
        let what = format::plain(what);
        match self.out.format() {
            Format::Table => self.out.note(&format!("jobplane: {what}")),
            Format::Json | Format::Jsonl => self.tell("", json!({"event": event, "reason": what})),
        }
    }

    fn tell(&mut self, line: &str, mut object: Value) -> Result<(), Failure> {
        match self.out.format() {
            Format::Table => self.out.line(line)?,
            // Events do not come to an end: one a line, in both forms.
            Format::Json | Format::Jsonl => {
                let time = parse::wire_moment(self.context.now());
                object["time"] = format::moment(&time, 3).into();
                self.out.line(&object.to_string())?;
            }
        }
        self.out.flush()
    }
}
