use proptest::prelude::*;

use super::*;

fn message(length: usize) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend(u32::try_from(length).expect("small").to_be_bytes());
    bytes.extend(std::iter::repeat_n(0xff, length));
    bytes
}

#[test]
fn whole_messages_weigh_nothing() {
    let mut framing = Framing::default();
    framing.take(&[message(3), message(0), message(70_000)].concat());
    assert_eq!(framing.held, 0);
}

#[test]
fn a_message_weighs_what_has_come_of_it() {
    let mut framing = Framing::default();
    framing.take(&message(10)[..3]);
    assert_eq!(framing.held, 3);
    framing.take(&message(10)[3..12]);
    assert_eq!(framing.held, 12);
    framing.take(&message(10)[12..]);
    assert_eq!(framing.held, 0);
}

proptest! {
    #[test]
    fn how_the_bytes_are_cut_makes_no_difference(
        lengths in prop::collection::vec(0_usize..40, 0..8),
        end in 0_usize..400,
        cuts in prop::collection::vec(1_usize..20, 1..50),
    ) {
        let all: Vec<u8> = lengths.iter().flat_map(|length| message(*length)).collect();
        let bytes = &all[..end.min(all.len())];
        let (mut whole, mut cut) = (Framing::default(), Framing::default());
        whole.take(bytes);
        let mut left = bytes;
        for at in cuts.iter().cycle() {
            if left.is_empty() {
                break;
            }
            let (piece, rest) = left.split_at((*at).min(left.len()));
            cut.take(piece);
            left = rest;
        }
        let mut end = 0;
        for length in &lengths {
            if end + PREFIX + length > bytes.len() {
                break;
            }
            end += PREFIX + length;
        }
        prop_assert_eq!(whole.held, bytes.len() - end);
        prop_assert_eq!(cut.held, whole.held);
    }
}
