"""Every number that a request may hold: out of its range it is refused, and the answer names it.

The numbers are found by reflection, so that a field that is new is tried without a word here.
"""

import math
import re
import uuid

import grpc
from google.protobuf.descriptor import FieldDescriptor

from reflect import PACKAGE, Failed
from workers import METHOD

SERVICES = ("JobService", "WorkerService", "JobTypeService", "AdminService")
SOME_ID = str(uuid.UUID(int=7))

SIGNED = {
    FieldDescriptor.TYPE_INT32: 2**31 - 1,
    FieldDescriptor.TYPE_INT64: 2**63 - 1,
}
UNSIGNED = {FieldDescriptor.TYPE_UINT32: 2**32 - 1, FieldDescriptor.TYPE_UINT64: 2**64 - 1}
REAL = {FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT}
TIMES = {"google.protobuf.Duration", "google.protobuf.Timestamp"}
OPAQUE = {"google.protobuf.Struct", "google.protobuf.FieldMask", "google.rpc.Status"}

# What the server sets, and does not read in a request: (message, field).
SET_BY_THE_SERVER = {
    ("Progress", "rate_per_second"),
    ("Progress", "average_rate_per_second"),
    ("Progress", "elapsed"),
    ("Progress", "remaining"),
    ("LogEntry", "sequence"),
    ("LogEntry", "attempt"),
    ("LogEntry", "lease_epoch"),
    ("Queue", "counts"),
    ("Queue", "oldest_pending_age"),
    ("JobType", "next_fire_time"),
    ("JobType", "last_fire_time"),
    ("JobType", "create_time"),
    ("JobType", "update_time"),
    ("Circuit", "next_probe_time"),
    ("JobError", "time"),
    ("Progress", "report_time"),
    ("Progress", "activity_time"),
    ("JobType", "default_circuit"),
    ("Quota", "usage"),
}

# Numbers that may be as large as their type: nothing is sized or reserved by them.
UNBOUNDED_ABOVE = {
    ("ResourceLimits", "memory_bytes"),
    ("ResourceLimits", "cpu_percent"),
    ("ResourceUsage", "cpu_percent"),
    ("ResourceUsage", "memory_bytes"),
    ("ResourceUsage", "peak_memory_bytes"),
    ("HostUsage", "cpu_percent"),
    ("HostUsage", "memory_bytes"),
    ("HostUsage", "memory_total_bytes"),
    ("Hello", "memory_bytes"),
    ("Progress", "step_number"),
    ("Progress", "step_count"),
    ("Progress", "counters"),
    ("Change", "memory_bytes_max"),
    ("ReportProgressRequest", "received_through"),
    ("CompleteJobRequest", "lease_epoch"),
    ("FailJobRequest", "lease_epoch"),
    ("ReleaseJobRequest", "lease_epoch"),
    ("ReportJobRequest", "lease_epoch"),
    ("Update", "lease_epoch"),
    ("Running", "lease_epoch"),
    ("JobType", "revision"),
    ("RetryPolicy", "backoff_multiplier"),
}

# Numbers that may be below zero.
UNBOUNDED_BELOW = {("Progress", "counters")}

# What else a request must hold for its numbers to be looked at, by method or by the path of a message in it.
BASE = {
    "JobService/CreateJob": {"spec": {"type": "t"}},
    "JobService/BatchCreateJobs": {"requests": [{"spec": {"type": "t"}}]},
    "WorkerService/StartJob": {"worker_id": "w", "spec": {"type": "t"}},
    "WorkerService/AcquireJobs": {"worker_id": "w", "wait": "0s"},
    "JobTypeService/PutJobType": {"job_type": {"type": "t"}},
    "JobTypeService/PreviewSchedule": {"type": "t"},
    "AdminService/UpdateQueue": {"queue": {"name": "q"}},
    "AdminService/PutQuota": {"quota": {"name": "q"}},
}


def numbers(descriptor, path=(), seen=()):
    """The numbers below a message: the path of each, and its field."""
    for field in descriptor.fields:
        if (descriptor.name, field.name) in SET_BY_THE_SERVER:
            continue
        here = (*path, field)
        if field.message_type is None:
            if field.type in SIGNED or field.type in UNSIGNED or field.type in REAL:
                yield here
        elif field.message_type.full_name in TIMES:
            yield here
        elif field.message_type.GetOptions().map_entry:
            value = field.message_type.fields_by_name["value"]
            if value.type in SIGNED or value.type in REAL:
                yield here
        elif field.message_type.full_name not in OPAQUE and field.message_type not in seen:
            yield from numbers(field.message_type, here, (*seen, field.message_type))


def too_small(field):
    """Values below what a field may hold."""
    kind = field.message_type and field.message_type.full_name
    if kind == "google.protobuf.Timestamp":
        return [{"seconds": -(10**15)}]
    if kind == "google.protobuf.Duration":
        return [{"seconds": -1}]
    if field.message_type:
        field = field.message_type.fields_by_name["value"]
    if field.type in UNSIGNED:
        return []
    return [-1] if field.type in SIGNED else [math.nan, math.inf, -1.0]


def too_large(field):
    """The largest value that its type has."""
    kind = field.message_type and field.message_type.full_name
    if kind == "google.protobuf.Timestamp":
        return [{"seconds": 10**15}]
    if kind == "google.protobuf.Duration":
        return [{"seconds": 315_576_000_000}]
    if field.message_type:
        field = field.message_type.fields_by_name["value"]
    if field.type in REAL:
        return [1.7e308]
    return [(SIGNED | UNSIGNED)[field.type]]


def is_list(field):
    """Whether a field holds any number of values."""
    return field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED


def put(message, path, value):
    """Sets the field at the end of the path."""
    for field in path[:-1]:
        inner = getattr(message, field.name)
        if is_list(field):
            message = inner[0] if inner else inner.add()
        else:
            inner.SetInParent()
            message = inner
    field = path[-1]
    if field.message_type is None:
        if is_list(field):
            getattr(message, field.name).append(value)
        else:
            setattr(message, field.name, value)
    elif field.message_type.GetOptions().map_entry:
        getattr(message, field.name)["k"] = value
    else:
        inner = getattr(message, field.name)
        inner = inner.add() if is_list(field) else inner
        inner.SetInParent()
        for name, part in value.items():
            setattr(inner, name, part)


def spelled(path):
    """The path of a field as errors spell it, without places in lists and maps."""
    return ".".join(field.name for field in path)


def wrong_numbers(descriptor):
    """Each number of a message with each value that is out of its range."""
    for path in numbers(descriptor):
        field = path[-1]
        name = (field.containing_type.name, field.name)
        values = [one for one in too_small(field) if one != -1.0 or name not in UNBOUNDED_BELOW]
        if name not in UNBOUNDED_ABOVE:
            values += too_large(field)
        for value in values:
            yield path, value


def tried(stub, method, message):
    """What the call was refused with; None if it was not."""
    if method == METHOD:
        return by_stream(stub, message)
    try:
        if method.split("/")[1].startswith("Watch"):
            events = stub.watch(method, message)
            next(events)
            events.cancel()
            return None
        answer = stub.call(method, message)
    except Failed as failed:
        return failed
    if method == "JobService/BatchCreateJobs" and answer.results[0].HasField("error"):
        return stub.schema.failure(answer.results[0].error)
    return None


def by_stream(stub, message):
    """The same for a message of ReportProgress: a good Hello comes before all but a Hello."""
    conversation = stub.open(METHOD)
    if message.WhichOneof("kind") != "hello":
        conversation.send({"hello": {"worker_id": "w", "instance_id": str(uuid.uuid4())}})
        conversation.receive()
    conversation.send(message)
    conversation.half_close()
    try:
        while True:
            answer = conversation.receive()
            if answer.WhichOneof("kind") == "reject":
                return stub.schema.failure(answer.reject.error)
    except Failed as failed:
        return failed
    except EOFError:
        return None


def named(failed):
    """The fields that a refusal names, without places in lists and maps."""
    return [re.sub(r"\[[^]]*\]", "", field) for field in failed.fields]


def complaint(stub, method, path, value):
    """What is wrong with the answer to a wrong number; None if it is as it should be."""
    message = stub.request(method, BASE.get(method))
    put(message, path, value)
    if method == "AdminService/UpdateQueue":
        message.update_mask.paths.append(path[-1].name)
    if method == METHOD and message.WhichOneof("kind") == "update":
        message.update.job_id = SOME_ID
        message.update.lease_epoch = message.update.lease_epoch or 1
        message.update.seq = message.update.seq or 1
    failed, want = tried(stub, method, message), spelled(path)
    if failed is None:
        return f"{method}: {want} = {value} is taken"
    if failed.code != grpc.StatusCode.INVALID_ARGUMENT or failed.reason != "INVALID_FIELD":
        return f"{method}: {want} = {value}: {failed}"
    # A batch names fields as the request of its item does, a report those of its message.
    if not any(want == field or want.endswith(f".{field}") for field in named(failed)):
        return f"{method}: {want} = {value}: names {failed.fields}"
    return None


def methods(stub):
    """Every method of the API, with its request."""
    for service in SERVICES:
        for method in stub.schema.pool.FindServiceByName(f"{PACKAGE}.{service}").methods:
            yield f"{service}/{method.name}", method.input_type


def test_every_number_out_of_range_names_its_field(stub):
    complaints, count = [], 0
    for method, request in methods(stub):
        for path, value in wrong_numbers(request):
            count += 1
            complaints.append(complaint(stub, method, path, value))
    complaints = [each for each in complaints if each]
    assert not complaints, "\n".join(complaints)
    assert count > 200, "the numbers are found"
