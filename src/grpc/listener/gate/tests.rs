use super::*;

fn gate(max: usize, peer_max: usize) -> Gate {
    Gate::new(&Connections { max, peer_max, ..Connections::default() }, Metrics::new())
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn a_peer_takes_no_more_than_its_share_and_gives_it_back() {
    let gate = gate(3, 2);
    let (one, other) = (address("10.0.0.1"), address("10.0.0.2"));
    let first = gate.enter(one).expect("room");
    let _second = gate.enter(one).expect("room");
    assert_eq!(gate.enter(one).err(), Some(Full::Peer));
    let _third = gate.enter(other).expect("room for others");
    assert_eq!(gate.enter(address("10.0.0.3")).err(), Some(Full::All));
    drop(first);
    let _again = gate.enter(one).expect("room again");
}

#[test]
fn a_host_has_one_share_whatever_addresses_it_makes_up() {
    let gate = gate(10, 1);
    let _first = gate.enter(address("2001:db8::1")).expect("room");
    assert_eq!(gate.enter(address("2001:db8::2")).err(), Some(Full::Peer));
    let _other = gate.enter(address("2001:db8:0:1::1")).expect("another network");
    let _v4 = gate.enter(address("10.0.0.1")).expect("room");
    assert_eq!(gate.enter(address("::ffff:10.0.0.1")).err(), Some(Full::Peer));
}

#[test]
fn nothing_is_kept_of_peers_that_left() {
    let gate = gate(10, 10);
    drop(gate.enter(address("10.0.0.1")).expect("room"));
    let state = gate.0.state.lock();
    assert_eq!((state.all, state.peers.len()), (Count::default(), 0));
}

#[test]
fn a_few_places_beyond_the_bounds_are_kept_for_probes() {
    let gate = gate(1, 1);
    let one = address("10.0.0.1");
    let usual = gate.enter(one).expect("room");
    let kept: Vec<_> = (0..PEER_PROBE_CONNECTIONS_MAX)
        .map(|_| gate.enter_probe(one).expect("kept for it"))
        .collect();
    assert!(gate.enter_probe(one).is_none(), "not all for one peer");
    let _other = gate.enter_probe(address("10.0.0.2")).expect("kept for others");
    drop(usual);
    let _usual = gate.enter(one).expect("probes take nobody's place");
    drop(kept);
    assert!(gate.enter_probe(one).is_some(), "given back");
}
