//! What is told of a plan: each step, and how much it is in all.

use serde_json::{Value, json};

use super::plan::{Plan, Step};
use crate::cli::exit::Failure;
use crate::cli::format;
use crate::cli::output::{Format, Out};
use crate::cli::paint::{Paint, painted};

/// What is told of a type that was new when the server was looked at, and was not any more when it was declared.
const WAS_DECLARED: &str =
    "# somebody else declared it meanwhile: it is now as this file says, not as they did";

/// One step; in one document they are told [together](whole).
pub fn step(step: &Step, out: &mut Out) -> Result<(), Failure> {
    match out.format() {
        Format::Table => {
            let (sign, paint) = match step.verb {
                "create" => ("+", Paint::Green),
                "delete" => ("-", Paint::Red),
                _ => ("~", Paint::Yellow),
            };
            let head = format!("{sign} {} {}", step.kind, format::plain(&step.name));
            out.line(&painted(&head, Some(paint), out.colour()))?;
            if step.was_declared {
                out.line(&format!("    {WAS_DECLARED}"))?;
            }
            step.lines.iter().try_for_each(|line| out.line(&format!("    {line}")))
        }
        Format::Jsonl => out.value(&step.value()),
        Format::Json => Ok(()),
    }
}

/// How much it is in all, of which the first `done` steps were made; the next one, if there is one, failed.
pub fn whole(plan: &Plan, done: usize, dry_run: bool, out: &mut Out) -> Result<(), Failure> {
    let (made, left) = plan.steps.split_at(done);
    let told = match out.format() {
        Format::Json => {
            let steps: Vec<Value> = made.iter().map(Step::value).collect();
            let mut all = json!({"dry_run": dry_run, "steps": steps, "unchanged": plan.unchanged});
            if let [failed, behind @ ..] = left {
                all["failed"] = failed.value();
                all["not_begun"] = behind.iter().map(Step::value).collect();
            }
            out.value(&all)
        }
        Format::Table if left.is_empty() => out.note(&sum(plan, dry_run)),
        Format::Table | Format::Jsonl => Ok(()),
    };
    match left.first() {
        Some(failed) => told.and(out.note(&halfway(done, failed, plan.steps.len()))),
        None => told,
    }
}

/// How many things are made, or would be, in a line.
pub fn sum(plan: &Plan, dry_run: bool) -> String {
    let count = |verb| plan.steps.iter().filter(|step| step.verb == verb).count();
    let [created, changed, deleted] = ["create", "change", "delete"].map(count);
    let would = if dry_run { "would be: " } else { "" };
    format!(
        "jobplane: {would}{created} created, {changed} changed, {deleted} deleted, {} as they were",
        plan.unchanged
    )
}

/// What was done and what not where a step fails.
fn halfway(done: usize, step: &Step, steps: usize) -> String {
    let were = if done == 1 { "was" } else { "were" };
    let (kind, name) = (step.kind, format::plain(&step.name));
    format!(
        "jobplane: {done} of {steps} changes {were} made; it ended at {kind} {name}, what comes after was not begun"
    )
}
