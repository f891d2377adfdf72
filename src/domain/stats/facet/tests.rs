//! Which facets a job counts in, how many there are, and that their figures add up.

use proptest::prelude::*;

use super::*;
use crate::domain::{JobType, QueueName};

fn policy() -> FacetPolicy {
    FacetPolicy { by_owner: true, by_labels: vec!["team".to_owned(), "region".to_owned()] }
}

fn spec(owner: &str, labels: &[(&str, &str)]) -> JobSpec {
    let mut spec = JobSpec::new(JobType::new("sync").unwrap(), QueueName::default());
    spec.owner = owner.to_owned();
    spec.labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    spec
}

fn label(key: &str, value: &str) -> Facet {
    Facet::Label { key: key.to_owned(), value: value.to_owned() }
}

#[test]
fn a_job_counts_in_what_is_asked_for_and_it_has() {
    let job = spec("ann", &[("team", "blue"), ("host", "h1")]);
    let facets = policy().facets(&job);
    assert_eq!(facets, [Facet::Owner("ann".to_owned()), label("team", "blue")]);
    assert_eq!(FacetPolicy::default().facets(&job), []);
    assert_eq!(policy().facets(&spec("", &[])), []);
    assert!(policy().keeps(&label("region", "eu")) && !policy().keeps(&label("host", "h1")));
    assert!(!FacetPolicy::default().keeps(&Facet::Owner("ann".to_owned())));
}

#[test]
fn a_policy_out_of_bounds_is_named() {
    let mut violations = Violations::default();
    let by_labels = vec![String::new(), "a".into(), "b".into(), "c".into(), "k".repeat(64)];
    FacetPolicy { by_owner: false, by_labels }.validate("stats.", &mut violations);
    let fields: Vec<_> = violations.as_slice().iter().map(|wrong| &wrong.field).collect();
    assert_eq!(fields, ["stats.by_labels", "stats.by_labels[0]", "stats.by_labels[4]"]);
}

#[test]
fn a_slot_begins_with_its_first_minute() {
    for minute in [-11, -10, -1, 0, 9, 10, 29_166_667] {
        let slot = slot_of(minute);
        let begins = slot_start(slot).minute();
        assert!((begins..begins + STAT_SLOT_MINUTES).contains(&minute), "{minute}");
        assert_eq!(slot_of(begins), slot);
    }
}

#[test]
fn means_are_exact() {
    let mut tally = Tally::default();
    tally.wait.record(Duration::from_millis(1_001));
    tally.run.record(Duration::from_secs(3));
    tally.run.record(Duration::from_secs(6));
    let facet = FacetTally::from(&tally);
    assert_eq!(facet.mean_wait(), Some(Duration::from_millis(1_001)));
    assert_eq!(facet.mean_run(), Some(Duration::from_millis(4_500)));
    assert_eq!(FacetTally::default().mean_run(), None);
}

proptest! {
    /// To tally by facet and add up is to add up and tally by facet.
    #[test]
    fn parts_add_up(
        parts in prop::collection::vec((0_u64..9, 0_u64..9, prop::collection::vec(0_u64..90_000, 0..5)), 0..20),
    ) {
        let (mut whole, mut sum) = (Tally::default(), FacetTally::default());
        for (created, failed, runs) in parts {
            let mut tally = Tally { created, failed, ..Tally::default() };
            for run in runs {
                tally.run.record(Duration::from_millis(run));
            }
            sum.merge(&FacetTally::from(&tally));
            whole.merge(&tally);
        }
        prop_assert_eq!(sum, FacetTally::from(&whole));
    }
}
