"""Cancel races completion: exactly one wins, and the other one is told who did."""

import time

import grpc

from reflect import Failed, Stub, state
from workers import Worker, create_many, get, key, lease, start

RACES = 500
AT_ONCE = 50
CANCEL = {"reason": "race", "grace": "0s"}


def test_cancel_and_complete_race_over_unary_calls_and_one_wins(server, schema, stub, queue, rng):
    caller = Stub(server.address, like=schema)
    winners = {"SUCCEEDED": 0, "CANCELLED": 0}
    for _ in range(RACES // AT_ONCE):
        runs = [start(stub, queue) for _ in range(AT_ONCE)]
        races = []
        for run in runs:
            completing = {**lease(run), "result": {"done": True}}
            sides = [
                ("worker", stub, "WorkerService/CompleteJob", completing),
                ("caller", caller, "JobService/CancelJob", {"job_id": run.job.id, **CANCEL}),
            ]
            rng.shuffle(sides)
            races.append({who: via.start(*what) for who, via, *what in sides})
        for run, race in zip(runs, races, strict=True):
            worker, caller_told = race["worker"].outcome(), race["caller"].outcome()
            refusal = worker if isinstance(worker, Failed) else None
            winner = check_race(get(stub, run.job.id), refusal, caller_told)
            winners[winner] += 1
    caller.close()
    check_both_won(winners)


def test_cancel_and_complete_race_over_a_stream_and_one_wins(server, schema, stub, queue, rng):
    caller = Stub(server.address, like=schema)
    worker = Worker(stub, queue, slots=AT_ONCE)
    worker.attach()
    winners = {"SUCCEEDED": 0, "CANCELLED": 0}
    lead = 0.0  # seconds that the worker has before the caller, so that either may win
    for _ in range(RACES // AT_ONCE):
        ids = create_many(stub, queue, AT_ONCE)
        runs = [worker.assignment() for _ in ids]
        assert sorted(run.job.id for run in runs) == sorted(ids)
        races = [race(worker, caller, run, lead + rng.uniform(-0.001, 0.001)) for run in runs]
        told = {}
        while len(told) < len(races):
            through = worker.expect("ack").through_seq
            for seq in [seq for seq, _ in races if seq <= through and seq not in told]:
                told[seq] = worker.rejects.pop(seq, None)
        for run, (seq, cancel) in zip(runs, races, strict=True):
            winner = check_race(get(stub, run.job.id), told[seq], cancel.outcome())
            winners[winner] += 1
            lead += 0.0001 if winner == "CANCELLED" else -0.0001
    worker.leave()
    caller.close()
    check_both_won(winners)


def race(worker, caller, run, lead):
    """Lets the worker finish and the caller cancel, one that much before the other."""
    cancel = ("JobService/CancelJob", {"job_id": key(run)[0], **CANCEL})
    if lead < 0:
        call = caller.start(*cancel)
        time.sleep(-lead)
    seq = worker.update(run, succeeded={"result": {"done": True}})
    if lead >= 0:
        time.sleep(lead)
        call = caller.start(*cancel)
    return seq, call


def check_race(job, worker_refusal, caller_told):
    """The durable state says who won; the other one was refused and knows it. Gives the state."""
    if state(job) == "SUCCEEDED":
        assert worker_refusal is None
        assert isinstance(caller_told, Failed), "the caller believes that it cancelled the job"
        assert caller_told.code == grpc.StatusCode.FAILED_PRECONDITION
        assert caller_told.reason == "ILLEGAL_TRANSITION"
        assert told_state(caller_told) == "SUCCEEDED"
        assert job.status.result["done"]
    else:
        assert state(job) == "CANCELLED"
        assert not isinstance(caller_told, Failed), caller_told
        assert state(caller_told.job) == "CANCELLED"
        assert worker_refusal, "the worker believes that it finished the job"
        assert worker_refusal.code == grpc.StatusCode.ABORTED
        assert worker_refusal.reason == "STALE_LEASE"
        assert told_state(worker_refusal) == "CANCELLED"
        assert not job.status.HasField("result")
    return state(job)


def told_state(failed):
    """The state that a refusal names, in short."""
    return failed.metadata.get("state", "").upper().removeprefix("JOB_STATE_")


def check_both_won(winners):
    print(f"winners: {winners}")
    assert sum(winners.values()) == RACES
    assert all(winners.values()), f"the race was none: {winners}"
