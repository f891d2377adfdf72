//! What a file changes: each thing that is made, changed or deleted, and how.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::file::File;
use super::text;
use crate::cli::exit::Failure;
use crate::domain::definitions::Definitions;
use crate::domain::ids::QuotaName;
use crate::domain::job_type::TypeOrigin;
use crate::domain::validate::Violations;
use crate::engine::{PutType, TypeInfo};
use crate::grpc::convert;
use crate::proto::v1::{Defaults, JobType, Queue, Quota, UpdateQueueRequest};

/// What a file says of a queue besides whether it is paused.
const LIMITS: [&str; 5] = ["max_running", "max_pending", "start_rate", "start_burst", "weight"];

/// What is meant where a schedule says nothing of overlaps.
const OVERLAP_USUAL: &str = "schedule.overlap_policy: skip";

/// What is done with one thing.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// What holds for the whole server changes.
    UpdateDefaults(Defaults),
    /// A quota is set up or changed.
    PutQuota(Quota),
    /// A queue is treated otherwise.
    UpdateQueue {
        /// The queue.
        queue: Queue,
        /// The fields that change; all of them if it is empty.
        paths: Vec<&'static str>,
    },
    /// A type is declared, or declared otherwise.
    PutType(Box<JobType>),
    /// A declaration is taken back.
    DeleteType(String),
    /// A quota is taken away.
    DeleteQuota(String),
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What is done.
    pub action: Action,
    /// `defaults`, `type`, `queue` or `quota`.
    pub kind: &'static str,
    /// Which.
    pub name: String,
    /// `create`, `change` or `delete`.
    pub verb: &'static str,
    /// What becomes otherwise, a line each.
    pub lines: Vec<String>,
    /// It was new when the server was looked at, and somebody else declared it before this did.
    pub was_declared: bool,
}

/// What the server has.
#[derive(Debug, Default)]
pub struct Held {
    /// Declared types.
    pub types: Vec<JobType>,
    /// Queues.
    pub queues: Vec<Queue>,
    /// Quotas.
    pub quotas: Vec<Quota>,
    /// What holds for the whole server.
    pub defaults: Defaults,
}

/// All steps in an order that works, and how many things stay as they are.
#[derive(Debug, Default)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
    /// Things that are as the file says already.
    pub unchanged: usize,
    /// No type that was declared stays, or no quota that was set up.
    pub takes_all: bool,
}

impl Plan {
    /// What makes `held` what `file` says; with `prune`, also what it does not say goes.
    ///
    /// # Errors
    ///
    /// A type that draws from a quota that would not be there, or that says why it is disabled and would not be; what the
    /// server would refuse; an answer of the server that this version cannot read.
    pub fn of(file: &File, held: &Held, prune: bool) -> Result<Self, Failure> {
        let mut plan = Self::default();
        let definitions = &file.definitions;
        check_quotas(file, held, prune)?;
        plan.defaults(definitions, held)?;
        plan.quotas(definitions, held)?;
        let mut wrong = Violations::default();
        plan.queues(file, held, &mut wrong)?;
        plan.types(file, held, &mut wrong)?;
        if !wrong.is_empty() {
            return Err(file.wrong(&wrong));
        }
        if prune {
            plan.prune(definitions, held);
        }
        plan.lower_quotas_last(held);
        Ok(plan)
    }

    fn note(
        &mut self,
        action: Action,
        (kind, name): (&'static str, &str),
        before: Option<&Value>,
        after: &Value,
    ) {
        if before == Some(after) {
            self.unchanged += 1;
            return;
        }
        let nothing = Value::Null;
        let verb = if before.is_some() { "change" } else { "create" };
        let lines = match before {
            Some(before) => text::differences(before, after),
            None => text::differences(&nothing, after),
        };
        // Nothing is told of a new thing that stands above it, or that nobody wrote.
        let told = |line: &String| {
            !line.starts_with(": ")
                && (before.is_some() || !line.starts_with("type: ") && line != OVERLAP_USUAL)
        };
        let lines = lines.into_iter().filter(told).collect();
        self.steps.push(Step {
            action,
            kind,
            name: name.to_owned(),
            verb,
            lines,
            was_declared: false,
        });
    }

    fn defaults(&mut self, definitions: &Definitions, held: &Held) -> Result<(), Failure> {
        let Some(said) = &definitions.defaults else { return Ok(()) };
        let tree = |defaults: &Defaults| {
            text::tree(&convert::defaults::settings(defaults, &mut Violations::default()))
        };
        // As the server will show it.
        let after = convert::defaults::to_proto(said);
        let (before, tree_after) = (tree(&held.defaults)?, tree(&after)?);
        let action = Action::UpdateDefaults(after);
        self.note(action, ("defaults", "server"), Some(&before), &tree_after);
        Ok(())
    }

    fn quotas(&mut self, definitions: &Definitions, held: &Held) -> Result<(), Failure> {
        for (name, spec) in &definitions.quotas {
            let quota = convert::quota::spec_to_proto(name, spec);
            let before = held.quotas.iter().find(|held| held.name == quota.name);
            let tree = |quota: &Quota| {
                let read =
                    convert::quota::from_proto(Some(quota.clone()), &mut Violations::default());
                text::tree(&read.map(|(_, spec)| spec))
            };
            let before = before.map(tree).transpose()?;
            let after = text::tree(&Some(spec))?;
            self.note(Action::PutQuota(quota), ("quota", name.as_str()), before.as_ref(), &after);
        }
        Ok(())
    }

    /// A quota has at least what any type draws: it is raised before types draw more, and lowered after they draw
    /// less, or are gone.
    fn lower_quotas_last(&mut self, held: &Held) {
        let is_lower = |step: &Step| match &step.action {
            Action::PutQuota(quota) => {
                let held = held.quotas.iter().find(|held| held.name == quota.name);
                held.is_some_and(|held| quota.limit < held.limit)
            }
            Action::UpdateDefaults(_)
            | Action::UpdateQueue { .. }
            | Action::PutType(_)
            | Action::DeleteType(_)
            | Action::DeleteQuota(_) => false,
        };
        self.steps.sort_by_key(is_lower);
    }

    fn queues(&mut self, file: &File, held: &Held, wrong: &mut Violations) -> Result<(), Failure> {
        for (name, settings) in &file.definitions.queues {
            let mut queue = Queue { name: name.to_string(), ..Queue::default() };
            convert::queue::settings_to_proto(settings, &mut queue);
            let before = held.queues.iter().find(|held| held.name == queue.name);
            // Whoever paused it knows why: a file that does not speak of it leaves it alone.
            let names = |field| file.names_of_queue(name.as_str(), field);
            let held = before.cloned().unwrap_or_default();
            let paths = if names("paused") || names("pause_reason") {
                Vec::new()
            } else {
                queue.paused = held.paused;
                LIMITS.to_vec()
            };
            if queue.paused && !names("pause_reason") {
                queue.pause_reason = held.pause_reason;
            }
            let mut refused = Violations::default();
            let request = UpdateQueueRequest { queue: Some(queue.clone()), update_mask: None };
            convert::queue::from_proto(request, &mut refused);
            place(&refused, "queue", &format!("queues.{name}"), wrong);
            let tree = |queue: &Queue| text::tree(&convert::queue::settings(queue));
            let before = before.map(tree).transpose()?;
            // As the server will show it.
            let after = tree(&queue)?;
            self.note(
                Action::UpdateQueue { queue, paths },
                ("queue", name.as_str()),
                before.as_ref(),
                &after,
            );
        }
        Ok(())
    }

    fn types(&mut self, file: &File, held: &Held, wrong: &mut Violations) -> Result<(), Failure> {
        let held: BTreeMap<&str, &JobType> =
            held.types.iter().map(|held| (held.r#type.as_str(), held)).collect();
        for (index, spec) in file.definitions.types.iter().enumerate() {
            let name = spec.job_type.as_str();
            let before = held.get(name);
            let mut spec = spec.clone();
            // As with queues: what somebody switched off stays so unless the file speaks of it.
            if let (Some(held), false) = (before, file.names_of_type(index, "/disabled")) {
                spec.disabled = held.disabled;
                if !file.names_of_type(index, "/disabled_reason") {
                    spec.disabled_reason.clone_from(&held.disabled_reason);
                }
            }
            wrong.check(
                spec.disabled || spec.disabled_reason.is_empty(),
                &format!("types[{index}].disabled_reason"),
                || "must be empty where disabled is not true".to_owned(),
            );
            let paused = before.and_then(|held| held.schedule.as_ref()).map(|held| held.paused);
            if let (Some(schedule), Some(paused), false) =
                (&mut spec.schedule, paused, file.names_of_type(index, "/schedule/paused"))
            {
                schedule.paused = paused;
            }
            let info = TypeInfo {
                payload: file.payloads.get(name).cloned(),
                spec: spec.clone(),
                origin: TypeOrigin::Declared,
                // Whoever changed it since it was looked at is not overwritten.
                revision: before.map_or(0, |held| held.revision),
                times: None,
                circuit: None,
                default_circuit: None,
            };
            let wire = convert::job_type::to_proto(&info);
            let mut refused = Violations::default();
            let put = convert::job_type::from_proto(Some(wire.clone()), true, &mut refused);
            place(&refused, "job_type", &format!("types[{index}]"), wrong);
            let Some(put) = put else { continue };
            let tree = |put: &PutType| text::type_tree(&put.spec, put.payload.as_ref());
            let before = before.map(|held| tree(&text::declared(held)?)).transpose()?;
            // As the server will show it.
            let after = tree(&put)?;
            self.note(Action::PutType(Box::new(wire)), ("type", name), before.as_ref(), &after);
        }
        Ok(())
    }

    fn prune(&mut self, definitions: &Definitions, held: &Held) {
        let mut gone = |action, kind, name: &str| {
            let (name, lines) = (name.to_owned(), Vec::new());
            let verb = "delete";
            self.steps.push(Step { action, kind, name, verb, lines, was_declared: false });
        };
        let types: BTreeSet<&str> =
            definitions.types.iter().map(|spec| spec.job_type.as_str()).collect();
        for held in held.types.iter().filter(|held| !types.contains(held.r#type.as_str())) {
            gone(Action::DeleteType(held.r#type.clone()), "type", &held.r#type);
        }
        let quotas: BTreeSet<&str> = definitions.quotas.keys().map(QuotaName::as_str).collect();
        for held in held.quotas.iter().filter(|held| !quotas.contains(held.name.as_str())) {
            gone(Action::DeleteQuota(held.name.clone()), "quota", &held.name);
        }
        let stays = |held: &JobType| types.contains(held.r#type.as_str());
        let no_type_stays = !held.types.is_empty() && !held.types.iter().any(stays);
        let stays = |held: &Quota| quotas.contains(held.name.as_str());
        let no_quota_stays = !held.quotas.is_empty() && !held.quotas.iter().any(stays);
        self.takes_all = no_type_stays || no_quota_stays;
    }
}

/// Notes what the server would refuse of a message, at its place in the file.
fn place(refused: &Violations, message: &str, place: &str, wrong: &mut Violations) {
    for one in refused.as_slice() {
        let field = one.field.strip_prefix(message).unwrap_or(&one.field);
        wrong.add(format!("{place}{field}"), &one.description);
    }
}

/// Whether every type of the file finds the quotas that it draws from once all is done, before anything is.
fn check_quotas(file: &File, held: &Held, prune: bool) -> Result<(), Failure> {
    let definitions = &file.definitions;
    let mut quotas = BTreeMap::new();
    if !prune {
        let read = |quota: &Quota| {
            convert::quota::from_proto(Some(quota.clone()), &mut Violations::default())
        };
        quotas.extend(held.quotas.iter().filter_map(read));
    }
    quotas.extend(definitions.quotas.iter().map(|(name, quota)| (name.clone(), quota.clone())));
    let mut wrong = Violations::default();
    for (place, spec) in definitions.types.iter().enumerate() {
        spec.validate_quotas(&quotas, &format!("types[{place}]."), &mut wrong);
    }
    if !prune {
        let named: BTreeSet<&str> =
            definitions.types.iter().map(|spec| spec.job_type.as_str()).collect();
        let others = held.types.iter().filter(|held| !named.contains(held.r#type.as_str()));
        for other in others {
            for (name, cost) in &other.quota_costs {
                let quota = definitions.quotas.iter().find(|(quota, _)| quota.as_str() == name);
                let limit = quota.and_then(|(_, spec)| i64::try_from(spec.limit).ok());
                let enough = limit.is_none_or(|limit| limit >= *cost);
                wrong.check(enough, &format!("quotas.{name}.limit"), || {
                    format!("must be at least {cost}, which a start of {} draws", other.r#type)
                });
            }
        }
    }
    if prune && !wrong.is_empty() {
        wrong.add("--prune", "takes away the quotas that the file does not say");
    }
    if wrong.is_empty() { Ok(()) } else { Err(file.wrong(&wrong)) }
}

impl Step {
    /// For programs.
    #[must_use]
    pub fn value(&self) -> Value {
        let (verb, lines) = (self.verb, &self.lines);
        let mut value =
            json!({"action": verb, "kind": self.kind, "name": self.name, "changes": lines});
        if self.was_declared {
            value["declared_meanwhile"] = true.into();
        }
        value
    }
}
