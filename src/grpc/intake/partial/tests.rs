use super::*;

/// Two messages of 3 and 0 bytes and the beginning of one of 300.
const CALL: &[u8] = b"\0\0\0\0\x03abc\0\0\0\0\0\0\0\0\x01\x2cxy";

#[test]
fn only_what_is_not_whole_counts() {
    let mut partial = Partial::default();
    assert!(partial.feed(CALL));
    assert_eq!(partial.bytes(), 7);
    assert!(!partial.feed(&[b'x'; 297]));
    assert_eq!(partial.bytes(), 304);
    assert!(partial.feed(b"x"));
    assert_eq!(partial.bytes(), 0);
}

#[test]
fn it_makes_no_difference_how_the_bytes_are_cut() {
    for cut in 1..CALL.len() {
        let mut partial = Partial::default();
        let wholes = CALL.chunks(cut).filter(|part| partial.feed(part)).count();
        assert!((1..=2).contains(&wholes), "{cut}");
        assert_eq!(partial.bytes(), 7, "{cut}");
    }
}
