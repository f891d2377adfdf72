#!/usr/bin/env python3
"""A worker of a few lines: takes one job, counts to ten, succeeds. Only grpcio and reflection.

python worker.py 127.0.0.1:50051 [queue] [seconds per step]
"""

import queue
import sys
import time
import uuid

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

address = sys.argv[1]
queue_name = sys.argv[2] if len(sys.argv) > 2 else "default"
pause = float(sys.argv[3]) if len(sys.argv) > 3 else 0.3
channel = grpc.insecure_channel(address)
pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
method = pool.FindServiceByName("jobplane.v1.WorkerService").methods_by_name["ReportProgress"]
Request = message_factory.GetMessageClass(method.input_type)
Response = message_factory.GetMessageClass(method.output_type)

outbox = queue.SimpleQueue()
inbox = channel.stream_stream(
    "/jobplane.v1.WorkerService/ReportProgress", Request.SerializeToString, Response.FromString
)(iter(outbox.get, None))


def send(**message):
    outbox.put(json_format.ParseDict(message, Request()))


hello = {"worker_id": "example-worker", "instance_id": str(uuid.uuid4()), "queues": [queue_name]}
send(hello=hello)
send(capacity={"slots": 1})
for message in inbox:
    kind = message.WhichOneof("kind")
    if kind == "welcome":
        print("attached as session", message.welcome.session_id, flush=True)
    elif kind == "heartbeat":
        send(received_through=message.sequence, heartbeat={})
    elif kind == "assignment":
        send(received_through=message.sequence, capacity={"slots": 0})
        job, epoch, seq = message.assignment.job, message.assignment.lease_epoch, 0
        print("runs", job.spec.type, job.id, flush=True)
        about = {"job_id": job.id, "lease_epoch": epoch}
        for seq in range(1, 11):
            progress = {"total": 10, "completed": seq, "succeeded": seq, "message": f"step {seq}"}
            send(update={"seq": seq, **about, "progress": progress})
            time.sleep(pause)
        send(update={"seq": 11, **about, "succeeded": {"result": {"counted_to": 10}}})
    elif kind == "reject":
        print("refused:", message.reject.error.message, flush=True)
    elif kind == "ack" and message.ack.through_seq == 11:
        print("succeeded", flush=True)
        send(goodbye={})
        outbox.put(None)
