//! Files against what a server has.

use serde_json::json;

use super::file::File;
use super::plan::Action;
use super::*;
use crate::grpc::convert;
use crate::proto::v1::{JobType, Queue, Quota};

mod made;
mod refused;
mod shown;

const EXAMPLE: &str = include_str!("../../../docs/types.yaml");

fn read(text: &str) -> Result<File, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("types.yaml");
    std::fs::write(&path, text).unwrap();
    file::read(path.to_str().unwrap()).map_err(|failure| match failure {
        Failure::File { problem, .. } => problem,
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
            Action::UpdateQueue { queue, .. } => held.queues.push(queue),
            Action::PutType(job_type) => held.types.push(JobType { revision: 1, ..*job_type }),
            Action::DeleteType(_) | Action::DeleteQuota(_) => panic!("nothing to delete"),
        }
    }
    held
}

#[test]
fn the_example_is_applied_once_and_then_changes_nothing() {
    let file = read(EXAMPLE).unwrap();
    assert!(file.payloads.contains_key("video_sync"), "the one field that definitions do not know");
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
fn what_a_file_does_not_say_of_limits_is_not_told() {
    let lines = |limits: &str| {
        let text = format!("types: [{{type: sync, defaults: {{limits: {{{limits}}}}}}}]");
        let plan = Plan::of(&read(&text).unwrap(), &Held::default(), false).unwrap();
        plan.steps[0].lines.clone()
    };
    assert_eq!(lines("memory_bytes: 512Mi"), ["defaults.limits.memory_bytes: \"512Mi\""]);
    assert_eq!(lines("cpu_percent: 50"), ["defaults.limits.cpu_percent: 50.0"]);
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
fn a_prune_that_leaves_no_type_or_no_quota_is_known_as_one_that_takes_all() {
    let named = |name: &str| JobType { r#type: name.to_owned(), revision: 1, ..JobType::default() };
    let held = Held {
        types: vec![named("a"), named("b")],
        quotas: vec![Quota { name: "api".to_owned(), limit: 1, period: 1, ..Quota::default() }],
        ..Held::default()
    };
    let types_only = Held { types: held.types.clone(), ..Held::default() };
    let takes_all = |text: &str, held: &Held, prune| {
        Plan::of(&read(text).unwrap(), held, prune).unwrap().takes_all
    };
    assert!(takes_all("types: [{type: new}]", &types_only, true), "nothing of what there was");
    assert!(!takes_all("types: [{type: new}]", &types_only, false), "nothing goes");
    assert!(!takes_all("types: [{type: a}]", &types_only, true), "one stays");
    assert!(takes_all("types: [{type: a}]", &held, true), "the one quota goes");
    assert!(!takes_all("{types: [{type: a}], quotas: {api: {limit: 1}}}", &held, true));
    assert!(!takes_all("types: [{type: a}]", &Held::default(), true), "there was nothing");
}

#[test]
fn a_payload_stands_in_the_defaults_and_reaches_the_server() {
    let file = read("types: [{type: sync, defaults: {payload: {path: /data, max: 3}}}]").unwrap();
    let plan = Plan::of(&file, &Held::default(), false).unwrap();
    let Action::PutType(put) = &plan.steps[0].action else { panic!("{plan:?}") };
    let payload = put.defaults.clone().unwrap().payload.unwrap();
    assert_eq!(crate::cli::json::of_struct(&payload), json!({"path": "/data", "max": 3}));
    let lines = text::of_type(put).unwrap();
    assert_eq!(
        lines,
        ["defaults:", "  payload:", "    max: 3", "    path: \"/data\"", "type: sync"]
    );
}

#[test]
fn json_is_taken_too() {
    let file = read(r#"{"types": [{"type": "sync", "schedule": {"interval": "15m"}}]}"#).unwrap();
    assert_eq!(file.definitions.types.len(), 1);
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

fn held_with(queue: Queue, job_type: JobType) -> Held {
    Held { queues: vec![queue], types: vec![job_type], ..Held::default() }
}

#[test]
fn what_an_operator_switched_off_stays_so_unless_the_file_speaks_of_it() {
    let schedule = |paused| crate::proto::v1::Schedule {
        times: Some(crate::proto::v1::schedule::Times::Cron("0 4 * * *".to_owned())),
        paused,
        ..Default::default()
    };
    let held = held_with(
        Queue {
            name: "q".to_owned(),
            paused: true,
            pause_reason: "a fire".to_owned(),
            ..Queue::default()
        },
        JobType {
            r#type: "sync".to_owned(),
            disabled: true,
            disabled_reason: "a flood".to_owned(),
            revision: 4,
            schedule: Some(schedule(true)),
            ..JobType::default()
        },
    );
    let silent = "queues: {q: {max_running: 3}}\n\
                  types: [{type: sync, schedule: {cron: '0 4 * * *'}, max_concurrent: 1}]";
    let plan = Plan::of(&read(silent).unwrap(), &held, false).unwrap();
    let lines: Vec<_> = plan.steps.iter().flat_map(|step| &step.lines).collect();
    assert_eq!(lines, ["max_running: 3", "max_concurrent: 1"]);
    let Action::UpdateQueue { queue, paths } = &plan.steps[0].action else { panic!("{plan:?}") };
    assert!(queue.paused && !paths.is_empty() && !paths.contains(&"paused"), "{paths:?}");
    let Action::PutType(put) = &plan.steps[1].action else { panic!("{plan:?}") };
    assert!(put.disabled && put.schedule.as_ref().unwrap().paused);
    assert_eq!(put.disabled_reason, "a flood");

    let said = "queues: {q: {paused: false}}\n\
                types: [{type: sync, disabled: false, schedule: {cron: '0 4 * * *', paused: false}}]";
    let plan = Plan::of(&read(said).unwrap(), &held, false).unwrap();
    let Action::UpdateQueue { queue, paths } = &plan.steps[0].action else { panic!("{plan:?}") };
    assert_eq!((queue.paused, queue.pause_reason.as_str(), paths.len()), (false, "", 0));
    let Action::PutType(put) = &plan.steps[1].action else { panic!("{plan:?}") };
    assert!(!put.disabled && !put.schedule.as_ref().unwrap().paused);
    assert_eq!(put.disabled_reason, "", "there is nothing to give a reason for");
}

#[test]
fn a_queue_without_a_weight_stays_without_one() {
    let file = read("queues: {q: {max_running: 4}}").unwrap();
    let plan = Plan::of(&file, &Held::default(), false).unwrap();
    let Action::UpdateQueue { queue, .. } = &plan.steps[0].action else { panic!("{plan:?}") };
    assert_eq!((queue.max_running, queue.weight), (4, 0));
}

#[test]
fn a_quota_that_would_not_be_there_is_told_before_anything_is_done() {
    let text = "types: [{type: sync, quota_costs: {api: 3}}]";
    let file = read(text).unwrap();
    let problem = |held: &Held, prune| match Plan::of(&file, held, prune) {
        Err(Failure::File { problem, .. }) => Some(problem),
        Err(other) => panic!("{other:?}"),
        Ok(_) => None,
    };
    let missing = problem(&Held::default(), false).expect("refused");
    assert!(missing.contains("types[0].quota_costs") && missing.contains("no such quota"));
    let quotas = vec![Quota { name: "api".to_owned(), limit: 5, period: 1, ..Quota::default() }];
    let held = Held { quotas, ..Held::default() };
    assert_eq!(problem(&held, false), None, "the server has it");
    assert!(problem(&held, true).expect("refused").contains("--prune"));
    let both = read(&format!("quotas: {{api: {{limit: 5}}}}\n{text}")).unwrap();
    assert!(Plan::of(&both, &held, true).is_ok());
}

#[test]
fn a_rate_comes_back_as_the_file_says_it() {
    for text in ["{count: 7, period: 1h}", "7/h", "7/60m"] {
        let file = read(&format!("queues: {{q: {{start_rate: {text}}}}}")).unwrap();
        let plan = Plan::of(&file, &Held::default(), false).unwrap();
        assert_eq!(plan.steps[0].lines, ["start_rate: \"7/h\""]);
    }
    let burst = "queues: {q: {start_rate: {count: 7, period: 1h, burst: 3}}}";
    let plan = Plan::of(&read(burst).unwrap(), &Held::default(), false).unwrap();
    let lines = ["start_rate.burst: 3", "start_rate.count: 7", "start_rate.period: \"1h\""];
    assert_eq!(plan.steps[0].lines, lines, "with a burst of its own there is no word for it");
}

proptest::proptest! {
    #[test]
    fn what_is_shown_of_a_type_is_read_as_the_same(
        bytes in 1_u64..1 << 40, unit in 0_u32..3, grown in 1_u64..1 << 40, count in 1_u32..1_000_000,
        period in 0_usize..5, burst in 0_u32..3,
    ) {
        let period = ["1s", "1m", "1h", "1day", "15m"][period];
        let bytes = (bytes >> (unit * 10)).max(1) << (unit * 10);
        let said = format!(
            "types: [{{type: a, start_rate: {{count: {count}, period: {period}, burst: {burst}}}, quota_costs: \
             {{memory_bytes: 1024}}, defaults: {{labels: {{memory_bytes: '1024'}}, limits: {{memory_bytes: {bytes}}}}}, \
             retry_rules: [{{codes: [X], change: {{memory_factor: 2, memory_bytes_max: {grown}}}}}]}}]"
        );
        let spec = read(&said).unwrap().definitions.types.remove(0);
        let mut lines = Vec::new();
        text::write(&text::type_tree(&spec, None).unwrap(), 2, &mut lines);
        let shown = format!("types:\n  -\n{}\n", lines.join("\n"));
        proptest::prop_assert_eq!(&read(&shown).unwrap().definitions.types[0], &spec, "{}", shown);
    }
}

#[test]
fn choices_are_shown_as_files_write_them() {
    let text = "quotas: {api: {limit: 5}}\n\
                types: [{type: sync, schedule: {cron: '0 4 * * *', overlap_policy: allow}, \
                defaults: {labels: {priority: HIGH}, priority: high}}]";
    let plan = Plan::of(&read(text).unwrap(), &Held::default(), false).unwrap();
    assert_eq!(plan.steps[0].lines, ["limit: 5", "on_exhausted: wait", "period: day"]);
    let lines = &plan.steps[1].lines;
    assert!(lines.contains(&"defaults.labels.priority: HIGH".to_owned()), "{lines:?}");
    assert!(lines.contains(&"defaults.priority: high".to_owned()), "{lines:?}");
    assert!(lines.contains(&"schedule.overlap_policy: allow".to_owned()), "{lines:?}");
    assert!(lines.iter().all(|line| !line.starts_with("type:")), "{lines:?}");
}

#[test]
fn a_quota_is_raised_before_its_types_draw_more_and_lowered_after_they_draw_less() {
    let file = |limit: u64, cost: u64| {
        let text = format!(
            "{{quotas: {{api: {{limit: {limit}}}}}, types: [{{type: sync, quota_costs: {{api: {cost}}}}}]}}"
        );
        read(&text).unwrap()
    };
    let held = after(&Plan::of(&file(10, 4), &Held::default(), false).unwrap());
    let kinds = |plan: Plan| plan.steps.into_iter().map(|step| step.kind).collect::<Vec<_>>();
    assert_eq!(kinds(Plan::of(&file(20, 15), &held, false).unwrap()), ["quota", "type"]);
    assert_eq!(kinds(Plan::of(&file(3, 2), &held, false).unwrap()), ["type", "quota"]);
    let alone = read("quotas: {api: {limit: 3}}").unwrap();
    let Err(Failure::File { problem, .. }) = Plan::of(&alone, &held, false) else { panic!() };
    assert!(problem.contains("quotas.api.limit") && problem.contains("at least 4"), "{problem}");
}
