//! Files that are not taken, and what is told of them.

use super::*;

#[test]
fn a_payload_that_no_server_takes_is_wrong_in_the_file() {
    let payload = |payload: &str| {
        read(&format!("types: [{{type: a}}, {{type: b, defaults: {{payload: {payload}}}}}]"))
            .map(drop)
    };
    let letters = |count: usize| format!("{{x: {}}}", "y".repeat(count));
    let levels = |count: usize| format!("{}7{}", "{x: ".repeat(count), "}".repeat(count));
    for (good, wrong, said) in [
        (letters(262_000), letters(262_200), "must have at most 262144 bytes encoded"),
        (levels(32), levels(33), "must have at most 32 levels"),
    ] {
        assert_eq!(payload(&good), Ok(()));
        let said = format!("types[1].defaults.payload: {said}");
        let problem = payload(&wrong).unwrap_err();
        assert!(problem.starts_with(&said), "{problem}");
    }
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
fn a_file_that_says_nothing_is_none() {
    for text in ["", "# nothing\n", "{}"] {
        assert!(read(text).is_err(), "{text:?}");
    }
}

#[test]
fn a_value_of_another_kind_is_told_with_its_field() {
    for (text, field, wanted) in [
        (
            "types: [{type: a, defaults: {limits: {memory_bytes: 5 quarts}}}]",
            "types[0].defaults.limits.memory_bytes",
            "512Mi",
        ),
        (
            "types: [{type: a, retry_rules: [{codes: [X], change: {memory_bytes_max: -4}}]}]",
            "types[0].retry_rules[0].change.memory_bytes_max",
            "negative",
        ),
        ("types: [{type: a, start_rate: often}]", "types[0].start_rate", "10/s, 5/min, 100/h"),
        ("queues: {q: {start_rate: 7}}", "queues.q.start_rate", "10/s"),
        (
            "queues: {q: {start_rate: {count: 7, period: soon}}}",
            "queues.q.start_rate.period",
            "soon",
        ),
        ("queues: {q: {start_rate: {count: 7}}}", "queues.q.start_rate", "period"),
        (
            "types: [{type: a, defaults: {timeout: [1]}}]",
            "types[0].defaults.timeout",
            "span like 30s",
        ),
    ] {
        let Err(said) = read(text) else { panic!("taken: {text}") };
        assert!(said.starts_with(&format!("{field}: ")) && said.contains(wanted), "{text}: {said}");
        assert!(said.contains("line 1"), "{said}");
    }
    let Err(said) = read("queues: {q: {start_rate: 0/s}}") else { panic!("taken") };
    assert!(said.contains("queues.q.start_rate.count"), "{said}");
    let Err(said) = read("queues: {q: {start_rate: {count: 1, period: 1s, brust: 2}}}") else {
        panic!("taken")
    };
    assert!(said.contains("queues.q.start_rate.brust: there is no such field"), "{said}");
}

#[test]
fn a_value_of_the_wrong_kind_is_told_with_its_field() {
    for (text, field) in [
        ("queues: {bulk: {max_running: -1}}", "queues.bulk.max_running: "),
        ("types: [{type: a}, {type: b, max_concurrent: many}]", "types[1].max_concurrent: "),
        ("types: [{type: a, schedule: {interval: soon}}]", "types[0].schedule.interval: "),
    ] {
        let Err(problem) = read(text) else { panic!("taken: {text}") };
        assert!(problem.starts_with(field), "{problem}");
    }
    let Err(problem) = read("types: [") else { panic!("taken") };
    assert!(!problem.starts_with('.') && !problem.starts_with(':'), "{problem}");
}

#[test]
fn what_belongs_in_a_field_is_told_in_the_words_of_files() {
    let number = "must be a whole number from 0 to 4294967295 (line 1, column 35)";
    for (text, said) in [
        ("types: [{type: a, max_concurrent: -1}]", number),
        ("types: [{type: a, max_concurrent: 1.5}]", number),
        ("types: [{type: a, max_concurrent: 99999999999}]", number),
        ("types: [{type: a, disabled: yes}]", "types[0].disabled: must be true or false"),
        ("types: {a: {}}", "types: must be a list (line 1"),
        ("types: [a]", "types[0]: must be a mapping, NAME: VALUE (line 1"),
        ("types: [{type: a, type: b}]", "types[0]: duplicate mapping key"),
        ("types: [{type: [a]}]", "types[0].type: must be a text (line 1"),
    ] {
        let problem = read(text).map(drop).unwrap_err();
        assert!(problem.contains(said), "{text}: {problem}");
    }
}

#[test]
fn a_time_zone_beside_an_interval_is_wrong() {
    let schedule =
        |fields: &str| read(&format!("types: [{{type: a, schedule: {{{fields}}}}}]")).map(drop);
    let problem = schedule("interval: 15m, time_zone: Europe/Berlin").unwrap_err();
    assert!(problem.starts_with("types[0].schedule.time_zone: must be left out"), "{problem}");
    assert_eq!(schedule("cron: '@daily', time_zone: Europe/Berlin"), Ok(()));
    assert_eq!(schedule("interval: 15m"), Ok(()));
}

#[test]
fn a_reason_to_be_disabled_without_being_so_is_wrong() {
    let disabled =
        JobType { r#type: "a".to_owned(), disabled: true, revision: 1, ..JobType::default() };
    let plan = |fields: &str, job_type: JobType| {
        let file = read(&format!("types: [{{type: a, {fields}}}]")).unwrap();
        let held = Held { types: vec![job_type], ..Held::default() };
        match Plan::of(&file, &held, false) {
            Ok(plan) => Ok(plan.steps.into_iter().flat_map(|step| step.lines).collect::<Vec<_>>()),
            Err(Failure::File { problem, .. }) => Err(problem),
            Err(other) => panic!("{other:?}"),
        }
    };
    let reason = "disabled_reason: no licence";
    let wrong =
        Err("types[0].disabled_reason: must be empty where disabled is not true".to_owned());
    let enabled = JobType { disabled: false, ..disabled.clone() };
    assert_eq!(plan(reason, enabled), wrong);
    assert_eq!(plan(&format!("disabled: false, {reason}"), disabled.clone()), wrong);
    let told = vec!["disabled_reason: \"no licence\"".to_owned()];
    assert_eq!(plan(reason, disabled), Ok(told), "somebody switched it off, the file says why");
}

#[test]
fn a_rate_beyond_what_the_server_takes_is_wrong_in_the_file() {
    let rate = "start_rate: {count: 1000000, period: 1ms}";
    for (text, place) in [
        (format!("types: [{{type: a}}, {{type: b, {rate}}}]"), "types[1].start_rate.per_second"),
        (format!("queues: {{q: {{{rate}}}}}"), "queues.q.start_rate"),
    ] {
        let wrong = Plan::of(&read(&text).unwrap(), &Held::default(), false).map(drop);
        let Err(Failure::File { problem, .. }) = wrong else { panic!("{text}: {wrong:?}") };
        assert!(problem.starts_with(&format!("{place}: must be from ")), "{problem}");
    }
}
