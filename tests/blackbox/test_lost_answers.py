"""Answers that get lost: no job hangs, none runs twice, the worker is told the truth."""

import grpc
import pytest

from proxy import Proxy
from reflect import Failed, Stub, enum, plain, state
from server import wait_until
from workers import Worker, create, get, key, lease, start

# A lease of 10 s, and at most 30 s before that in which a server that just came up judges none.
LEASE_OVER = 60


@pytest.fixture
def proxy(server):
    """A way to the server on which answers can be lost."""
    proxy = Proxy(server.address)
    yield proxy
    proxy.close()


@pytest.fixture
def connect(proxy, schema):
    """Makes connections through the proxy."""
    stubs = []

    def new():
        stubs.append(Stub(proxy.address, like=schema))
        return stubs[-1]

    yield new
    for stub in stubs:
        stub.close()


def acquire(stub, queue, wait="0s", lease_ttl="10s", timeout=90):
    """Takes a job by unary call, under way."""
    request = {"worker_id": "unary", "queues": [queue], "wait": wait, "lease_ttl": lease_ttl}
    return stub.start("WorkerService/AcquireJobs", request, timeout)


def acquire_within(stub, queue, within):
    """Takes the one job of a queue as soon as there is one."""
    answer = wait_until(
        lambda: acquire(stub, queue, wait="20s").result().assignments, within, "a job comes up"
    )
    assert len(answer) == 1
    return answer[0]


def attempts(stub, job_id):
    """(epoch, outcome) of each attempt."""
    answer = stub.call("JobService/ListJobAttempts", {"job_id": job_id})
    return [(attempt.lease_epoch, enum(attempt, "outcome")) for attempt in answer.attempts]


def test_a_job_whose_acquire_answer_was_lost_runs_elsewhere_after_its_lease(
    stub, proxy, connect, queue
):
    job = create(stub, queue)
    deaf = connect()
    grpc.channel_ready_future(deaf.channel).result(timeout=30)
    proxy.deafen()
    lost = acquire(deaf, queue)
    wait_until(lambda: state(get(stub, job.id)) == "RUNNING", 30, "the job is handed out")
    lost.cancel()
    proxy.cut()

    assignment = acquire_within(stub, queue, LEASE_OVER)
    assert key(assignment) == (job.id, 2)
    with pytest.raises(Failed) as late:
        stub.call("WorkerService/CompleteJob", {"job_id": job.id, "lease_epoch": 1})
    assert (late.value.code, late.value.reason) == (grpc.StatusCode.ABORTED, "STALE_LEASE")
    stub.call("WorkerService/CompleteJob", {**lease(assignment), "result": {"by": "second"}})
    assert attempts(stub, job.id) == [(1, "LEASE_LOST"), (2, "SUCCEEDED")]


def test_an_acquire_call_that_was_given_up_takes_no_job_for_good(server, schema, stub, queue):
    other = Stub(server.address, like=schema)
    given_up = acquire(other, queue, wait="60s")
    given_up.cancel()
    job = create(stub, queue)
    assignment = acquire_within(stub, queue, LEASE_OVER)
    assert assignment.job.id == job.id
    stub.call("WorkerService/CompleteJob", lease(assignment))
    assert state(get(stub, job.id)) == "SUCCEEDED"
    other.close()


def test_an_assignment_lost_with_its_connection_runs_elsewhere_and_uses_no_attempt(
    stub, proxy, connect, queue
):
    unlucky = Worker(connect(), queue, worker_id="unlucky")
    unlucky.attach()
    proxy.deafen()
    job = create(stub, queue)
    wait_until(lambda: state(get(stub, job.id)) == "RUNNING", 30, "the job is handed out")
    proxy.cut()

    lucky = Worker(stub, queue, worker_id="lucky")
    lucky.attach()
    assignment = lucky.assignment(timeout=LEASE_OVER)
    assert key(assignment) == (job.id, 2)
    assert assignment.job.status.attempt == 1, "what was never delivered uses no attempt"
    assert lucky.acked(lucky.update(assignment, succeeded={})) is None
    assert attempts(stub, job.id) == [(1, "RELEASED"), (2, "SUCCEEDED")]
    lucky.leave()


def test_an_outcome_whose_ack_was_lost_is_sent_again_on_a_new_stream_and_counts_once(
    stub, proxy, connect, queue
):
    job = create(stub, queue)
    worker = Worker(connect(), queue)
    worker.attach()
    run = worker.assignment()
    logs = worker.update(run, logs={"entries": [{"message": "before"}]})
    assert worker.acked(logs) is None
    proxy.deafen()
    report = {"succeeded": {"result": {"by": "the first sending"}}}
    seq = worker.update(run, **report)
    finished = wait_until(
        lambda: (job := get(stub, run.job.id)) and state(job) == "SUCCEEDED" and job, 30, "it ends"
    )
    proxy.cut()

    worker.stub = connect()
    welcome = worker.attach(running=[key(run)])
    assert not welcome.adopted, "the job is over"
    assert worker.acked(worker.update(run, seq=seq, **report)) is None, "sent again, it is taken"
    assert get(stub, job.id) == finished, "it changes nothing"
    assert attempts(stub, job.id) == [(1, "SUCCEEDED")]
    other = worker.acked(worker.update(run, failed={"error": {"message": "changed my mind"}}))
    assert (other.code, other.reason) == (grpc.StatusCode.ABORTED, "STALE_LEASE")
    worker.leave()


def test_a_unary_completion_can_be_repeated_and_another_outcome_is_refused(stub, queue):
    run = start(stub, queue)
    request = {**lease(run), "result": {"answer": 42}}
    first = stub.call("WorkerService/CompleteJob", request).job
    again = stub.call("WorkerService/CompleteJob", request).job
    assert again.status.revision == first.status.revision
    for method in ("FailJob", "ReleaseJob"):
        with pytest.raises(Failed) as other:
            stub.call(f"WorkerService/{method}", lease(run))
        assert (other.value.code, other.value.reason) == (grpc.StatusCode.ABORTED, "STALE_LEASE")
    assert plain(get(stub, run.job.id).status.result) == {"answer": 42}


def test_a_start_repeated_with_its_request_id_gives_the_same_assignment(stub, queue):
    first = start(stub, queue, request_id=f"{queue}-1", payload={"n": 1})
    again = start(stub, queue, request_id=f"{queue}-1", payload={"n": 1})
    assert key(again) == key(first)
    with pytest.raises(Failed) as reused:
        start(stub, queue, request_id=f"{queue}-1", payload={"n": 2})
    assert reused.value.code == grpc.StatusCode.INVALID_ARGUMENT
    assert reused.value.reason == "REQUEST_ID_REUSED"
    jobs = stub.call("JobService/ListJobs", {"filter": {"queues": [queue]}})
    assert [job.id for job in jobs.jobs] == [first.job.id]
    stub.call("WorkerService/CompleteJob", lease(first))


def test_reports_with_a_seq_seen_before_are_applied_once(stub, queue):
    run = start(stub, queue)
    report = {**lease(run), "seq": 1, "logs": [{"message": "once"}]}
    stub.call("WorkerService/ReportJob", report)
    stub.call("WorkerService/ReportJob", report)
    entries = stub.call("JobService/ListJobLogs", {"job_id": run.job.id}).entries
    assert [entry.message for entry in entries] == ["once"]
    stub.call("WorkerService/CompleteJob", lease(run))
