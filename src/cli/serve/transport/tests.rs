use clap::Parser;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn config(words: &[&str]) -> Config {
    let line = std::iter::once("serve").chain(words.iter().copied());
    let mut config = Config::default();
    Line::try_parse_from(line).expect("flags").args.set(&mut config);
    config
}

#[test]
fn what_is_not_said_is_as_the_settings_have_it() {
    assert_eq!(format!("{:?}", config(&[])), format!("{:?}", Config::default()));
}

#[test]
fn an_empty_list_of_origins_is_none() {
    assert!(config(&["--cors-origin="]).cors_origins.is_empty());
}

#[test]
fn what_is_said_is_set() {
    let config = config(&[
        "--cors-origin=https://a.example,https://b.example",
        "--cors-origin=http://localhost:3000",
        "--max-connections=7",
        "--max-connections-per-peer=6",
        "--max-streams-per-connection=5",
        "--keepalive-interval=4s",
        "--keepalive-timeout=3s",
        "--stream-max-age=0",
        "--shutdown-within=1m",
    ]);
    assert_eq!(config.cors_origins.len(), 3);
    let Transport { connections, streams_max, keepalive_interval, keepalive_timeout, .. } =
        config.transport;
    assert_eq!((connections.max, connections.peer_max, streams_max), (7, 6, 5));
    assert_eq!((keepalive_interval.as_secs(), keepalive_timeout.as_secs()), (4, 3));
    assert_eq!(config.transport.streams.max_age, Duration::ZERO);
    assert_eq!(config.shutdown_within, Duration::from_secs(60));
}
