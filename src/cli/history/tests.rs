use super::*;
use crate::cli::parse;

fn ran(millis: u64) -> JobStatus {
    let span = parse::wire_duration(Duration::from_millis(millis));
    JobStatus { run_duration: Some(span), ..JobStatus::default() }
}

#[test]
fn a_run_is_compared_with_the_usual_one() {
    let usual = Some(Duration::from_secs(100));
    for (millis, text) in
        [(112_000, "+12 %"), (92_000, "-8 %"), (100_300, "±0 %"), (99_800, "±0 %")]
    {
        assert_eq!(said(change(&ran(millis), usual).unwrap()), text);
    }
    assert_eq!(said(change(&ran(100_000_000), usual).unwrap()), ">+9999 %");
}

#[test]
fn without_a_usual_run_nothing_is_claimed() {
    assert_eq!(change(&ran(1), None), None);
    assert_eq!(change(&ran(1), Some(Duration::ZERO)), None);
    assert_eq!(change(&JobStatus::default(), Some(Duration::from_secs(1))), None);
}
