use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use std::collections::BTreeMap;

use prost::Message as _;

use super::*;
use crate::proto::v1::report_progress_request::{Capacity, Heartbeat};

fn numbers() -> impl Strategy<Value = i64> {
    prop_oneof![any::<i64>(), 0..1_000_i64, Just(0), Just(i64::MAX), Just(-1)]
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), ".{0,20}"]
}

fn job_ids() -> impl Strategy<Value = String> {
    let ids = any::<u128>().prop_map(Uuid::from_u128);
    prop_oneof![
        8 => ids.clone().prop_map(|id| id.to_string()),
        1 => ids.clone().prop_map(|id| id.to_string().to_uppercase()),
        1 => ids.prop_map(|id| id.as_simple().to_string()),
        1 => "[0-9a-fg-]{36}",
        1 => texts(),
    ]
}

prop_compose! {
    fn counted()(
        total in option::of(numbers()),
        completed in numbers(),
        succeeded in numbers(),
        failed in numbers(),
        percent in option::of(-1.0..200.0),
        step_number in any::<i32>(),
        step_count in 0..9_i32,
        sequence in numbers(),
    ) -> Progress {
        Progress {
            total, completed, succeeded, failed, percent, step_number, step_count, sequence, ..Default::default()
        }
    }
}

prop_compose! {
    fn progresses()(
        counted in counted(),
        unit in texts(),
        current_step in texts(),
        message in texts(),
        counters in prop_oneof![4 => Just(BTreeMap::default()), 1 => btree_map(texts(), 0.0..9.0, 0..3)],
        live in prop::bool::weighted(0.1),
        estimate in option::weighted(0.1, 0..99_i64),
    ) -> Progress {
        let estimated_remaining =
            estimate.map(|seconds| prost_types::Duration { seconds, nanos: 0 });
        Progress { unit, current_step, message, counters, live, estimated_remaining, ..counted }
    }
}

fn reports() -> BoxedStrategy<Option<update::Report>> {
    prop_oneof![
        8 => progresses().prop_map(|progress| Some(update::Report::Progress(progress))),
        1 => Just(Some(update::Report::Cancelled(update::Cancelled {}))),
        1 => Just(None),
    ]
    .boxed()
}

fn kinds() -> BoxedStrategy<Option<Kind>> {
    let updates = (numbers(), job_ids().boxed(), numbers(), reports()).prop_map(
        |(seq, job_id, lease_epoch, report)| {
            Some(Kind::Update(Box::new(Update { seq, job_id, lease_epoch, report })))
        },
    );
    prop_oneof![
        8 => updates,
        1 => any::<i32>().prop_map(|slots| Some(Kind::Capacity(Capacity { slots }))),
        1 => Just(Some(Kind::Heartbeat(Heartbeat { host_usage: None }))),
        1 => Just(None),
    ]
    .boxed()
}

/// In boxes: what makes a message is too large for the stack of a test.
fn messages() -> BoxedStrategy<ReportProgressRequest> {
    (numbers(), kinds())
        .prop_map(|(received_through, kind)| ReportProgressRequest { received_through, kind })
        .boxed()
}

/// Both readers agree on what the bytes are, and on whether they are a message at all.
fn agree(bytes: &[u8]) -> Result<(), TestCaseError> {
    let generated = ReportProgressRequest::decode(bytes);
    match (FromWorker::decode(bytes), generated) {
        (Ok(report), Ok(generated)) => prop_assert_eq!(*report.into_whole(), generated),
        (Err(_), Err(_)) => {}
        (ours, generated) => prop_assert!(false, "{ours:?} is not {generated:?}"),
    }
    Ok(())
}

proptest! {
    #[test]
    fn messages_are_read_as_the_generated_code_reads_them(message in messages()) {
        let bytes = message.encode_to_vec();
        agree(&bytes)?;
        prop_assert_eq!(FromWorker::from(message).encode_to_vec(), bytes);
    }

    #[test]
    fn what_is_cut_off_or_goes_on_is_read_alike(
        message in messages(), more in messages(), cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = message.encode_to_vec();
        let cut_at = cut.index(bytes.len() + 1);
        agree(&bytes[..cut_at])?;
        // One message behind another is their merger.
        bytes.extend(more.encode_to_vec());
        agree(&bytes)?;
    }

    #[test]
    fn changed_bytes_are_read_alike(
        message in messages(), changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = message.encode_to_vec();
        for (at, byte) in changes {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        agree(&bytes)?;
    }

    #[test]
    fn any_bytes_are_read_alike(bytes in vec(any::<u8>(), 0..80)) {
        agree(&bytes)?;
    }

    #[test]
    fn bytes_in_pieces_are_read_alike(message in messages(), cut in any::<prop::sample::Index>()) {
        let bytes = message.encode_to_vec();
        let (front, back) = bytes.split_at(cut.index(bytes.len() + 1));
        let report = FromWorker::decode(front.chain(back)).expect("a message");
        prop_assert_eq!(*report.into_whole(), message);
    }
}

#[test]
fn progress_of_a_job_is_a_tick() {
    let progress = Progress {
        total: Some(9),
        completed: 4,
        message: "so far".to_owned(),
        ..Default::default()
    };
    let update = Update {
        seq: 7,
        job_id: Uuid::from_u128(0x0123_4567_89ab_cdef).to_string(),
        lease_epoch: 1,
        report: Some(update::Report::Progress(progress)),
    };
    let message =
        ReportProgressRequest { received_through: 3, kind: Some(Kind::Update(Box::new(update))) };
    let report = FromWorker::decode(message.encode_to_vec().as_slice()).expect("a message");
    let FromWorker::Tick(tick) = &report else { panic!("read as a whole: {report:?}") };
    assert_eq!((tick.received_through, tick.seq, tick.total), (3, 7, Some(9)));
    assert_eq!(report.encoded_len(), message.encoded_len());
    assert_eq!(report.encode_to_vec(), message.encode_to_vec());
    assert_eq!(*report.into_whole(), message);
}

#[test]
fn tick_takes_further_fields_as_the_message_it_stands_for() {
    let mut report = FromWorker::Tick(Tick { seq: 1, ..Tick::default() });
    report.merge([8, 5].as_slice()).expect("a field");
    assert_eq!(report.clone().into_whole().received_through, 5);
    report.clear();
    assert_eq!(*report.into_whole(), ReportProgressRequest::default());
}
