//! Compiles `proto/` without protoc: a descriptor set for reflection and the JSON mapping, and Rust code.
//!
//! The descriptor set (`OUT_DIR/jobplane.bin`) says what the API is. The code is made from a copy of it in which some
//! fields of a message type are declared `bytes` instead. On the wire the two are the same (tag, length, content), so
//! no peer can tell; in Rust such a field is a `Bytes`:
//!
//! - Every `google.protobuf.Struct` (payload, result, log data, error details) is opaque to jobplane: it is checked
//!   once at the door (size, depth, and that it is a Struct at all, which prost now no longer does), then stored and
//!   spliced into answers as the bytes it came in, never decoded into a tree. One difference remains: a sender that
//!   splits such a field into several occurrences has them merged by a message reader, while here the last one wins.
//! - The fields of [`LAZY`] hold messages that the server encodes once and hands to all watchers, or to a worker, by
//!   reference. A reader of such a field decodes the message named in the proto file from it.
//! - What workers say on their stream, [`FROM_WORKER`], is a type by hand, for the sake of progress reports.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use prost::Message;
use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};

/// The opaque type: every field of it is generated as `bytes`.
const OPAQUE: &str = ".google.protobuf.Struct";

/// Message-typed fields (message, field) that are generated as `bytes` because they are encoded once for many readers.
const LAZY: &[(&str, &str)] = &[
    (".jobplane.v1.WatchJobResponse", "snapshot"),
    (".jobplane.v1.WatchJobResponse", "update"),
    (".jobplane.v1.WatchJobResponse", "logs"),
    (".jobplane.v1.WatchJobsResponse.Upsert", "jobs"),
    (".jobplane.v1.WatchJobsResponse.Removed", "job"),
    (".jobplane.v1.Assignment", "job"),
];

/// The name in Rust's copy for what workers say on their stream: a type by hand that is the same on the wire.
const FROM_WORKER: &str = ".jobplane.v1.FromWorker";
const SAID_TO: (&str, &str) = ("WorkerService", "ReportProgress");

/// What is compiled; imports come along. `error_details.proto` is imported by nobody and is there for reflection, so
/// that clients can read the details of an error.
const FILES: &[&str] = &[
    "google/rpc/error_details.proto",
    "jobplane/v1/job.proto",
    "jobplane/v1/event.proto",
    "jobplane/v1/job_service.proto",
    "jobplane/v1/worker_service.proto",
    "jobplane/v1/job_type_service.proto",
    "jobplane/v1/admin_service.proto",
];

fn main() -> Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=proto");

    let proto = Path::new("proto");
    let mut compiler = protox::Compiler::new([proto])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(FILES)?;
    let described = compiler.file_descriptor_set();

    write_descriptor(described.clone())?;
    generate(opaque(described)?)
}

/// Writes the descriptor set as the proto files say it, without their comments and positions.
fn write_descriptor(mut set: FileDescriptorSet) -> Result<()> {
    for file in &mut set.file {
        file.source_code_info = None;
    }
    let out = PathBuf::from(std::env::var_os("OUT_DIR").context("cargo sets OUT_DIR")?);
    std::fs::write(out.join("jobplane.bin"), set.encode_to_vec())
        .context("cannot write the descriptor set")
}

/// Generates messages, server traits and clients. `google.rpc` is what tonic-types already has.
fn generate(set: FileDescriptorSet) -> Result<()> {
    tonic_prost_build::configure()
        .emit_rerun_if_changed(false)
        .bytes(".")
        // Equal messages encode equally: a repeated request is known by the digest of its body.
        .btree_map(".")
        // By far the largest message of a worker, and the most frequent: it is moved from hand to hand.
        .boxed(".jobplane.v1.ReportProgressRequest.kind.update")
        .extern_path(".google.rpc", "::tonic_types::pb")
        .extern_path(FROM_WORKER, "crate::proto::from_worker::FromWorker")
        .codec_path("crate::proto::codec::Codec")
        .compile_fds(set)
        .context("cannot generate code from the descriptor set")
}

/// The copy that code is generated from: opaque and lazy fields declared `bytes`.
fn opaque(mut set: FileDescriptorSet) -> Result<FileDescriptorSet> {
    let mut lazy_left = LAZY.to_vec();
    for file in set.file.iter_mut().filter(|file| file.package().starts_with("jobplane.")) {
        let package = format!(".{}", file.package());
        for message in &mut file.message_type {
            make_opaque(message, &package, &mut lazy_left);
        }
    }
    let mut services = set.file.iter_mut().flat_map(|file| &mut file.service);
    let reported = services
        .find(|service| service.name() == SAID_TO.0)
        .and_then(|service| service.method.iter_mut().find(|call| call.name() == SAID_TO.1));
    reported.context("SAID_TO is not in proto/")?.input_type = Some(FROM_WORKER.to_owned());
    ensure!(lazy_left.is_empty(), "LAZY names fields that are not in proto/: {lazy_left:?}");
    Ok(set)
}

/// Rewrites one message and those nested in it; strikes the lazy fields it meets from `lazy_left`.
fn make_opaque(message: &mut DescriptorProto, scope: &str, lazy_left: &mut Vec<(&str, &str)>) {
    let name = format!("{scope}.{}", message.name());
    for field in &mut message.field {
        let lazy = lazy_left.iter().position(|&(of, named)| of == name && named == field.name());
        if let Some(at) = lazy {
            lazy_left.remove(at);
        }
        if lazy.is_some() || field.type_name() == OPAQUE {
            make_bytes(field);
        }
    }
    for nested in &mut message.nested_type {
        make_opaque(nested, &name, lazy_left);
    }
}

/// Declares a field `bytes`. Presence stays: a member of a oneof remains one, any other singular field becomes
/// `optional` (for prost-build the flag is enough, it needs no synthetic oneof).
fn make_bytes(field: &mut FieldDescriptorProto) {
    let alone = field.oneof_index.is_none();
    let repeated = field.label() == prost_types::field_descriptor_proto::Label::Repeated;
    field.set_type(Type::Bytes);
    field.type_name = None;
    if alone && !repeated {
        field.proto3_optional = Some(true);
    }
}
