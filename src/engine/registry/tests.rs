//! What is known, when rows come in late.

use super::*;
use crate::domain::QueueName;
use crate::domain::queue::QueueSettings;
use crate::store::RuleWrite;

fn key() -> RuleKey {
    RuleKey::new(RuleKind::Queue, "mail")
}

/// The row as its `revision`-th write left it.
fn row(revision: i64, paused: bool) -> Rule {
    let settings = QueueSettings { paused, ..QueueSettings::default() };
    let write = RuleWrite::put(key(), revision - 1, &settings).expect("encoded");
    Rule { key: key(), revision, body: write.body.expect("it says something") }
}

fn is_paused(registry: &Registry) -> Option<bool> {
    let book = registry.book();
    let known = book.queues.get(&QueueName::new("mail").expect("a name"))?;
    Some(known.what.paused)
}

#[test]
fn a_row_read_before_a_change_does_not_undo_it() {
    let registry = Registry::default();
    let losses = registry.losses();
    registry.heed(&[key()], &[row(2, true)]);
    registry.look(losses, &[row(1, false)]);
    assert_eq!(is_paused(&registry), Some(true));
    registry.heed(&[key()], &[row(1, false)]);
    assert_eq!(is_paused(&registry), Some(true), "of two commits the later one counts");
    registry.look(losses, &[]);
    assert_eq!(is_paused(&registry), Some(true), "a read drops nothing");
    registry.look(losses, &[row(3, false)]);
    assert_eq!(is_paused(&registry), Some(false));
}

#[test]
fn what_begins_anew_is_known_although_its_revision_is_lower() {
    let registry = Registry::default();
    registry.heed(&[key()], &[row(7, true)]);
    assert!(registry.heed_anew(&[key()], &[row(1, false)], &registry.book()));
    assert_eq!(is_paused(&registry), Some(false));
}

#[test]
fn a_change_that_is_made_while_others_are_heard_of_is_not_undone_by_them() {
    let registry = Registry::default();
    let before = registry.book();
    registry.heed(&[key()], &[row(6, true)]);
    assert!(!registry.heed_anew(&[key()], &[row(5, false)], &before), "it is to be read again");
    assert_eq!(is_paused(&registry), Some(true));
    assert!(!registry.heed_anew(&[key()], &[], &before));
    assert_eq!(is_paused(&registry), Some(true), "it was made after the read");
    let before = registry.book();
    assert!(registry.heed_anew(&[key()], &[row(1, false)], &before));
    assert_eq!(is_paused(&registry), Some(false));
    assert!(registry.heed_anew(&[key()], &[], &registry.book()));
    assert_eq!(is_paused(&registry), None);
}

#[test]
fn what_is_made_here_is_known_although_a_rule_of_a_higher_revision_went_unheard_of() {
    let registry = Registry::default();
    registry.heed(&[key()], &[row(7, true)]);
    let before = registry.book();
    registry.heed_made(&[key()], &[row(1, false)], &[key()], &before);
    assert_eq!(is_paused(&registry), Some(false));
    // What came after it may be heard of before it.
    registry.heed(&[key()], &[row(2, true)]);
    registry.heed_made(&[key()], &[row(1, false)], &[key()], &before);
    assert_eq!(is_paused(&registry), Some(true));
}

fn spoilt(key: RuleKey) -> Rule {
    Rule { key, revision: 9, body: vec![0xc1] }
}

#[test]
fn a_row_that_cannot_be_read_leaves_what_is_known_of_it_and_hides_no_other() {
    let (registry, other) = (Registry::default(), RuleKey::new(RuleKind::Queue, "a"));
    let keys = [other.clone(), key()];
    let found = [spoilt(other), row(2, true)];
    registry.heed(&keys, &found);
    assert_eq!(is_paused(&registry), Some(true), "after a commit");
    registry.heed_anew(&keys, &[found[0].clone(), row(1, false)], &registry.book());
    assert_eq!(is_paused(&registry), Some(false), "by the change log");
    registry.look(registry.losses(), &found);
    assert_eq!(is_paused(&registry), Some(true), "by a look");
    let book = registry.replace(&[found[0].clone(), row(3, false)], &registry.book());
    assert_eq!(is_paused(&registry), Some(false), "by a look at everything");
    assert_eq!(book.queues.len(), 1, "nothing was ever known of the other");
    registry.heed_anew(&keys[1..], &[spoilt(key())], &registry.book());
    assert_eq!(is_paused(&registry), Some(false), "as it was known");
    registry.replace(&[spoilt(key())], &registry.book());
    assert_eq!(is_paused(&registry), Some(false), "as it was known");
    registry.replace(&[], &registry.book());
    assert_eq!(is_paused(&registry), None);
}

#[test]
fn what_becomes_known_while_everything_is_read_stays() {
    let (registry, other) = (Registry::default(), RuleKey::new(RuleKind::Queue, "a"));
    let of_other = Rule { key: other.clone(), ..row(2, true) };
    registry.heed(&[key(), other.clone()], &[row(5, false), of_other.clone()]);
    let before = registry.book();
    registry.heed(&[key(), other.clone()], &[row(6, true)]);
    let book = registry.replace(&[row(5, false), of_other.clone()], &before);
    assert_eq!((is_paused(&registry), book.queues.len()), (Some(true), 1), "one went, one changed");
    registry.replace(&[row(7, false), of_other], &before);
    assert_eq!(is_paused(&registry), Some(false), "what was read is newer");
    registry.replace(&[row(1, true)], &registry.book());
    assert_eq!(is_paused(&registry), Some(true), "it began anew");
}

#[test]
fn a_row_read_before_its_rule_went_does_not_bring_it_back() {
    let registry = Registry::default();
    registry.heed(&[key()], &[row(1, true)]);
    let losses = registry.losses();
    registry.heed_anew(&[key()], &[], &registry.book());
    registry.look(losses, &[row(1, true)]);
    assert_eq!(is_paused(&registry), None);
    registry.look(registry.losses(), &[row(1, true)]);
    assert_eq!(is_paused(&registry), Some(true));
}
