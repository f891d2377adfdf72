"""Connections that do not behave, and settings that cannot be."""

import contextlib
import os
import re
import resource
import select
import socket
import subprocess
import time

import grpc
import pytest

from reflect import Failed, Stub
from server import binary, wait_until

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = bytes(3) + b"\x04" + bytes(5)
# Headers of stream 1 that do not end.
OPEN_HEADERS = b"\x00\x00\x01\x01\x00\x00\x00\x00\x01\x82"


@contextlib.contextmanager
def connections(server, count=1):
    """Connections over which nothing was said yet."""
    host, port = server.address.rsplit(":", 1)
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection((host, int(port)), 30))
            for _ in range(count)
        ]


def seconds_to_the_end(connection):
    """Reads until the server closes the connection; how long that took."""
    began = time.monotonic()
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return time.monotonic() - began


def figure(server, name):
    """A figure of the metrics page, 0 if it is not there yet."""
    found = re.search(rf"^{re.escape(name)} (\d+)$", server.get("/metrics")[1], re.MULTILINE)
    return int(found[1]) if found else 0


def counted(server, name):
    """Whether the metrics page is to be had and counts at least one."""
    try:
        return figure(server, name) >= 1
    except OSError:
        return False


def test_a_peer_that_does_not_get_to_the_point_is_left(own_server):
    words = [b"", (PREFACE + SETTINGS)[:23], b"GET /healthz HTTP/1.1\r\nhost: x\r\n"]
    with connections(own_server, len(words)) as open_ones:
        for connection, said in zip(open_ones, words):
            connection.sendall(said)
        for connection in open_ones:
            assert seconds_to_the_end(connection) < 15
    # Counted right after the close.
    timed_out = 'jobplane_connections_failed_total{reason="head_timeout"}'
    wait_until(lambda: figure(own_server, timed_out) == 3, 10, "all three are counted")


def test_headers_without_end_are_ended_by_the_keepalive(own_server):
    own_server.stop()
    own_server.start("--keepalive-interval", "1s", "--keepalive-timeout", "1s")
    with connections(own_server, 2) as (in_headers, in_frame):
        in_headers.sendall(PREFACE + SETTINGS + OPEN_HEADERS)
        # A frame of 16 KiB of which nine bytes come.
        in_frame.sendall(PREFACE + SETTINGS + b"\x00\x40\x00" + OPEN_HEADERS[3:])
        assert seconds_to_the_end(in_headers) < 15
        assert seconds_to_the_end(in_frame) < 15
    stub = Stub(own_server.address)
    assert stub.call("AdminService/GetServerInfo")
    stub.close()


def test_there_is_no_room_beyond_the_bound_and_room_again_after(own_server):
    own_server.stop()
    own_server.start("--max-connections", "20", "--max-connections-per-peer", "5")
    # The one that asked whether the server is ready may still be counted when the first of these comes.
    with connections(own_server, 6) as opened:
        turned_away = select.select(opened, [], [], 3)[0]
        assert turned_away, "it is not kept waiting"
        assert len(turned_away) < 3 and all(seconds_to_the_end(one) < 3 for one in turned_away)
    refused = 'jobplane_connections_refused_total{reason="peer_limit"}'
    wait_until(lambda: own_server.ready() and counted(own_server, refused), 10, "there is room again")


def test_a_server_without_file_descriptors_goes_on_when_there_are_some(own_server):
    server = own_server
    stub = Stub(server.address)
    assert stub.call("AdminService/GetServerInfo")
    used = len(os.listdir(f"/proc/{server.process.pid}/fd"))
    limits = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (used + 3, limits[1]))
    with connections(server, 20):
        # Those who are inside are served; the log says why the others are not.
        wait_until(lambda: "gives no further connection" in server.log(), 10, "it says so")
        assert stub.call("AdminService/GetServerInfo")
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, limits)
    wait_until(server.ready, 10, "it takes connections again")
    assert figure(server, 'jobplane_connections_refused_total{reason="accept"}') >= 1
    stub.close()


def test_a_message_that_is_too_large_meets_the_limit_on_every_service(own_server):
    stub = Stub(own_server.address)
    for path, limit in [
        ("jobplane.v1.JobService/GetJob", 8 << 20),
        ("jobplane.v1.AdminService/ListQueues", 8 << 20),
        ("jobplane.v1.WorkerService/StartJob", 8 << 20),
        ("grpc.health.v1.Health/Check", 4 << 20),
    ]:
        call = stub.channel.unary_unary(f"/{path}")
        with pytest.raises(grpc.RpcError) as refused:
            call(bytes(limit + 1), timeout=30)
        failed = stub.schema.failure_of_call(refused.value)
        assert isinstance(failed, Failed), path
        assert (failed.code, failed.reason) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED",
        ), path  # fmt: skip
        assert failed.metadata["limit"] == str(limit), path
    stub.close()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--max-connections", "0"], "max-connections is 0, and must be 1 to 1000000"),
        (["--cors-origin", "*"], 'cors-origin is "*", and must be a scheme and a host'),
        (["--stream-max-age", "1ms"], "stream-max-age is 1ms, and must be 1s to"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_with_what_it_may_be(tmp_path, flags, words):
    ended = subprocess.run(
        [binary(), "serve", "--listen", "127.0.0.1:0", *flags],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 2
    assert words in ended.stderr
