//! A command on several jobs: every one is tried, and the first failure decides how the command ends.

use super::exit::{Exit, Failure};
use super::json::Described;
use super::output::{Format, Out, warn};
use super::{Context, describe};
use crate::proto::v1::Job;

/// What became of the jobs so far.
#[derive(Default)]
pub struct Each {
    failed: Option<Exit>,
}

impl Each {
    /// The answer, if there is one. A refusal is told and the next job comes; what would meet the next job as well
    /// ends the command.
    pub fn taken<T>(
        &mut self,
        answer: Result<T, Failure>,
        out: &mut Out,
    ) -> Result<Option<T>, Failure> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(failure) if failure.is_about_this() => {
                out.flush()?;
                report(&failure);
                self.failed.get_or_insert(failure.exit());
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    /// How the command ends: as the first failure says.
    #[must_use]
    pub fn end(self) -> Exit {
        self.failed.unwrap_or(Exit::Ok)
    }
}

/// Tells a failure on stderr: what happened first, the rest below it.
pub fn report(failure: &Failure) {
    for (at, line) in failure.lines().iter().enumerate() {
        warn(&if at == 0 { format!("error: {line}") } else { format!("  {line}") });
    }
}

/// Shows a job that was changed.
pub fn show<M: Described>(
    answer: &M,
    job: Option<&Job>,
    context: &Context,
    out: &mut Out,
) -> Result<(), Failure> {
    match (out.format(), job) {
        (Format::Table, Some(job)) => {
            let status = job.status.clone().unwrap_or_default();
            let line = describe::line(&status, context.now(), out.colour());
            out.line(&format!("{}  {line}", job.id))
        }
        (Format::Table, None) => Ok(()),
        (Format::Jsonl, Some(job)) => out.message(job),
        (Format::Json | Format::Jsonl, _) => out.message(answer),
    }
}
