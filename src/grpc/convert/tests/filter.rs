use std::time::Duration;

use crate::domain::{JobFilter, StateKind, Trigger};
use crate::grpc::convert::{filter, time};
use crate::proto::v1;

use super::{NOW, checked};

const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

fn with(change: impl FnOnce(&mut v1::JobFilter)) -> Result<JobFilter, Vec<String>> {
    let mut wire = v1::JobFilter::default();
    change(&mut wire);
    checked(|v| filter::from_proto(Some(wire), "filter", v))
}

#[test]
fn no_filter_means_all_jobs() {
    assert_eq!(checked(|v| filter::from_proto(None, "filter", v)), Ok(JobFilter::default()));
    assert_eq!(with(|_| {}), Ok(JobFilter::default()));
}

#[test]
fn every_field_is_taken_over() {
    let after = time::to_proto(NOW);
    let before = time::to_proto(NOW.plus(Duration::from_secs(1)));
    let filter = with(|f| {
        f.job_ids = vec![ID.to_owned(), ID.to_owned()];
        f.states = vec![v1::JobState::Failed.into(), v1::JobState::Failed.into()];
        f.types = vec!["a".to_owned(), "b".to_owned(), "a".to_owned()];
        f.categories = vec!["sync".to_owned()];
        f.queues = vec!["default".to_owned()];
        f.labels = [("k".to_owned(), "v".to_owned())].into_iter().collect();
        f.owner = "o".to_owned();
        f.subject = "s".to_owned();
        f.external_id = "e".to_owned();
        f.triggers = vec![v1::JobTrigger::Worker.into()];
        f.worker_id = "w1".to_owned();
        f.created_by = "anonymous".to_owned();
        f.create_time_after = Some(after);
        f.create_time_before = Some(before);
        f.end_time_before = Some(before);
    })
    .expect("valid");
    assert_eq!((filter.job_ids.len(), filter.types.len()), (1, 2));
    assert_eq!(filter.states, [StateKind::Failed]);
    assert_eq!(filter.triggers, [Trigger::Worker]);
    assert_eq!((filter.create_time.after, filter.end_time.after), (Some(NOW), None));
    assert_eq!(filter.worker_id.expect("given").as_str(), "w1");
    assert_eq!(filter.owner.as_deref(), Some("o"));
}

#[test]
fn an_unspecified_state_is_no_restriction() {
    let states = vec![v1::JobState::Unspecified.into(), v1::JobState::Running.into()];
    assert_eq!(with(|f| f.states = states), Ok(JobFilter::default()));
}

#[test]
fn all_wrong_fields_are_named_at_once() {
    let found = with(|f| {
        f.job_ids = vec![ID.to_owned(), "nonsense".to_owned()];
        f.states = vec![7];
        f.types = vec!["ok".to_owned(), String::new()];
        f.categories = vec!["no no".to_owned()];
        f.queues = vec!["q".repeat(129)];
        f.labels = [("k".to_owned(), "v".repeat(257))].into_iter().collect();
        f.owner = "o".repeat(257);
        f.triggers = vec![-1];
        f.worker_id = " ".to_owned();
        f.end_time_after = Some(time::to_proto(NOW));
        f.end_time_before = Some(time::to_proto(NOW.minus(Duration::from_secs(1))));
    });
    let expected = [
        "filter.job_ids[1]",
        "filter.states[0]",
        "filter.triggers[0]",
        "filter.types[1]",
        "filter.categories[0]",
        "filter.queues[0]",
        "filter.labels[\"k\"]",
        "filter.owner",
        "filter.worker_id",
        "filter.end_time_before",
    ];
    assert_eq!(found, Err(expected.map(str::to_owned).to_vec()));
}

#[test]
fn lists_keep_their_bounds() {
    assert!(with(|f| f.job_ids = vec![ID.to_owned(); 1_000]).is_ok());
    let wrong = |field: &str| Err(vec![format!("filter.{field}")]);
    assert_eq!(with(|f| f.job_ids = vec![ID.to_owned(); 1_001]), wrong("job_ids"));
    assert!(with(|f| f.types = vec!["t".to_owned(); 1_000]).is_ok());
    assert_eq!(with(|f| f.types = vec!["t".to_owned(); 1_001]), wrong("types"));
    assert_eq!(with(|f| f.states = vec![1; 100_000]), wrong("states"));
}
