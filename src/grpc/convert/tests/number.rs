use crate::domain::limits::SEQUENCE_MAX;
use crate::grpc::convert::number::{position, seq};

use super::checked;

#[test]
fn sequences_end_where_json_stops_being_exact() {
    assert_eq!(checked(|v| position(0, "after", v)), Ok(0));
    assert_eq!(checked(|v| seq(1, "seq", v)), Ok(1));
    assert!(checked(|v| seq(0, "seq", v)).is_err());
    for read in [position, seq] {
        assert_eq!(checked(|v| read(SEQUENCE_MAX, "at", v)), Ok(SEQUENCE_MAX));
        for beyond in [-1, i64::MIN, SEQUENCE_MAX + 1, i64::MAX] {
            assert_eq!(checked(|v| read(beyond, "at", v)), Err(vec!["at".to_owned()]));
        }
    }
}
