"""An orderly stop in the middle of work."""

import socket
import threading
import time

import grpc
import pytest

from reflect import Failed, Stub, state
from workers import Worker, create, get, key


def test_a_stop_in_the_middle_of_work_tells_everybody_and_loses_nothing(own_server, queue):
    server = own_server
    stub = Stub(server.address)
    job = create(stub, queue)
    worker = Worker(stub, queue)
    worker.attach()
    run = worker.assignment()
    progress = {"total": 10, "completed": 4}
    assert worker.acked(worker.update(run, progress=progress)) is None
    watch = stub.watch("JobService/WatchJob", {"job_id": job.id})
    assert state(next(watch).snapshot.job) == "RUNNING"

    stopping = threading.Thread(target=server.stop)
    stopping.start()
    worker.expect("reconnect")
    with pytest.raises((EOFError, Failed)):
        worker.expect("welcome")
    with pytest.raises(Failed) as ended:
        for _ in watch:
            pass
    assert ended.value.code == grpc.StatusCode.UNAVAILABLE, "not OK: the job is not over"
    stopping.join(60)
    assert server.process is None, "it stopped with exit code 0"
    stub.close()

    server.start()
    stub = worker.stub = Stub(server.address, like=stub.schema)
    assert get(stub, job.id).status.progress.completed == 4, "the newest progress was written"
    welcome = worker.attach(running=[key(run)])
    assert [each.job_id for each in welcome.adopted] == [job.id]
    assert worker.acked(worker.update(run, succeeded={})) is None
    assert state(get(stub, job.id)) == "SUCCEEDED"
    worker.leave()
    stub.close()


# HTTP/2's preface with empty settings, and headers that do not end.
MID_HEADERS = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)
    + b"\x00\x00\x01\x01\x00\x00\x00\x00\x01\x82"
)  # fmt: skip
WATCHES, SESSIONS = 1_000, 100


def test_a_crowd_is_told_and_those_who_are_stuck_are_not_waited_for(own_server, queue):
    server = own_server
    stub = Stub(server.address)
    job = create(stub, queue)
    watches = []
    while len(watches) < WATCHES:
        # Not all at once: a slow machine would take some for more than it can serve.
        some = [stub.watch("JobService/WatchJob", {"job_id": job.id}) for _ in range(50)]
        for watch in some:
            assert state(next(watch).snapshot.job) == "PENDING"
        watches += some
    workers = [Worker(stub, "none", worker_id=f"w{n}") for n in range(SESSIONS)]
    for worker in workers:
        worker.attach()
    host, port = server.address.rsplit(":", 1)
    stuck = [socket.create_connection((host, int(port))) for _ in range(4)]
    stuck[1].sendall(MID_HEADERS[:23])
    stuck[2].sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n")
    stuck[3].sendall(MID_HEADERS)
    assert stuck[3].recv(1), "the server's settings: it takes this one for a connection like others"
    acked = create(stub, queue)

    began = time.monotonic()
    server.stop()
    took = time.monotonic() - began
    assert took < 10, f"{took} s, and Kubernetes has lost its patience"
    for watch in watches:
        with pytest.raises(Failed) as ended:
            for _ in watch:
                pass
        assert (ended.value.code, ended.value.reason) == (
            grpc.StatusCode.UNAVAILABLE, "SERVER_DRAINING",
        )  # fmt: skip
        assert ended.value.retry_info
    for worker in workers:
        worker.expect("reconnect")
    for each in stuck:
        each.close()
    stub.close()

    began = time.monotonic()
    server.start()
    took = time.monotonic() - began
    assert took < 2, f"ready only {took} s after its start"
    stub = Stub(server.address, like=stub.schema)
    assert state(get(stub, acked.id)) == "PENDING"
    stub.close()
