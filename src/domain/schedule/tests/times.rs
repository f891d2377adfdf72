//! What a definition means.

use super::*;
use crate::domain::limits::JITTER_MAX;
use crate::domain::schedule::Cron;
use crate::domain::schedule::{Overlap, OverlapPolicy};

fn wrong(spec: &ScheduleSpec) -> Vec<(String, String)> {
    let mut violations = Violations::default();
    assert_eq!(spec.compile("schedule.", &mut violations), None);
    let all = violations.as_slice().iter();
    all.map(|violation| (violation.field.clone(), violation.description.clone())).collect()
}

fn wrong_fields(spec: &ScheduleSpec) -> Vec<String> {
    wrong(spec).into_iter().map(|(field, _)| field).collect()
}

#[test]
fn five_fields_six_fields_and_names() {
    let start = "2026-01-01T00:00:00Z";
    assert_eq!(times(&cron("30 4 * * *", ""), start, 1), ["2026-01-01T04:30:00Z"]);
    assert_eq!(times(&cron("15 30 4 * * *", ""), start, 1), ["2026-01-01T04:30:15Z"]);
    assert_eq!(times(&cron("@hourly", ""), start, 1), ["2026-01-01T01:00:00Z"]);
    assert_eq!(times(&cron("@daily", ""), start, 1), ["2026-01-02T00:00:00Z"]);
    assert_eq!(times(&cron("@midnight", ""), start, 1), ["2026-01-02T00:00:00Z"]);
    assert_eq!(times(&cron("@weekly", ""), start, 1), ["2026-01-04T00:00:00Z"]);
    assert_eq!(times(&cron("@monthly", ""), start, 1), ["2026-02-01T00:00:00Z"]);
    assert_eq!(times(&cron("@Yearly", ""), start, 1), ["2027-01-01T00:00:00Z"]);
    let leap = cron("0 0 29 2 *", "");
    assert_eq!(times(&leap, start, 1), ["2028-02-29T00:00:00Z"]);
}

#[test]
fn day_and_weekday_mean_either() {
    let either = cron("0 0 13 * FRI", "");
    let found = times(&either, "2026-02-01T00:00:00Z", 4);
    let days = ["2026-02-06", "2026-02-13", "2026-02-20", "2026-02-27"];
    assert_eq!(found, days.map(|day| format!("{day}T00:00:00Z")));
    let sundays = ["0 0 * * 0", "0 0 * * 7", "0 0 * * SUN"];
    let found = sundays.map(|text| times(&cron(text, ""), "2026-02-01T00:00:00Z", 1));
    assert!(found.iter().all(|times| *times == ["2026-02-08T00:00:00Z"]), "{found:?}");
}

#[test]
fn a_zone_is_the_clock_that_cron_means() {
    let berlin = cron("0 9 * * *", "Europe/Berlin");
    assert_eq!(times(&berlin, "2026-01-01T00:00:00Z", 1), ["2026-01-01T08:00:00Z"]);
    assert_eq!(times(&berlin, "2026-07-01T00:00:00Z", 1), ["2026-07-01T07:00:00Z"]);
}

#[test]
fn an_interval_counts_from_its_anchor() {
    let hourly = every(3_600);
    assert_eq!(
        times(&hourly, "2026-01-01T00:10:00Z", 2),
        ["2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z"]
    );
    let anchored = ScheduleSpec { start_time: Some(at("2026-01-01T00:07:00Z")), ..every(3_600) };
    assert_eq!(
        times(&anchored, "2025-01-01T00:00:00Z", 2),
        ["2026-01-01T00:07:00Z", "2026-01-01T01:07:00Z"]
    );
    assert_eq!(times(&anchored, "2026-01-01T00:07:00Z", 1), ["2026-01-01T01:07:00Z"]);
    assert_eq!(
        times(&hourly, "1969-12-31T22:30:00Z", 2),
        ["1969-12-31T23:00:00Z", "1970-01-01T00:00:00Z"]
    );
}

#[test]
fn nothing_before_the_start_and_nothing_from_the_end_on() {
    let spec = ScheduleSpec {
        start_time: Some(at("2026-01-05T00:00:00Z")),
        end_time: Some(at("2026-01-07T00:00:00Z")),
        ..cron("@daily", "")
    };
    let found = times(&spec, "2026-01-01T00:00:00Z", 9);
    assert_eq!(found, ["2026-01-05T00:00:00Z", "2026-01-06T00:00:00Z"]);
}

#[test]
fn jitter_hangs_on_type_and_moment_alone() {
    let spec = ScheduleSpec { jitter: Some(secs(600)), ..every(3_600) };
    let from = at("2026-01-01T00:00:00Z");
    let first = compile(&spec).fire_times(&sync(), from, 200);
    assert_eq!(first, compile(&spec).fire_times(&sync(), from, 200));
    let late: Vec<_> = first.iter().map(|one| one.fire_time.since(one.time)).collect();
    assert!(late.iter().all(|late| *late <= secs(600)));
    let mean = late.iter().sum::<Duration>() / 200;
    assert!((secs(240)..secs(360)).contains(&mean), "{mean:?}");
    let other = compile(&spec).fire_times(&JobType::new("other").unwrap(), from, 200);
    assert_ne!(first, other);
    assert_eq!(
        first.iter().map(|one| one.time).collect::<Vec<_>>(),
        other.iter().map(|one| one.time).collect::<Vec<_>>()
    );
}

#[test]
fn every_wrong_field_is_named_at_once() {
    let spec = ScheduleSpec {
        time_zone: "Europe/Atlantis".to_owned(),
        interval: Some(Duration::ZERO),
        jitter: Some(JITTER_MAX + secs(1)),
        catch_up_window: Some(secs(1)),
        start_time: Some(at("2026-01-02T00:00:00Z")),
        end_time: Some(at("2026-01-02T00:00:00Z")),
        ..ScheduleSpec::default()
    };
    let fields = ["time_zone", "interval", "jitter", "catch_up_window", "end_time"];
    assert_eq!(wrong_fields(&spec), fields.map(|field| format!("schedule.{field}")));
    assert_eq!(wrong_fields(&ScheduleSpec::default()), ["schedule.cron"]);
    let both = ScheduleSpec { interval: Some(secs(60)), ..cron("@daily", "") };
    assert_eq!(wrong_fields(&both), ["schedule.interval"]);
}

#[test]
fn what_is_no_cron_is_refused() {
    for bad in [
        "* * * *",
        "* * * * * * *",
        "60 * * * *",
        "0 24 * * *",
        "0 0 32 * *",
        "0 0 * 13 *",
        "@reboot",
        "@often",
        "0 0 30 2 *",
        "hello",
        "ß 0 * * *",
        "*/0 * * * *",
        "5-1 * * * *",
    ] {
        assert_eq!(wrong_fields(&cron(bad, "")), ["schedule.cron"], "{bad}");
    }
    assert_eq!(wrong_fields(&cron(&"0,".repeat(200), "")), ["schedule.cron"]);
    let never = wrong(&cron("0 0 31 4 *", ""));
    assert_eq!(never[0].1, "never comes: no date fits it");
}

#[test]
fn overlap_is_as_its_policy_says() {
    use Overlap::{CancelThenQueue, Create, Queue, Skip};
    // Nothing else; one waits; one runs; both.
    let standing = [(0, 0), (0, 1), (1, 0), (1, 1)];
    let decided =
        |policy: OverlapPolicy| standing.map(|(running, pending)| policy.decide(running, pending));
    assert_eq!(decided(OverlapPolicy::Skip), [Create, Skip, Skip, Skip]);
    assert_eq!(decided(OverlapPolicy::Allow), [Create, Create, Create, Create]);
    assert_eq!(decided(OverlapPolicy::QueueOne), [Create, Skip, Queue, Skip]);
    assert_eq!(
        decided(OverlapPolicy::CancelRunning),
        [Create, CancelThenQueue, CancelThenQueue, CancelThenQueue]
    );
    let alone = OverlapPolicy::ALL.iter().filter(|policy| policy.starts_alone());
    assert_eq!(alone.count(), 2);
}

#[test]
fn a_step_past_the_end_of_its_field_is_refused() {
    for (text, step) in
        [("*/90 * * * *", "90"), ("0 0-23/25 * * *", "25"), ("*/61 * * * * *", "61")]
    {
        let error = Cron::parse(text).unwrap_err().to_string();
        assert!(error.contains(&format!("a step of {step} is longer")), "{text}: {error}");
    }
    for text in ["*/60 * * * *", "0 */24 * * *", "*/5 1-10/2 * * 1-5", "@daily"] {
        assert!(Cron::parse(text).is_ok(), "{text}");
    }
}

#[test]
fn what_is_wrong_with_an_expression_is_told_first() {
    let error = Cron::parse("99 * * * *").unwrap_err().to_string();
    assert!(!error.starts_with("must") && error.contains("; must be 5 fields"), "{error}");
}

#[test]
fn an_unknown_name_is_told_as_such_and_every_is_an_interval() {
    let told = |text: &str| Cron::parse(text).unwrap_err().to_string();
    let reboot = told("@reboot");
    assert!(reboot.starts_with("@reboot is not known; must be @hourly"), "{reboot}");
    assert!(!reboot.contains("interval"), "{reboot}");
    let every = told("@every 5m");
    assert!(every.starts_with("@every is not known") && every.contains("interval"), "{every}");
}
