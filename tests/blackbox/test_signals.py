"""What the process makes of signals, and of callers who keep it from stopping."""

import signal
import time

import pytest

import wire
from reflect import Stub
from server import Server
from wire import Wire, message

# Longer than a stop that waits for nobody, and well below the deadline of one that does.
SOON = 5.0
UNARY = "/jobplane.v1.JobService/CreateJob"
REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"


def half_a_request(address):
    call = Wire(address)
    call.widened().send(call.call(1, UNARY, message(b"", announced=100), end=False))
    return call


def an_open_reflection(address):
    call = Wire(address)
    call.widened().send(wire.frame(wire.HEADERS, wire.END_HEADERS, 1, wire.call_headers(REFLECTION)))
    return call


@pytest.mark.parametrize("hold_up", [half_a_request, an_open_reflection])
def test_a_caller_who_takes_his_time_does_not_hold_up_the_stop(own_server, hold_up):
    with hold_up(own_server.address) as caller:
        assert caller.pong(), "the server has it"
        began = time.monotonic()
        own_server.stop()
        assert time.monotonic() - began < SOON


def test_a_second_signal_ends_the_server_at_once(built, tmp_path):
    server = Server(tmp_path)
    try:
        server.start("--shutdown-within", "10m")
        stub = Stub(server.address)
        job = stub.call("JobService/CreateJob", {"spec": {"type": "signals"}}).job.id
        # A watch whose reader takes nothing of what it is told at the end.
        with Wire(server.address, wire.setting(wire.INITIAL_WINDOW_SIZE, 0)) as watcher:
            watcher.widened().send(
                watcher.call(1, "/jobplane.v1.JobService/WatchJob", message(wire.field(1, job.encode())))
            )
            assert watcher.pong()
            process = server.process
            process.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + 20
            while "shutting down" not in server.log():
                assert time.monotonic() < deadline
                time.sleep(0.02)
            assert process.poll() is None, "it waits for the watcher"
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 1
            server._ended()
            assert "told to stop again" in server.log()
        stub.close()
        # Nothing that was acked is lost by that.
        server.start()
        again = Stub(server.address)
        assert again.call("JobService/GetJob", {"job_id": job}).job.id == job
        again.close()
    finally:
        server.stop()
