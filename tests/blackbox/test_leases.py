"""A worker that sleeps past its lease."""

import json
import os
import signal

from reflect import plain, state
from workers import Worker, create, get


def test_a_worker_stopped_past_its_lease_is_refused_and_one_result_stands(script, stub, queue):
    job = create(stub, queue)
    late = script("late_worker.py", queue)
    assert json.loads(late.stdout.readline()) == {"job_id": job.id, "lease_epoch": 1}

    os.kill(late.pid, signal.SIGSTOP)
    try:
        other = Worker(stub, queue, worker_id="other-worker")
        other.attach()
        # The lease of 10 s, and at most 30 s before that in which a server that just came up judges none.
        assignment = other.assignment(timeout=60)
        assert (assignment.job.id, assignment.lease_epoch) == (job.id, 2)
        assert assignment.job.status.attempt == 2, "a lost lease uses an attempt"
        assert other.acked(other.update(assignment, succeeded={"result": {"by": "other"}})) is None
        before = get(stub, job.id)
        late.stdin.write("finish\n")
    finally:
        os.kill(late.pid, signal.SIGCONT)

    assert json.loads(late.stdout.readline()) == {
        "accepted": False,
        "code": "ABORTED",
        "reason": "STALE_LEASE",
        "held": "2",
        "presented": "1",
    }
    assert late.wait(30) == 0
    after = get(stub, job.id)
    assert after == before, "nothing of the late worker was applied"
    assert (state(after), plain(after.status.result)) == ("SUCCEEDED", {"by": "other"})
    attempts = stub.call("JobService/ListJobAttempts", {"job_id": job.id}).attempts
    assert [(each.lease_epoch, each.worker_id) for each in attempts] == [
        (1, "late-worker"),
        (2, "other-worker"),
    ]
    assert attempts[0].error.code == "LEASE_LOST"
    other.leave()
