use super::*;

#[test]
fn the_exit_codes_of_the_states_are_those_that_are_documented() {
    for (state, code) in [
        (JobState::Succeeded, 0),
        (JobState::Failed, 1),
        (JobState::Pending, 10),
        (JobState::Running, 11),
        (JobState::Cancelled, 12),
        (JobState::Skipped, 13),
    ] {
        assert_eq!(exit(state) as u8, code, "{state:?}");
        let said = format!("{code} {}", super::super::names::short(state).to_lowercase());
        assert!(CODES.contains(&said), "{said}");
    }
}
