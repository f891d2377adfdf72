//! What is known, when rows come in late.

use super::*;
use crate::domain::QueueName;
use crate::domain::queue::QueueSettings;

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
    registry.heed(&[key()], &[row(2, true)]).expect("readable");
    registry.look(losses, &[row(1, false)]).expect("readable");
    assert_eq!(is_paused(&registry), Some(true));
    registry.heed(&[key()], &[row(1, false)]).expect("readable");
    assert_eq!(is_paused(&registry), Some(true), "of two commits the later one counts");
    registry.look(losses, &[]).expect("nothing to read");
    assert_eq!(is_paused(&registry), Some(true), "a read drops nothing");
    registry.look(losses, &[row(3, false)]).expect("readable");
    assert_eq!(is_paused(&registry), Some(false));
}

#[test]
fn what_begins_anew_is_known_although_its_revision_is_lower() {
    let registry = Registry::default();
    registry.heed(&[key()], &[row(7, true)]).expect("readable");
    registry.heed_anew(&[key()], &[row(1, false)]).expect("readable");
    assert_eq!(is_paused(&registry), Some(false));
}

#[test]
fn a_row_read_before_its_rule_went_does_not_bring_it_back() {
    let registry = Registry::default();
    registry.heed(&[key()], &[row(1, true)]).expect("readable");
    let losses = registry.losses();
    registry.heed_anew(&[key()], &[]).expect("nothing to read");
    registry.look(losses, &[row(1, true)]).expect("readable");
    assert_eq!(is_paused(&registry), None);
    registry.look(registry.losses(), &[row(1, true)]).expect("readable");
    assert_eq!(is_paused(&registry), Some(true));
}
