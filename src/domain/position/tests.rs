//! How places relate.

use proptest::prelude::*;

use super::*;

#[test]
fn places_of_numbered_commits_stand_in_one_line() {
    let (one, two) = (Position::Sequence(1), Position::Sequence(2));
    assert!(two.covers(&one) && one.covers(&one) && !one.covers(&two));
    assert!(two.follows(&one) && !one.follows(&two) && !one.follows(&one));
}

#[test]
fn a_snapshot_knows_what_was_done_before_it_but_what_was_under_way() {
    let snapshot = Position::snapshot(10, vec![7, 5, 7, 12]);
    assert_eq!(snapshot, Position::Snapshot { next: 10, under_way: vec![5, 7] });
    for (transaction, known) in
        [(4, true), (5, false), (6, true), (7, false), (9, true), (10, false)]
    {
        assert_eq!(snapshot.covers(&Position::Transaction(transaction)), known, "{transaction}");
    }
    assert!(!snapshot.covers(&Position::Sequence(1)) && !Position::Sequence(1).covers(&snapshot));
}

#[test]
fn a_broken_place_is_none() {
    for bytes in [
        &[][..],
        &[1, 2, 3],
        &(-1_i64).to_be_bytes(),
        &[9, 0, 0, 0, 0, 0, 0, 0, 1],
        &numbers(TRANSACTION, 1, &[2]),
        &numbers(SNAPSHOT, 5, &[6]),
        &numbers(SNAPSHOT, 5, &[3, 2]),
    ] {
        assert_eq!(Position::from_bytes(bytes), None, "{bytes:?}");
    }
}

fn any_snapshot() -> impl Strategy<Value = (u64, Vec<u64>)> {
    (0..12_u64, prop::collection::vec(0..12_u64, 0..6))
}

proptest! {
    #[test]
    fn a_snapshot_covers_another_if_it_sees_all_that_the_other_sees(
        (here, here_under_way) in any_snapshot(),
        (there, there_under_way) in any_snapshot(),
    ) {
        let (one, other) =
            (Position::snapshot(here, here_under_way), Position::snapshot(there, there_under_way));
        let sees_all = (0..20)
            .map(Position::Transaction)
            .all(|transaction| !other.covers(&transaction) || one.covers(&transaction));
        prop_assert_eq!(one.covers(&other), sees_all);
    }

    #[test]
    fn a_place_is_read_back_from_its_bytes(
        (next, under_way) in any_snapshot(),
        number in any::<u32>(),
    ) {
        for place in [
            Position::snapshot(next, under_way),
            Position::Transaction(number.into()),
            Position::Sequence(number.into()),
        ] {
            prop_assert_eq!(Position::from_bytes(&place.to_bytes()), Some(place));
        }
    }
}
