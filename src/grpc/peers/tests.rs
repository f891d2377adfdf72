use super::*;

const LIMITS: PeerLimits = PeerLimits { calls: 2, unanswered: 1, bytes: 100 };

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn a_peer_has_so_many_calls_and_no_more() {
    let peers = Peers::new(LIMITS);
    let one = address("10.0.0.1");
    let first = peers.enter(one, Kind::Usual).expect("room");
    let _second = peers.enter(one, Kind::Usual).expect("room");
    let refused = peers.enter(one, Kind::Usual).err().expect("full");
    assert_eq!(refused.to_string(), "calls of one peer are limited to 2 at a time");
    peers.enter(address("10.0.0.2"), Kind::Usual).expect("room for others");
    let probes: Vec<_> =
        (0..PROBES_MAX).map(|_| peers.enter(one, Kind::Probe).expect("kept")).collect();
    assert!(peers.enter(one, Kind::Probe).is_err(), "not for ever");
    drop(probes);
    drop(first);
    peers.enter(one, Kind::Usual).expect("room again");
}

#[test]
fn a_peer_has_a_few_reflections_and_its_other_calls_beside_them() {
    let peers = Peers::new(PeerLimits::default());
    let one = address("10.0.0.1");
    let mut opened: Vec<_> = (0..PEER_REFLECTIONS_MAX)
        .map(|_| peers.enter(one, Kind::Reflection).expect("room"))
        .collect();
    assert!(peers.enter(one, Kind::Reflection).is_err(), "no more");
    let usual = peers.enter(one, Kind::Usual).expect("room for others");
    assert_eq!(usual.peer.calls.load(Ordering::Relaxed), PEER_REFLECTIONS_MAX + 1);
    opened.pop();
    peers.enter(one, Kind::Reflection).expect("room again");
}

#[test]
fn a_peer_without_calls_is_forgotten() {
    let peers = Peers::new(LIMITS);
    let call = peers.enter(address("10.0.0.1"), Kind::Usual).expect("room");
    assert_eq!(peers.0.of.len(), 1);
    drop(call);
    assert_eq!(peers.0.of.len(), 0);
    assert_eq!(peers.0.calls.load(Ordering::Relaxed), 0);
}

#[test]
fn neighbours_of_ipv6_are_one_peer_and_a_mapped_address_is_its_ipv4() {
    assert_eq!(whole(address("2001:db8::1")), whole(address("2001:db8::ffff:1")));
    assert_ne!(whole(address("2001:db8:0:1::1")), whole(address("2001:db8::1")));
    assert_eq!(whole(address("::ffff:10.0.0.1")), address("10.0.0.1"));
}

#[test]
fn bytes_are_charged_to_the_peer_and_given_back() {
    let peers = Peers::new(LIMITS);
    let one = address("10.0.0.1");
    let call = peers.enter(one, Kind::Usual).expect("room");
    let mut first = Charge::none(Arc::clone(&call));
    let mut second = Charge::none(peers.enter(one, Kind::Usual).expect("room"));
    first.set(60).expect("room");
    second.set(40).expect("room");
    assert!(second.set(41).is_err());
    assert_eq!(second.bytes, 40, "as before");
    first.set(59).expect("less is always well");
    second.set(41).expect("room again");
    let elsewhere = peers.enter(address("10.0.0.2"), Kind::Usual).expect("room");
    Charge::none(elsewhere).set(100).expect("another peer has its own");
    drop((first, second));
    assert_eq!(call.peer.bytes.load(Ordering::Relaxed), 0);
    assert_eq!(peers.0.bytes.load(Ordering::Relaxed), 0);
}
