use super::*;
use crate::domain::Position;

const STORE: Uuid = Uuid::from_u128(7);

#[test]
fn an_id_leads_back_to_its_place() {
    for cursor in [
        Cursor::at(Position::Sequence(9)),
        Cursor::at(Position::snapshot(9, vec![3, 5])),
        Cursor { seen: Position::snapshot(9, vec![3, 5]), within: Some((5, 77)) },
    ] {
        let id = to_id(&cursor, STORE);
        assert_eq!(from_id(&id, STORE), Some(cursor.clone()));
        assert_eq!(from_id(&id, Uuid::from_u128(8)), None, "another store");
    }
}

#[test]
fn what_is_no_id_is_none() {
    let id = to_id(&Cursor::at(Position::Sequence(9)), STORE);
    let flipped = if id.ends_with('0') { "1" } else { "0" };
    let other = format!("{}{flipped}", &id[..id.len() - 1]);
    for bad in ["", "x", "zz", "17", &id[2..], &format!("{id}00"), &other] {
        assert_eq!(from_id(bad, STORE), None, "{bad:?}");
    }
}
