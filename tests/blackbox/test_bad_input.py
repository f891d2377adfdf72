"""Bad input gets a typed error that names the field, and the server serves on."""

import uuid

import grpc
import pytest

from reflect import Failed, Stub
from workers import METHOD, Worker, create, get, lease, list_logs, start

INVALID = (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
DAY = "86400s"


def deep(levels):
    """A payload with so many levels."""
    value = {"leaf": 1}
    for _ in range(levels - 1):
        value = {"level": value}
    return value


SPECS = {
    "an unknown priority": ({"priority": 99}, "spec.priority"),
    "an unknown unique policy": ({"unique_key": "k", "unique_policy": 77}, "spec.unique_policy"),
    "an empty type": ({"type": ""}, "spec.type"),
    "a type with a space": ({"type": "two words"}, "spec.type"),
    "a type that is too long": ({"type": "t" * 129}, "spec.type"),
    "a reserved type": ({"type": "jobplane.internal"}, "spec.type"),
    "a queue with a slash in front": ({"queue": "/etc"}, "spec.queue"),
    "a payload of 300 KB": ({"payload": {"text": "x" * 300_000}}, "spec.payload"),
    "a payload that is too deep": ({"payload": deep(40)}, "spec.payload"),
    "10,000 labels": ({"labels": {f"l{i}": "v" for i in range(10_000)}}, "spec.labels"),
    "a label that is too long": ({"labels": {"k": "v" * 257}}, "spec.labels"),
    "an owner that is too long": ({"owner": "o" * 257}, "spec.owner"),
    "a negative timeout": ({"timeout": "-1s"}, "spec.timeout"),
    "a timeout under a second": ({"timeout": "0.5s"}, "spec.timeout"),
    "a retention under a day": ({"retention": "60s"}, "spec.retention"),
    "101 attempts": ({"retry_policy": {"max_attempts": 101}}, "spec.retry_policy.max_attempts"),
    "negative attempts": ({"retry_policy": {"max_attempts": -1}}, "spec.retry_policy.max_attempts"),
    "a shrinking back-off": (
        {"retry_policy": {"backoff_multiplier": 0.5}},
        "spec.retry_policy.backoff_multiplier",
    ),
    "a jitter over 1": ({"retry_policy": {"jitter": 1.5}}, "spec.retry_policy.jitter"),
    "a back-off that is no number": (
        {"retry_policy": {"backoff_multiplier": "NaN"}},
        "spec.retry_policy.backoff_multiplier",
    ),
    "33 delays": ({"retry_policy": {"delays": ["1s"] * 33}}, "spec.retry_policy.delays"),
    "negative memory": ({"limits": {"memory_bytes": -1}}, "spec.limits.memory_bytes"),
}

BROKEN_ID = {"job_id": "not-a-uuid"}
SOME_ID = str(uuid.UUID(int=7))
CALLS = {
    "no spec": ("JobService/CreateJob", {}, "spec"),
    "a request id that is too long": (
        "JobService/CreateJob",
        {"spec": {"type": "t"}, "request_id": "r" * 129},
        "request_id",
    ),
    "an empty batch": ("JobService/BatchCreateJobs", {}, "requests"),
    "a batch of 1,001": (
        "JobService/BatchCreateJobs",
        {"requests": [{"spec": {"type": "t"}}] * 1001},
        "requests",
    ),
    "a broken id to get": ("JobService/GetJob", BROKEN_ID, "job_id"),
    "an empty id to get": ("JobService/GetJob", {}, "job_id"),
    "a broken id to cancel": ("JobService/CancelJob", BROKEN_ID, "job_id"),
    "a broken id to retry": ("JobService/RetryJob", BROKEN_ID, "job_id"),
    "a broken id to delete": ("JobService/DeleteJob", BROKEN_ID, "job_id"),
    "a broken id to list logs of": ("JobService/ListJobLogs", BROKEN_ID, "job_id"),
    "a broken id to complete": (
        "WorkerService/CompleteJob",
        {**BROKEN_ID, "lease_epoch": 1},
        "job_id",
    ),
    "no epoch to complete": ("WorkerService/CompleteJob", {"job_id": SOME_ID}, "lease_epoch"),
    "an unknown view": ("JobService/GetJob", {"job_id": SOME_ID, "view": 9}, "view"),
    "an unknown state": ("JobService/ListJobs", {"filter": {"states": [99]}}, "filter.states"),
    "a broken id in a filter": (
        "JobService/ListJobs",
        {"filter": {"job_ids": ["x"]}},
        "filter.job_ids",
    ),
    "a negative page": ("JobService/ListJobs", {"page_size": -1}, "page_size"),
    "a page of 1,001": ("JobService/ListJobs", {"page_size": 1001}, "page_size"),
    "a grace of a day": ("JobService/CancelJob", {"job_id": SOME_ID, "grace": DAY}, "grace"),
    "a negative grace": ("JobService/CancelJob", {"job_id": SOME_ID, "grace": "-1s"}, "grace"),
    "a worker without a name": ("WorkerService/AcquireJobs", {"wait": "0s"}, "worker_id"),
    "101 jobs at once": (
        "WorkerService/AcquireJobs",
        {"worker_id": "w", "max_jobs": 101, "wait": "0s"},
        "max_jobs",
    ),
    "a wait of an hour": (
        "WorkerService/AcquireJobs",
        {"worker_id": "w", "wait": "3600s"},
        "wait",
    ),
    "a lease of a second": (
        "WorkerService/AcquireJobs",
        {"worker_id": "w", "wait": "0s", "lease_ttl": "1s"},
        "lease_ttl",
    ),
    "21 recent runs": ("JobService/GetSummary", {"recent_runs": 21}, "recent_runs"),
}

PROGRESS = {
    "a negative total": ({"total": -1}, "progress.total"),
    "negative items": ({"completed": -5}, "progress.completed"),
    "more completed than total": ({"total": 10, "completed": 11}, "progress.completed"),
    "percent beside total": ({"total": 10, "percent": 5}, "progress.percent"),
    "percent over 100": ({"percent": 101}, "progress.percent"),
    "percent that is no number": ({"percent": "NaN"}, "progress.percent"),
    "nine counters": ({"counters": {f"c{i}": 1 for i in range(9)}}, "progress.counters"),
    "a message that is too long": ({"message": "m" * 1025}, "progress.message"),
}


def check(failed, field, expected=INVALID):
    """The right code and reason, and the field by the path that the API gives it."""
    assert (failed.code, failed.reason) == expected, failed
    assert failed.domain == "jobplane"
    named = any(
        each == field or each.endswith(f".{field}") or each.startswith((f"{field}[", f"{field}."))
        for each in failed.fields
    )
    assert named, f"{failed.fields} should name {field}"


def check_serves(stub, queue):
    """A good request still goes through, on the same connection."""
    job = create(stub, queue)
    assert get(stub, job.id).spec == job.spec


def table(cases):
    return pytest.mark.parametrize("case", cases.values(), ids=[name for name in cases])


@table(SPECS)
def test_a_job_with_a_bad_spec_is_refused_and_the_field_is_named(stub, queue, case):
    spec, field = case
    request = {"spec": {"type": "blackbox", "queue": queue, **spec}}
    with pytest.raises(Failed) as refused:
        stub.call("JobService/CreateJob", request)
    check(refused.value, field)
    check_serves(stub, queue)


@table(CALLS)
def test_a_bad_request_is_refused_and_the_field_is_named(stub, queue, case):
    method, request, field = case
    with pytest.raises(Failed) as refused:
        stub.call(method, request)
    check(refused.value, field)
    check_serves(stub, queue)


@table(PROGRESS)
def test_bad_progress_is_refused_and_the_job_goes_on(stub, queue, case):
    progress, field = case
    run = start(stub, queue)
    with pytest.raises(Failed) as refused:
        stub.call("WorkerService/ReportJob", {**lease(run), "progress": progress})
    check(refused.value, field)
    stub.call("WorkerService/CompleteJob", lease(run))

    create(stub, queue)
    worker = Worker(stub, queue)
    worker.attach()
    run = worker.assignment()
    check(worker.acked(worker.update(run, progress=progress)), field)
    assert worker.acked(worker.update(run, succeeded={})) is None
    worker.leave()


def test_all_wrong_fields_are_named_at_once(stub):
    spec = {"type": "", "priority": 99, "labels": {"k": "v" * 300}, "timeout": "-3s"}
    with pytest.raises(Failed) as refused:
        stub.call("JobService/CreateJob", {"spec": spec})
    for field in ("spec.type", "spec.priority", "spec.labels", "spec.timeout"):
        check(refused.value, field)


def test_a_wrong_job_in_a_batch_is_refused_alone(stub, queue):
    requests = [{"spec": {"type": kind, "queue": queue}} for kind in ("good", "", "good")]
    results = stub.call("JobService/BatchCreateJobs", {"requests": requests}).results
    kinds = [result.WhichOneof("outcome") for result in results]
    assert kinds == ["created", "error", "created"]
    check(stub.schema.failure(results[1].error), "spec.type")


def test_a_message_of_ten_megabytes_is_refused_with_limit_exceeded(stub, queue):
    request = {"spec": {"type": "blackbox", "payload": {"text": "x" * 10_000_000}}}
    with pytest.raises(Failed) as refused:
        stub.call("JobService/CreateJob", request)
    assert refused.value.code == grpc.StatusCode.RESOURCE_EXHAUSTED, refused.value
    assert refused.value.reason == "LIMIT_EXCEEDED"
    check_serves(stub, queue)


def test_a_stream_message_over_its_limit_is_refused_and_the_job_is_not_lost(stub, queue):
    job = create(stub, queue)
    worker = Worker(stub, queue)
    worker.attach()
    run = worker.assignment()
    worker.update(run, succeeded={"result": {"text": "x" * 600_000}})
    with pytest.raises(Failed) as refused:
        worker.expect("ack")
    assert refused.value.code == grpc.StatusCode.RESOURCE_EXHAUSTED, refused.value
    assert refused.value.reason == "LIMIT_EXCEEDED"

    welcome = worker.attach(running=[(job.id, 1)])
    assert [each.job_id for each in welcome.adopted] == [job.id]
    assert worker.acked(worker.update(run, succeeded={})) is None
    worker.leave()


def test_a_job_that_is_not_there_is_not_found(stub):
    with pytest.raises(Failed) as missing:
        stub.call("JobService/GetJob", {"job_id": SOME_ID})
    assert (missing.value.code, missing.value.reason) == (
        grpc.StatusCode.NOT_FOUND,
        "JOB_NOT_FOUND",
    )


def hello(**changes):
    """A good Hello, but for the changes."""
    return {"hello": {"worker_id": "w", "instance_id": str(uuid.uuid4()), **changes}}


OPENINGS = {
    "no Hello": ([{"capacity": {"slots": 1}}], "hello"),
    "an update before Hello": (
        [{"update": {"seq": 1, "job_id": SOME_ID, "lease_epoch": 1, "progress": {}}}],
        "hello",
    ),
    "an empty message before Hello": ([{"received_through": 1}], "hello"),
    "a Hello without a name": ([hello(worker_id="")], "hello.worker_id"),
    "a Hello with a broken instance": ([hello(instance_id="me")], "hello.instance_id"),
    "a Hello with a lease of a second": ([hello(lease_ttl="1s")], "hello.lease_ttl"),
    "a Hello with 1,001 slots": ([hello(slots=1001)], "hello.slots"),
    "a Hello with a broken id": (
        [hello(running=[{"job_id": "x", "lease_epoch": 1}])],
        "hello.running",
    ),
    "a second Hello": ([hello(), hello()], "hello"),
    "a negative capacity": ([hello(), {"capacity": {"slots": -1}}], "capacity.slots"),
    "a capacity of 1,001": ([hello(), {"capacity": {"slots": 1001}}], "capacity.slots"),
}


@table(OPENINGS)
def test_a_stream_that_breaks_the_protocol_ends_and_the_field_is_named(stub, queue, case):
    messages, field = case
    conversation = stub.open(METHOD)
    for message in messages:
        conversation.send(message)
    with pytest.raises(Failed) as refused:
        for _ in range(3):  # a Welcome may come before
            conversation.receive(timeout=5)
    check(refused.value, field)
    check_serves(stub, queue)


UPDATES = {
    "no seq": ({"seq": 0}, "seq"),
    "a negative seq": ({"seq": -1}, "seq"),
    "a broken id": ({"job_id": "x"}, "job_id"),
    "no report": ({"progress": None}, "report"),
    "a log of 1,001 lines": (
        {"progress": None, "logs": {"entries": [{"message": "m"}] * 1001}},
        "logs.entries",
    ),
    "an unknown level": (
        {"progress": None, "logs": {"entries": [{"message": "m", "level": 9}]}},
        "logs.entries[0].level",
    ),
    "a line of 9 KiB": (
        {"progress": None, "logs": {"entries": [{"message": "m" * 9216}]}},
        "logs.entries[0]",
    ),
    "a result of 300 KB": (
        {"progress": None, "succeeded": {"result": {"text": "x" * 300_000}}},
        "succeeded.result",
    ),
}


@table(UPDATES)
def test_a_bad_report_is_refused_and_the_job_goes_on(stub, queue, case):
    """By a Reject, or by the end of the stream where it does not say which report is meant."""
    changes, field = case
    create(stub, queue)
    worker = Worker(stub, queue)
    worker.attach()
    run = worker.assignment()
    update = {"seq": 1, **lease(run), "progress": {"completed": 1}, **changes}
    worker.send(update={name: value for name, value in update.items() if value is not None})
    worker.seq = 1
    try:
        refusal = stub.schema.failure(worker.expect("reject").error)
    except Failed as ended:
        refusal = ended
        worker.attach(running=[(run.job.id, run.lease_epoch)])
    check(refusal, field)
    assert worker.acked(worker.update(run, succeeded={})) is None
    worker.leave()


def test_a_seq_that_goes_back_is_acked_again_and_not_applied(stub, queue):
    job = create(stub, queue)
    worker = Worker(stub, queue)
    worker.attach()
    run = worker.assignment()
    line = {"entries": [{"message": "kept"}]}
    assert worker.acked(worker.update(run, seq=7, logs=line)) is None
    worker.update(run, seq=5, logs={"entries": [{"message": "from the past"}]})
    assert worker.expect("ack").through_seq == 7
    worker.seq = 7
    assert worker.acked(worker.update(run, succeeded={})) is None
    assert [entry.message for entry in list_logs(stub, job.id)] == ["kept"]
    worker.leave()


def test_bytes_that_are_no_message_are_refused_and_the_server_serves_on(server, schema, queue):
    stub = Stub(server.address, like=schema)
    raw = stub.channel.unary_unary("/jobplane.v1.JobService/CreateJob")
    for garbage in (b"\xff\xff\xff\xff", b"\x0a\x05abc", b"\x12\x02\xc3\x28"):
        with pytest.raises(grpc.RpcError) as refused:
            raw(garbage, timeout=30)
        assert refused.value.code() in (
            grpc.StatusCode.INVALID_ARGUMENT,
            grpc.StatusCode.INTERNAL,
        )
    unknown = stub.channel.unary_unary("/jobplane.v1.JobService/NoSuchMethod")
    with pytest.raises(grpc.RpcError) as refused:
        unknown(b"", timeout=30)
    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
    check_serves(stub, queue)
    stub.close()
