use super::*;
use crate::cli::parse;
use crate::proto::v1::get_server_info_response::{Pool, Store};

const NOW: Timestamp = Timestamp::from_micros(1_750_000_000_000_000);

fn args(limits: bool, loops: bool) -> Args {
    Args { limits, loops, time: Limit { timeout: None } }
}

fn told(info: &GetServerInfoResponse, args: &Args) -> String {
    let lines = facts(info, args, NOW).into_iter().map(|(name, said, _)| format!("{name}{said}\n"));
    lines.collect()
}

fn one_loop(name: &str, result: &str) -> Loop {
    let period = Some(parse::wire_duration(Duration::from_secs(5)));
    let last_run_time = Some(parse::wire_moment(NOW.minus(Duration::from_secs(3))));
    Loop { name: name.to_owned(), period, last_run_time, last_result: result.to_owned() }
}

fn info() -> GetServerInfoResponse {
    GetServerInfoResponse {
        version: "0.1.0".to_owned(),
        replica_id: "r1".to_owned(),
        start_time: Some(parse::wire_moment(NOW.minus(Duration::from_secs(7_260)))),
        store: Some(Store {
            kind: "sqlite".to_owned(),
            version: "3.50".to_owned(),
            size_bytes: 3 << 20,
            reachable: true,
        }),
        pool: Some(Pool { size: 5, idle: 3, waiting: 0 }),
        loops: vec![one_loop("flusher", "ok, 3 flushed"), one_loop("pruner", "disk full")],
        limits: [
            ("payload_bytes_max", 262_144),
            ("watch_interval_seconds_max", 60),
            ("types_max", 10_000),
        ]
        .map(|(name, bound)| (name.to_owned(), bound))
        .into(),
        ..GetServerInfoResponse::default()
    }
}

#[test]
fn it_tells_what_people_look_for_and_what_is_not_well() {
    assert_eq!(title(&info(), "http://here:1"), "jobplane 0.1.0 at http://here:1");
    let said = told(&info(), &args(false, false));
    for line in [
        "replica r1\n",
        "up 2h 1m, since 2025-06-15T13:05:40Z\n",
        "store sqlite 3.50, 3.0 MiB\n",
        "connections 5, 3 idle, 0 reads waiting\n",
        "background tasks 1 of 2 are well\n",
        "  pruner disk full (3.0s ago, every 5.0s)\n",
        "payload_bytes_max 256.0 KiB\n",
        "types_max 10,000\n",
    ] {
        assert!(said.contains(line), "{line:?}: {said}");
    }
    assert!(!said.contains("flusher") && !said.contains("watch_interval"), "{said}");
    let all = told(&info(), &args(true, true));
    assert!(all.contains("  flusher ok, 3 flushed"), "{all}");
    assert!(all.contains("watch_interval_seconds_max 1m\n"), "{all}");
}

#[test]
fn a_store_that_is_away_stands_out() {
    let away = GetServerInfoResponse { store: Some(Store::default()), ..info() };
    assert_eq!(
        store(&away),
        Some(("store ".to_owned(), "does not answer".to_owned(), Some(Paint::Red)))
    );
}
