//! What is a name.

use proptest::prelude::*;

use super::*;

#[test]
fn letters_digits_and_a_few_marks_make_a_name() {
    for text in ["a", "9", "high_priority_tick_sync", "A.b:c/d-e_f", &"x".repeat(128)] {
        assert_eq!(JobType::new(text).unwrap().as_str(), text);
        assert_eq!(QueueName::new(text).unwrap().to_string(), text);
    }
}

#[test]
fn anything_else_says_what_is_wrong() {
    let wrong = |text: &str| WorkerName::new(text).unwrap_err();
    assert_eq!(wrong(""), NameError::Empty);
    assert_eq!(wrong(&"x".repeat(129)), NameError::TooLong(129));
    assert_eq!(wrong("-a"), NameError::Character('-'));
    assert_eq!(wrong("_a"), NameError::Character('_'));
    assert_eq!(wrong("a b"), NameError::Character(' '));
    assert_eq!(wrong("größe"), NameError::Character('ö'));
    assert_eq!(wrong("é"), NameError::Character('é'));
    assert_eq!(wrong("a\0"), NameError::Character('\0'));
    assert_eq!(wrong("jobplane.x"), NameError::Reserved);
    assert!(Category::new("jobplane").is_ok());
}

#[test]
fn the_usual_queue_has_a_name_that_is_one() {
    assert_eq!(QueueName::default(), QueueName::new("default").unwrap());
}

#[test]
fn a_process_may_go_without_a_name() {
    assert_eq!(InstanceId::new("").unwrap(), InstanceId::default());
}

#[test]
fn a_process_is_a_uuid_and_no_name() {
    let text = "018f3c4e-7b5a-7c3d-9e2f-1a2b3c4d5e6f";
    assert_eq!(InstanceId::new(text).unwrap().as_str(), text);
    assert!(InstanceId::new("pod-7").is_err());
}

#[test]
fn an_id_reads_what_it_writes_and_nothing_broken() {
    let text = "018f3c4e-7b5a-7c3d-9e2f-1a2b3c4d5e6f";
    assert_eq!(text.parse::<JobId>().unwrap().to_string(), text);
    for broken in ["", "018f3c4e", "018f3c4e-7b5a-7c3d-9e2f-1a2b3c4d5e6g", "../etc/passwd"] {
        assert!(broken.parse::<JobId>().is_err(), "{broken:?}");
    }
}

#[test]
fn ids_sort_by_creation() {
    let earlier = JobId(Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, 1_000, 0)));
    let later = JobId(Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, 1_001, 0)));
    assert!(earlier < later && earlier.to_string() < later.to_string());
}

proptest! {
    #[test]
    fn what_fits_the_rule_is_a_name_and_nothing_else(text in "\\PC{0,140}|[a-z._:/-]{0,140}") {
        let mut chars = text.chars();
        let first = chars.next();
        let fits = first.is_some_and(|c| c.is_ascii_alphanumeric())
            && chars.all(|c| c.is_ascii_alphanumeric() || "._:/-".contains(c))
            && text.len() <= 128
            && !text.starts_with("jobplane.");
        prop_assert_eq!(JobType::new(&text).is_ok(), fits);
    }
}
