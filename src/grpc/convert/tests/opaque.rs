use bytes::Bytes;
use prost::Message as _;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};

use crate::domain::limits::PAYLOAD_BYTES_MAX;
use crate::domain::validate::Violations;
use crate::grpc::convert::opaque;

fn flaw(bytes: impl Into<Bytes>) -> Option<String> {
    let mut violations = Violations::default();
    opaque::check(&bytes.into(), PAYLOAD_BYTES_MAX, "payload", &mut violations);
    violations.as_slice().first().map(|violation| violation.description.clone())
}

fn object(key: &str, kind: Kind) -> Struct {
    let value = Value { kind: Some(kind) };
    Struct { fields: [(key.to_owned(), value)].into_iter().collect() }
}

/// An object within an object, `depth` levels in all.
fn nested(depth: usize) -> Struct {
    let innermost = object("leaf", Kind::NumberValue(1.0));
    (1..depth).fold(innermost, |inner, _| object("in", Kind::StructValue(inner)))
}

/// Lists within lists in an object, `depth` levels in all.
fn nested_lists(depth: usize) -> Struct {
    let innermost = ListValue { values: vec![Value { kind: Some(Kind::BoolValue(true)) }] };
    let list = (2..depth).fold(innermost, |inner, _| ListValue {
        values: vec![Value { kind: Some(Kind::ListValue(inner)) }],
    });
    object("list", Kind::ListValue(list))
}

#[test]
fn every_kind_of_value_passes() {
    let values = [
        Kind::NullValue(0),
        Kind::NumberValue(-1.5e300),
        Kind::StringValue("grüße".to_owned()),
        Kind::StringValue(String::new()),
        Kind::BoolValue(false),
        Kind::StructValue(Struct::default()),
        Kind::ListValue(ListValue::default()),
    ];
    let list = ListValue { values: values.map(|kind| Value { kind: Some(kind) }).to_vec() };
    assert_eq!(flaw(object("", Kind::ListValue(list)).encode_to_vec()), None);
    assert_eq!(flaw(Bytes::new()), None);
}

#[test]
fn thirty_two_levels_pass_and_one_more_does_not() {
    assert_eq!(flaw(nested(32).encode_to_vec()), None);
    assert_eq!(flaw(nested_lists(32).encode_to_vec()), None);
    for deep in [nested(33), nested_lists(33)] {
        let description = flaw(deep.encode_to_vec()).expect("too deep");
        assert!(description.contains("32 levels"), "{description}");
    }
}

/// Readers nest at most 100 messages: the deepest document must reach a worker within its message.
#[test]
fn the_deepest_document_can_be_read_where_it_goes() {
    use crate::proto::{DESCRIPTOR_SET, v1};
    let payload = nested(32).encode_to_vec().into();
    let spec = v1::JobSpec { payload: Some(payload), ..Default::default() };
    let job = v1::Job { spec: Some(spec), ..Default::default() };
    let assignment = v1::Assignment { job: Some(job.encode_to_vec().into()), ..Default::default() };
    let kind = v1::report_progress_response::Kind::Assignment(assignment);
    let message = v1::ReportProgressResponse { sequence: 1, kind: Some(kind) }.encode_to_vec();
    let pool = prost_reflect::DescriptorPool::decode(DESCRIPTOR_SET).expect("our own");
    let name = "jobplane.v1.ReportProgressResponse";
    let descriptor = pool.get_message_by_name(name).expect("ours");
    let read = prost_reflect::DynamicMessage::decode(descriptor, message.as_slice());
    assert!(read.is_ok(), "{:?}", read.err());
}

#[test]
fn a_document_cut_short_anywhere_is_refused() {
    let whole = nested_lists(5).encode_to_vec();
    assert_eq!(flaw(whole.clone()), None);
    for end in 1..whole.len() {
        assert!(flaw(whole[..end].to_vec()).is_some(), "cut at {end}");
    }
}

#[test]
fn what_a_decoder_refuses_is_refused() {
    let hostile: [&[u8]; 11] = [
        &[0x0a],                                                             // no length
        &[0x0a, 0x05, 0x00], // length beyond the end
        &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], // endless length
        &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], // 2^64 − 1
        &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], // beyond 64 bits
        &[0x08, 0x01],       // number where an entry is due
        &[0x0b, 0x0c],       // a group
        &[0x0a, 0x05, 0x0a, 0x01, 0xff, 0x12, 0x00], // key is no UTF-8
        &[0x12, 0x00],       // unknown field
        &[0x0a, 0x07, 0x0a, 0x01, b'k', 0x12, 0x02, 0x3a, 0x00], // unknown kind of value
        b"{\"json\": true}",
    ];
    for bytes in hostile {
        assert!(flaw(bytes.to_vec()).is_some(), "{bytes:x?}");
    }
}

#[test]
fn what_json_cannot_say_is_refused() {
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(flaw(object("n", Kind::NumberValue(number)).encode_to_vec()).is_some());
    }
    let unset = Struct { fields: [("k".to_owned(), Value { kind: None })].into_iter().collect() };
    assert!(flaw(unset.encode_to_vec()).is_some());
    let in_list = ListValue { values: vec![Value { kind: None }] };
    assert!(flaw(object("l", Kind::ListValue(in_list)).encode_to_vec()).is_some());
}

#[test]
fn the_size_is_bounded() {
    let overhead = object("k", Kind::StringValue("x".repeat(200_000))).encoded_len() - 200_000;
    let of_size =
        |size: usize| object("k", Kind::StringValue("x".repeat(size - overhead))).encode_to_vec();
    assert_eq!(of_size(PAYLOAD_BYTES_MAX).len(), PAYLOAD_BYTES_MAX);
    assert_eq!(flaw(of_size(PAYLOAD_BYTES_MAX)), None);
    assert!(flaw(of_size(PAYLOAD_BYTES_MAX + 1)).expect("too large").contains("262144 bytes"));
}

proptest::proptest! {
    /// Whatever passes decodes, so that no reader chokes on it.
    #[test]
    fn what_passes_decodes(bytes in proptest::collection::vec(0_u8..=40, 0..24)) {
        if flaw(bytes.clone()).is_none() {
            proptest::prop_assert!(Struct::decode(bytes.as_slice()).is_ok());
        }
    }

    /// A valid document with a few bytes changed is either still one, or refused.
    #[test]
    fn changed_documents_pass_only_if_they_decode(at in 0_usize..60, byte in 0_u8..=255) {
        let mut bytes = nested_lists(6).encode_to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        if flaw(bytes.clone()).is_none() {
            proptest::prop_assert!(Struct::decode(bytes.as_slice()).is_ok());
        }
    }
}
