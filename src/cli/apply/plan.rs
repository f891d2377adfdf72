//! What a file changes: each thing that is made, changed or deleted, and how.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use serde_json::{Value, json};

use super::file::File;
use super::text;
use crate::cli::exit::Failure;
use crate::domain::definitions::Definitions;
use crate::domain::ids::QuotaName;
use crate::domain::job_type::TypeOrigin;
use crate::domain::validate::Violations;
use crate::engine::TypeInfo;
use crate::grpc::convert;
use crate::proto::v1::{Defaults, JobType, Queue, Quota};

/// What is done with one thing.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// What holds for the whole server changes.
    UpdateDefaults(Defaults),
    /// A quota is set up or changed.
    PutQuota(Quota),
    /// A queue is treated otherwise.
    UpdateQueue(Queue),
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
}

impl Plan {
    /// What makes `held` what `file` says; with `prune`, also what it does not say goes.
    ///
    /// # Errors
    ///
    /// An answer of the server that this version cannot read.
    pub fn of(file: &File, held: &Held, prune: bool) -> Result<Self, Failure> {
        let mut plan = Self::default();
        let definitions = &file.definitions;
        plan.defaults(definitions, held)?;
        plan.quotas(definitions, held)?;
        plan.queues(definitions, held)?;
        plan.types(definitions, &file.payloads, held)?;
        if prune {
            plan.prune(definitions, held);
        }
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
        let lines = lines.into_iter().filter(|line| !line.starts_with(": ")).collect();
        self.steps.push(Step { action, kind, name: name.to_owned(), verb, lines });
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

    fn queues(&mut self, definitions: &Definitions, held: &Held) -> Result<(), Failure> {
        for (name, settings) in &definitions.queues {
            let mut queue = Queue { name: name.to_string(), ..Queue::default() };
            convert::queue::settings_to_proto(settings, &mut queue);
            let before = held.queues.iter().find(|held| held.name == queue.name);
            let tree = |queue: &Queue| text::tree(&convert::queue::settings(queue));
            let before = before.map(tree).transpose()?;
            // As the server will show it.
            let after = tree(&queue)?;
            self.note(
                Action::UpdateQueue(queue),
                ("queue", name.as_str()),
                before.as_ref(),
                &after,
            );
        }
        Ok(())
    }

    fn types(
        &mut self,
        definitions: &Definitions,
        payloads: &HashMap<String, Bytes>,
        held: &Held,
    ) -> Result<(), Failure> {
        let held: BTreeMap<&str, &JobType> =
            held.types.iter().map(|held| (held.r#type.as_str(), held)).collect();
        for spec in &definitions.types {
            let name = spec.job_type.as_str();
            let before = held.get(name);
            let info = TypeInfo {
                spec: spec.clone(),
                payload: payloads.get(name).cloned(),
                origin: TypeOrigin::Declared,
                // Whoever changed it since it was looked at is not overwritten.
                revision: before.map_or(0, |held| held.revision),
                times: None,
                circuit: None,
                default_circuit: None,
            };
            let wire = convert::job_type::to_proto(&info);
            let tree = |wire: &JobType| {
                let put = text::declared(wire)?;
                text::type_tree(&put.spec, put.payload.as_ref())
            };
            let before = before.map(|held| tree(held)).transpose()?;
            // As the server will show it.
            let after = tree(&wire)?;
            self.note(Action::PutType(Box::new(wire)), ("type", name), before.as_ref(), &after);
        }
        Ok(())
    }

    fn prune(&mut self, definitions: &Definitions, held: &Held) {
        let mut gone = |action, kind, name: &str| {
            let (name, lines) = (name.to_owned(), Vec::new());
            self.steps.push(Step { action, kind, name, verb: "delete", lines });
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
    }
}

impl Step {
    /// For programs.
    #[must_use]
    pub fn value(&self) -> Value {
        json!({"action": self.verb, "kind": self.kind, "name": self.name, "changes": self.lines})
    }
}
