"""Many small messages that nobody reads for a while, with gRPC's own C library as the peer.

tests/it/small_frames.rs has the same with a Rust client, and the arithmetic. JOBPLANE_SOAK_SECONDS repeats each
round for so long.
"""

import os
import signal
import threading
import time

import pytest

from reflect import Stub, state
from workers import METHOD, Worker, create, get

STREAMS = 6
TICKS = 2_500
UPDATES = 1_000


@pytest.fixture
def rounds():
    """Rounds until the time of a soak is over; at least one."""

    def play():
        end = time.monotonic() + float(os.environ.get("JOBPLANE_SOAK_SECONDS", 0))
        yield 0
        number = 1
        while time.monotonic() < end:
            yield number
            number += 1

    return play()


def attach(stub, queue, index):
    """A worker with a job of its own, on a connection that others use too."""
    name = f"{queue}-{index}"
    create(stub, name)
    worker = Worker(stub, name)
    worker.attach()
    return worker, worker.assignment()


def tick(worker, run, count):
    """Sends so many ticks, each a message of some 60 bytes; gives the last seq."""
    request = worker.stub.request(METHOD, {"update": {"progress": {"total": 1 << 40}}})
    request.update.job_id, request.update.lease_epoch = run.job.id, run.lease_epoch
    for _ in range(count):
        message = type(request)()
        message.CopyFrom(request)
        worker.seq += 1
        message.update.seq = message.update.progress.completed = worker.seq
        worker.conversation.send(message)
    return worker.seq


def test_a_server_that_stalls_loses_no_connection(own_server, schema, queue, rounds):
    """The process stands still while ticks fill the windows of its streams: as slow as a server can be."""
    stub = Stub(own_server.address, like=schema)
    held = [attach(stub, queue, index) for index in range(STREAMS)]
    for _ in rounds:
        os.kill(own_server.process.pid, signal.SIGSTOP)
        try:
            last = [tick(worker, run, TICKS) for worker, run in held]
            time.sleep(1)
        finally:
            os.kill(own_server.process.pid, signal.SIGCONT)
        for (worker, _), seq in zip(held, last):
            assert worker.acked(seq) is None
    for worker, run in held:
        assert get(stub, run.job.id).status.progress.completed == worker.seq
        assert worker.acked(worker.update(run, succeeded={})) is None
        worker.leave()
    stub.close()


def test_a_watcher_that_stalls_loses_no_connection(server, schema, queue, rounds):
    """It is not read while thousands of updates pass; other streams of its connection go on."""
    for number in rounds:
        stub = Stub(server.address, like=schema)
        busy = Stub(server.address, like=schema)
        worker, run = attach(busy, queue, number)
        wish = {"job_id": run.job.id, "min_interval": "0s"}
        stalled = [stub.watch("JobService/WatchJob", wish) for _ in range(5)]
        lively = stub.watch("JobService/WatchJob", wish)
        seen = []
        reader = threading.Thread(target=lambda: seen.extend(lively))
        reader.start()
        for _ in range(UPDATES):
            progress = {"completed": worker.seq, "total": 1 << 40}
            assert worker.acked(worker.update(run, progress=progress)) is None
        assert state(get(stub, run.job.id)) == "RUNNING"
        assert worker.acked(worker.update(run, succeeded={})) is None
        reader.join(30)
        assert not reader.is_alive() and state(seen[-1].update) == "SUCCEEDED"
        for watch in stalled:
            events = list(watch)
            assert state(events[-1].update) == "SUCCEEDED"
        worker.leave()
        busy.close()
        stub.close()
