#!/usr/bin/env python3
"""A worker of a few lines: takes one job, counts to ten, succeeds; stops when it is asked to or the
job is lost. Only grpcio and reflection.

python worker.py 127.0.0.1:50051 [queue] [seconds per step]
"""

import queue
import sys
import threading
import uuid

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
    print(__doc__)
    sys.exit(0 if sys.argv[1:2] in (["-h"], ["--help"]) else 2)
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


def leave():
    send(goodbye={})
    outbox.put(None)


def run(job, about):
    print("runs", job.spec.type, job.id, flush=True)
    for seq in range(1, 11):
        progress = {"total": 10, "completed": seq, "succeeded": seq, "message": f"step {seq}"}
        send(update={"seq": seq, **about, "progress": progress})
        if stop.wait(pause):
            break
    if not stop.is_set():
        send(update={"seq": 11, **about, "succeeded": {"result": {"counted_to": 10}}})
    elif not lost.is_set():
        send(update={"seq": 11, **about, "cancelled": {}})
    else:
        leave()


stop, lost = threading.Event(), threading.Event()
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
        job = message.assignment.job
        about = {"job_id": job.id, "lease_epoch": message.assignment.lease_epoch}
        threading.Thread(target=run, args=(job, about), daemon=True).start()
    elif kind in ("cancel_request", "revoke"):
        print("is to stop:", kind, flush=True)
        if kind == "revoke":
            lost.set()
        stop.set()
    elif kind == "reject":
        print("refused:", message.reject.error.message, flush=True)
    elif kind == "ack" and message.ack.through_seq == 11:
        print("cancelled" if stop.is_set() else "succeeded", flush=True)
        leave()
