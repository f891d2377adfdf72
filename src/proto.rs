//! Code generated from `proto/` by build.rs: messages, server traits and clients. Named only by `grpc/` and `cli/`.
//!
//! By hand there are only the [`codec`] and [`from_worker`]. The rest enters no tree: see the proto files for what a message means, and build.rs for why some
//! fields are `Bytes` although the proto file declares a message. In short:
//!
//! - `google.protobuf.Struct` fields (payload, result, log data, error details) are `Option<Bytes>`: the encoded
//!   Struct, opaque, checked at the door and spliced as it came.
//! - `WatchJobResponse.snapshot`, `.update`, `.logs` and `Assignment.job` are the encoded message, made once for all
//!   who get it.
//!
//! Maps are `BTreeMap`s, so equal messages encode to equal bytes. `google.rpc.Status` is `tonic_types::pb::Status`.

pub mod codec;
pub mod from_worker;

/// The package `jobplane.v1`.
#[allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    rustdoc::all,
    reason = "generated code: documented in the proto files, styled by its generator"
)]
pub mod v1 {
    tonic::include_proto!("jobplane.v1");
}

/// The encoded `google.protobuf.FileDescriptorSet` of the API and all it imports, with the true types of all fields:
/// for reflection and for the JSON mapping. Without comments.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/jobplane.bin"));
