use super::*;

const NOW: Timestamp = Timestamp::from_micros(1_750_000_000_000_000);

fn written(terms: &[&str]) -> Result<JobFilter, Failure> {
    filter(&terms.iter().map(ToString::to_string).collect::<Vec<_>>(), NOW)
}

#[test]
fn terms_are_any_of_within_a_key_and_all_of_between_keys() {
    let filter = written(&[
        "type=sync,backup",
        "type=import",
        "state=failed,CANCELLED",
        "label=env=prod",
        "owner=ann",
        "since=2h",
    ])
    .unwrap();
    assert_eq!(filter.types, ["sync", "backup", "import"]);
    assert_eq!(filter.states, [JobState::Failed, JobState::Cancelled].map(i32::from));
    assert_eq!(filter.labels["env"], "prod");
    assert_eq!(filter.owner, "ann");
    assert_eq!(filter.create_time_after.map(|at| at.seconds), Some(1_750_000_000 - 7_200));
}

#[test]
fn a_term_that_is_none_is_refused() {
    for term in ["type", "type=", "colour=red", "state=asleep", "label=env", "since=whenever"] {
        let refused = written(&[term]).unwrap_err();
        assert!(matches!(&refused, Failure::Usage { field, .. } if field.contains(term)), "{term}");
    }
}
