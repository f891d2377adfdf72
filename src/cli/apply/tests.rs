//! Files against what a server has.

use serde_json::json;

use super::file::File;
use super::*;
use crate::grpc::convert;
use crate::proto::v1::{JobType, Queue, Quota};

const EXAMPLE: &str = include_str!("../../../docs/types.yaml");

fn read(text: &str) -> Result<File, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("types.yaml");
    std::fs::write(&path, text).unwrap();
    file::read(path.to_str().unwrap()).map_err(|failure| match failure {
        Failure::Usage { problem, .. } => problem,
        other => panic!("{other:?}"),
    })
}

/// What a server has that did all steps.
fn after(plan: &Plan) -> Held {
    let mut held = Held::default();
    for step in &plan.steps {
        match step.action.clone() {
            Action::UpdateDefaults(defaults) => held.defaults = defaults,
            Action::PutQuota(quota) => held.quotas.push(quota),
            Action::UpdateQueue(queue) => held.queues.push(queue),
            Action::PutType(job_type) => held.types.push(JobType { revision: 1, ..*job_type }),
            Action::DeleteType(_) | Action::DeleteQuota(_) => panic!("nothing to delete"),
        }
    }
    held
}

#[test]
fn the_example_is_applied_once_and_then_changes_nothing() {
    let file = read(EXAMPLE).unwrap();
    let plan = Plan::of(&file, &Held::default(), false).unwrap();
    let kinds: Vec<&str> = plan.steps.iter().map(|step| step.kind).collect();
    assert_eq!(kinds, ["quota", "queue", "queue", "type", "type", "type"]);
    assert!(plan.steps.iter().all(|step| step.verb == "create" && !step.lines.is_empty()));
    let again = Plan::of(&file, &after(&plan), true).unwrap();
    assert_eq!((again.steps, again.unchanged), (Vec::new(), 7));
}

#[test]
fn a_change_is_told_field_by_field() {
    let file = |cron: &str| {
        read(&format!("types: [{{type: sync, schedule: {{cron: '{cron}'}}, max_concurrent: 1}}]"))
            .unwrap()
    };
    let held = after(&Plan::of(&file("0 4 * * *"), &Held::default(), false).unwrap());
    let plan = Plan::of(&file("0 5 * * *"), &held, false).unwrap();
    assert_eq!(plan.steps.len(), 1);
    assert_eq!(plan.steps[0].verb, "change");
    assert_eq!(plan.steps[0].lines, ["schedule.cron: \"0 4 * * *\" → \"0 5 * * *\""]);
    let Action::PutType(put) = &plan.steps[0].action else { panic!("{plan:?}") };
    assert_eq!(put.revision, 1, "what was looked at is what is replaced");
}

#[test]
fn what_holds_for_the_whole_server_is_changed_like_all_else() {
    let said = "defaults: {max_pending: 100, circuit: {max_failures: 3, window: 1h}}";
    let plan = Plan::of(&read(said).unwrap(), &Held::default(), false).unwrap();
    let [step] = plan.steps.as_slice() else { panic!("{plan:?}") };
    assert_eq!((step.kind, step.verb), ("defaults", "change"));
    let lines = ["circuit.max_failures: 0 → 3", "circuit.window: \"1h\"", "max_pending: 0 → 100"];
    assert_eq!(step.lines, lines);
    let again = Plan::of(&read(said).unwrap(), &after(&plan), false).unwrap();
    assert_eq!((again.steps, again.unchanged), (Vec::new(), 1));
}

#[test]
fn only_prune_takes_back_what_the_file_does_not_say() {
    let held = Held {
        types: vec![JobType { r#type: "old".to_owned(), revision: 3, ..JobType::default() }],
        quotas: vec![Quota { name: "api".to_owned(), period: 1, ..Quota::default() }],
        queues: vec![Queue { name: "q".to_owned(), ..Queue::default() }],
        ..Held::default()
    };
    let file = read("types: [{type: sync}]").unwrap();
    assert_eq!(Plan::of(&file, &held, false).unwrap().steps.len(), 1);
    let pruned = Plan::of(&file, &held, true).unwrap().steps;
    let deleted: Vec<_> = pruned.iter().filter(|step| step.verb == "delete").collect();
    assert_eq!(deleted.iter().map(|step| step.name.as_str()).collect::<Vec<_>>(), ["old", "api"]);
}

#[test]
fn a_payload_stands_in_the_defaults_and_reaches_the_server() {
    let file = read("types: [{type: sync, defaults: {payload: {path: /data, n: 3}}}]").unwrap();
    let plan = Plan::of(&file, &Held::default(), false).unwrap();
    let Action::PutType(put) = &plan.steps[0].action else { panic!("{plan:?}") };
    let payload = put.defaults.clone().unwrap().payload.unwrap();
    assert_eq!(crate::cli::json::of_struct(&payload), json!({"path": "/data", "n": 3}));
    let lines = text::of_type(put).unwrap();
    assert_eq!(lines, ["defaults:", "  payload:", "    n: 3", "    path: \"/data\"", "type: sync"]);
}

#[test]
fn json_is_taken_too() {
    let file = read(r#"{"types": [{"type": "sync", "schedule": {"interval": "15m"}}]}"#).unwrap();
    assert_eq!(file.definitions.types.len(), 1);
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let wrong = read(
        "types:\n  - {type: sync, schedule: {cron: '99 * * * *'}, colour: red}\n  \
         - {type: sync, defaults: {payload: 7}}\nqueues: {bulk: {weight: 5000}}\n",
    );
    let Err(problem) = wrong else { panic!("taken") };
    for field in [
        "types[0].colour",
        "types[0].schedule.cron",
        "types[1].type",
        "types[1].defaults.payload",
        "queues.bulk.weight",
    ] {
        assert!(problem.contains(field), "{field}: {problem}");
    }
    assert!(read("types: [").is_err());
    let Err(problem) = read("defaults: {max_pending: 99999999, circuit: {max_failures: 999}}")
    else {
        panic!("taken")
    };
    for field in ["defaults.max_pending", "defaults.circuit.max_failures"] {
        assert!(problem.contains(field), "{field}: {problem}");
    }
}

#[test]
fn what_the_server_shows_of_a_type_is_what_the_file_said() {
    for spec in read(EXAMPLE).unwrap().definitions.types {
        let info = crate::engine::TypeInfo {
            spec: spec.clone(),
            ..crate::engine::TypeInfo::observed(
                spec.job_type.clone(),
                &crate::engine::registry::Rulebook::default(),
            )
        };
        let read = text::declared(&convert::job_type::to_proto(&info)).unwrap();
        assert_eq!(read.spec.schedule, spec.schedule);
        assert_eq!(read.spec.defaults, spec.defaults);
        assert_eq!(read.spec.retry_rules, spec.retry_rules);
        assert_eq!(read.spec.quota_costs, spec.quota_costs);
    }
}
