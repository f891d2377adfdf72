use super::*;

#[test]
fn what_is_sent_again_before_its_ack_is_known_and_what_was_left_out_is_not() {
    let mut ledger = Ledger::default();
    assert_eq!(ledger.see(1), Seen::New);
    ledger.begin(1, 10);
    for tick in [2, 3, 5] {
        assert_eq!(ledger.see(tick), Seen::New);
        ledger.note_settled(tick);
    }
    assert_eq!(ledger.see(7), Seen::New);
    ledger.begin(7, 10);
    ledger.settle(7);
    assert_eq!(ledger.see(8), Seen::New);
    ledger.note_settled(8);
    for known in [1, 2, 3, 5, 7, 8] {
        assert_eq!(ledger.see(known), Seen::UnderWay, "{known}");
    }
    for left_out in [4, 6] {
        assert_eq!(ledger.see(left_out), Seen::Backwards { received: 8 }, "{left_out}");
    }
    assert_eq!(ledger.through(), 0);
    ledger.settle(1);
    assert_eq!(ledger.through(), 8);
    assert!(ledger.is_settled());
    assert_eq!(ledger.see(6), Seen::Acked);
}

#[test]
fn gaps_between_ticks_fill_no_memory_and_never_pass_for_known() {
    let mut ledger = Ledger::default();
    assert_eq!(ledger.see(1), Seen::New);
    ledger.begin(1, 10);
    let last = 3 + 4 * i64::try_from(LEDGER_ENTRIES_MAX).expect("a number");
    for tick in (3..=last).step_by(2) {
        assert_eq!(ledger.see(tick), Seen::New);
        ledger.note_settled(tick);
    }
    assert!(ledger.open.len() <= LEDGER_ENTRIES_MAX);
    assert_eq!(ledger.see(last), Seen::UnderWay);
    for left_out in [2, 4, last - 1] {
        assert_eq!(ledger.see(left_out), Seen::Backwards { received: last }, "{left_out}");
    }
    ledger.settle(1);
    assert_eq!(ledger.through(), last);
}
