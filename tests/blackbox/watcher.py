#!/usr/bin/env python3
"""A watcher of a few lines: follows one job live until it is over. Only grpcio and reflection.

python watcher.py 127.0.0.1:50051 JOB_ID
"""

import sys

import grpc
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

if len(sys.argv) < 3:
    print(__doc__)
    sys.exit(0 if sys.argv[1:2] in (["-h"], ["--help"]) else 2)
address, job_id = sys.argv[1:3]
channel = grpc.insecure_channel(address)
pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
method = pool.FindServiceByName("jobplane.v1.JobService").methods_by_name["WatchJob"]
Request = message_factory.GetMessageClass(method.input_type)
Response = message_factory.GetMessageClass(method.output_type)
states = pool.FindEnumTypeByName("jobplane.v1.JobState").values_by_number

watch = channel.unary_stream(
    "/jobplane.v1.JobService/WatchJob", Request.SerializeToString, Response.FromString
)
try:
    for event in watch(Request(job_id=job_id)):
        kind = event.WhichOneof("event")
        if kind == "heartbeat":
            continue
        status = event.snapshot.job.status if kind == "snapshot" else event.update.status
        line = states[status.state].name.removeprefix("JOB_STATE_")
        if status.HasField("progress") and status.progress.HasField("percent"):
            line += f" {status.progress.percent:.0f} % {status.progress.message}"
        print(line.rstrip(), flush=True)
except grpc.RpcError as error:
    sys.exit(f"{error.code().name}: {error.details()}")
