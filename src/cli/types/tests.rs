use super::*;

#[test]
fn a_type_that_is_disabled_has_no_next_run_whatever_its_schedule_says() {
    let schedule = |paused| Schedule { paused, ..Schedule::default() };
    let job_type = |disabled, reason: &str| JobType {
        disabled,
        disabled_reason: reason.to_owned(),
        ..JobType::default()
    };
    for (disabled, reason, paused, why) in [
        (false, "", false, None),
        (false, "", true, Some("the schedule is paused")),
        (true, "", false, Some("the type is disabled")),
        (true, "no licence", true, Some("the type is disabled (no licence)")),
    ] {
        assert_eq!(rests(&job_type(disabled, reason), &schedule(paused)).as_deref(), why);
    }
}
