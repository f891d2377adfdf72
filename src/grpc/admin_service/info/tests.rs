use uuid::Uuid;

use crate::domain::Timestamp;
use crate::store::StoreInfo;

use super::*;

fn info(store: Option<StoreInfo>) -> ServerInfo {
    ServerInfo {
        version: "1.2.3",
        replica_id: Uuid::from_u128(7),
        start_time: Timestamp::from_micros(1_000_000),
        features: Vec::new(),
        resume_retention: Duration::from_secs(900),
        store,
        reads_waiting: 3,
        loops: vec![
            LoopStatus {
                name: "never_ran",
                period: Duration::from_secs(1),
                last_run_time: None,
                last_result: None,
                said: String::new(),
            },
            LoopStatus {
                name: "pruner",
                period: Duration::from_secs(60),
                last_run_time: Some(Timestamp::from_micros(2_000_000)),
                last_result: Some(Err("the store failed".to_owned())),
                said: String::new(),
            },
        ],
    }
}

#[test]
fn a_store_that_does_not_answer_is_told_and_the_rest_too() {
    let told = to_proto(&info(None));
    assert_eq!(told.store, Some(Store::default()));
    assert_eq!(told.pool.map(|pool| pool.waiting), Some(3));
    assert_eq!(told.version, "1.2.3");
}

#[test]
fn loops_tell_what_came_of_their_last_run() {
    let loops = to_proto(&info(None)).loops;
    assert_eq!((loops[0].last_run_time, loops[0].last_result.as_str()), (None, ""));
    assert_eq!(loops[1].last_result, "the store failed");
}

#[test]
fn bounds_have_their_unit_last() {
    let bounds = to_proto(&info(None)).limits;
    assert_eq!(bounds["payload_bytes_max"], 262_144);
    assert_eq!(bounds["lease_ttl_seconds_max"], 86_400);
    assert!(
        bounds.iter().all(|(name, bound)| {
            *bound > 0 && (name.ends_with("_max") || name.ends_with("_min"))
        })
    );
}
