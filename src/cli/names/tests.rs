use super::*;
use crate::proto::v1::{JobState, LogLevel, Priority, UniquePolicy, WorkerState};

#[test]
fn short_and_long_forms_in_either_case_are_the_same() {
    for text in ["failed", "FAILED", "JOB_STATE_FAILED", "job_state_failed", " Failed "] {
        assert_eq!(parse::<JobState>(text), Ok(JobState::Failed), "{text}");
    }
    assert_eq!(parse("return-existing"), Ok(UniquePolicy::ReturnExisting));
    assert_eq!(parse("return_existing"), Ok(UniquePolicy::ReturnExisting));
    assert_eq!(parse("lost"), Ok(WorkerState::Lost));
}

#[test]
fn what_is_no_name_is_told_the_names() {
    let problem = parse::<Priority>("top").unwrap_err();
    assert_eq!(problem, "must be one of low, normal, high, urgent");
    assert!(parse::<JobState>("unspecified").is_err());
    assert!(parse::<JobState>("").is_err());
}

#[test]
fn unknown_numbers_are_shown() {
    assert_eq!(word::<JobState>(2), "RUNNING");
    assert_eq!(word::<JobState>(0), "");
    assert_eq!(word::<JobState>(99), "99");
}

#[test]
fn shells_are_told_every_value_as_it_may_be_written() {
    fn agree<E: Named>() {
        let all: Vec<String> = all::<E>().map(written).collect();
        assert_eq!(all, E::WRITTEN);
    }
    agree::<JobState>();
    agree::<LogLevel>();
    agree::<Priority>();
    agree::<UniquePolicy>();
    agree::<WorkerState>();
}
