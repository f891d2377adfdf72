"""Attacks by those who hold on to what the server gives them: connections, streams, windows, descriptors."""

import contextlib
import http.client
import resource
import time

import grpc
import pytest

import wire
from reflect import Failed, Stub
from server import Server, wait_until
from victim import Victim
from wire import Wire, field, frame, message, odd

GET = "/jobplane.v1.JobService/GetJob"
LIST = "/jobplane.v1.JobService/ListJobs"
CREATE_MANY = "/jobplane.v1.JobService/BatchCreateJobs"
WATCH = "/jobplane.v1.JobService/WatchJob"
MIB = 1024 * 1024
# Bounds of the server: src/domain/limits.rs.
STREAMS_MAX = 4_096
PEER_CALLS_MAX = 16_384
PEER_MIB_MAX = 128
PEER_CONNECTIONS_MAX = 2_000
# Answers of 1 MiB: several times what a peer may leave unread.
PAGES = 500
HEAD_WITHIN = 5


@pytest.fixture(scope="module")
def victim(built, tmp_path_factory):
    """One server for all attacks: what one leaves behind, the next one finds."""
    victim = Victim(tmp_path_factory.mktemp("victim"))
    try:
        yield victim
    finally:
        victim.stop()


@pytest.fixture
def attackers():
    """Connections to be closed at the end."""
    with contextlib.ExitStack() as opened:
        yield opened


@pytest.fixture(scope="module")
def stub(victim):
    """A client that means no harm, of another peer than the attackers."""
    stub = Stub(victim.address)
    yield stub
    stub.close()


def make_job(stub, **spec):
    """A job to be read; its id."""
    spec = {"type": "hoard", "queue": "hoard", **spec}
    return stub.call("JobService/CreateJob", {"spec": spec}).job.id


class Sender:
    """Sends the same message on many streams, as far as the server's windows let it."""

    def __init__(self, attacker, path, streams, begin):
        self.attacker, self.chunk = attacker, bytes(16_000)
        self.windows = dict.fromkeys(odd(streams), 65_535 - len(begin))
        self.connection, self.initial, self.sent = 65_535 - len(begin) * streams, 65_535, 0
        for stream in self.windows:
            headers = frame(wire.HEADERS, wire.END_HEADERS, stream, wire.call_headers(path))
            attacker.send(headers + frame(wire.DATA, 0, stream, begin))

    def read(self, seconds):
        """Takes note of the windows that open, and of the calls that end."""
        for kind, flags, stream, payload in self.attacker.frames(seconds):
            if kind == wire.WINDOW_UPDATE and not stream:
                self.connection += int.from_bytes(payload, "big")
            elif kind == wire.WINDOW_UPDATE and stream in self.windows:
                self.windows[stream] += int.from_bytes(payload, "big")
            elif kind == wire.SETTINGS and not flags & wire.ACK:
                self.settings(payload)
            elif kind == wire.RST_STREAM or (kind == wire.HEADERS and flags & wire.END_STREAM):
                self.windows.pop(stream, None)

    def settings(self, payload):
        """The windows of all streams change by a setting."""
        for at in range(0, len(payload), 6):
            if payload[at : at + 2] == b"\0\4":
                size = int.from_bytes(payload[at + 2 : at + 6], "big")
                self.windows = {each: left + size - self.initial for each, left in self.windows.items()}
                self.initial = size
        self.attacker.send(frame(wire.SETTINGS, wire.ACK))

    def push(self, most):
        """Sends what the windows allow, `most` bytes on each stream in all."""
        self.read(0.02)
        out = []
        for stream, left in self.windows.items():
            while min(left, self.connection) >= len(self.chunk) and self.sent < most * len(self.windows):
                out.append(frame(wire.DATA, 0, stream, self.chunk))
                left -= len(self.chunk)
                self.connection -= len(self.chunk)
                self.sent += len(self.chunk)
            self.windows[stream] = left
        self.attacker.flood(b"".join(out), 1.0)


def test_hundreds_of_large_messages_that_never_end(victim, attackers):
    """Each call announces 8 MiB; together they would hold 3 GiB."""
    begin = message(b"", announced=8 * MIB)
    with victim.under("400 messages of 8 MiB that never end", PEER_MIB_MAX * 2):
        senders = []
        for _ in range(4):
            attacker = attackers.enter_context(Wire(victim.address))
            senders.append(Sender(attacker, CREATE_MANY, 100, begin))
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            for sender in senders:
                sender.push(7 * MIB)


def test_calls_that_wait_for_others_of_their_peer(victim, attackers):
    """A thousand calls that never come whole stand in the door; those behind them send what they may."""
    begin = message(b"", announced=8 * MIB)
    with victim.under("2,000 waiting calls with full windows", PEER_MIB_MAX * 2):
        door = attackers.enter_context(Wire(victim.address)).widened()
        door.flood(b"".join(door.call(stream, CREATE_MANY, begin, end=False) for stream in odd(1_100)))
        assert door.pong()
        ended = 0
        for _ in range(16):
            attacker = attackers.enter_context(Wire(victim.address)).widened()
            attacker.send(frame(wire.SETTINGS, wire.ACK))
            for stream in odd(125):
                head = frame(wire.HEADERS, wire.END_HEADERS, stream, wire.call_headers(CREATE_MANY))
                body = [begin, *[bytes(16_000)] * 8]
                attacker.flood(head + b"".join(frame(wire.DATA, 0, stream, part) for part in body))
            ended += sum(kind == wire.HEADERS for kind, *_ in attacker.frames(0.3))
        assert ended >= 500, f"{ended} calls were given up: what waits is not counted"


def test_streams_whose_windows_stay_shut(victim, stub, attackers):
    job = field(1, make_job(stub).encode())
    shut = wire.setting(wire.INITIAL_WINDOW_SIZE, 0)
    calls = [(GET, message(job)), (WATCH, message(job))]
    with victim.under("4 x 4,096 streams with shut windows", 512):
        for _ in range(4):
            attacker = attackers.enter_context(Wire(victim.address, shut)).widened()
            for index, stream in enumerate(odd(STREAMS_MAX)):
                attacker.flood(attacker.call(stream, *calls[index % 2]))
            # No answer fits through; that the connection is alive is all that can be seen.
            assert attacker.pong()


@pytest.mark.parametrize("window", [0, 1], ids=["shut", "a byte wide"])
def test_large_answers_that_nobody_reads(victim, stub, attackers, window):
    for _ in range(6):
        make_job(stub, payload={"text": "x" * 200_000})
    # ListJobs{filter{queues: hoard}, view: FULL, page_size: 100}
    request = message(field(1, field(5, b"hoard")) + b"\x10\x02\x18\x64")
    narrow = wire.setting(wire.INITIAL_WINDOW_SIZE, window)
    with victim.under(f"{PAGES} pages of 1 MiB, window {window}", PEER_MIB_MAX * 2):
        attacker = attackers.enter_context(Wire(victim.address, narrow)).widened()
        for stream in odd(PAGES):
            attacker.flood(attacker.call(stream, LIST, request))
        # Those that are too much end; the windows of the others stay shut.
        ended = set()
        for kind, flags, stream, _ in attacker.frames(10):
            if kind == wire.HEADERS and flags & wire.END_STREAM:
                ended.add(stream)
            if len(ended) >= PAGES - PEER_MIB_MAX * 2:
                break
        assert len(ended) >= PAGES - PEER_MIB_MAX * 2, f"{len(ended)} of {PAGES} calls were given up"


def test_a_hundred_thousand_watches_of_one_peer(victim, stub, attackers):
    """So many are open, the others are refused; the peer's bound does not bind another one."""
    watch = message(field(1, make_job(stub).encode()))
    opened = refused = 0
    with victim.under("100,000 watches", 512):
        calls = None
        for _ in range(25):
            attacker = attackers.enter_context(Wire(victim.address)).widened()
            calls = calls or b"".join(attacker.call(stream, WATCH, watch) for stream in odd(4_000))
            attacker.flood(calls)
            answered = set()
            for kind, flags, stream, _ in attacker.frames(20):
                if kind == wire.HEADERS and stream not in answered:
                    answered.add(stream)
                    refused += flags & wire.END_STREAM
                    opened += not flags & wire.END_STREAM
                if len(answered) == 4_000:
                    break
            assert len(answered) == 4_000, "every call is answered"
    assert (opened, refused) == (PEER_CALLS_MAX, 100_000 - PEER_CALLS_MAX)
    attackers.close()

    # When they are gone, the peer has room again.
    def room():
        with Wire(victim.address) as again:
            again.send(again.call(1, WATCH, watch))
            return any(kind == wire.DATA for kind, *_ in again.frames(0.5))

    wait_until(room, 20, "the peer may watch again")


def test_what_a_peer_is_told_that_has_too_many_calls(built, tmp_path):
    server = Server(tmp_path)
    try:
        server.start("--max-calls-per-peer", "3")
        stub = Stub(server.address)
        job = make_job(stub)
        watches = [stub.watch("JobService/WatchJob", {"job_id": job}) for _ in range(3)]
        for watch in watches:
            next(watch)
        with pytest.raises(Failed) as refused:
            stub.call("JobService/GetJob", {"job_id": job})
        code, reason = refused.value.code, refused.value.reason
        assert (code, reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED")
        assert refused.value.retry_info
        for watch in watches:
            watch.cancel()

        def room():
            return not isinstance(stub.start("JobService/GetJob", {"job_id": job}).outcome(), Failed)

        wait_until(room, 10, "there is room again")
        stub.close()
    finally:
        server.stop()


def dribble(connections, pieces, seconds):
    """Sends a byte on each connection now and then, until the time is over."""
    deadline, at = time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        for each in connections:
            with contextlib.suppress(OSError):
                each.send(pieces[at % len(pieces) :][:1])
        at += 1
        time.sleep(0.1)


def closed_within(connections, seconds):
    """How many of the connections the server closes within that time."""
    deadline = time.monotonic() + seconds
    return sum(each.closed(max(0.01, deadline - time.monotonic())) for each in connections)


def test_connections_that_do_not_get_to_the_point(victim, attackers):
    """A preface that never comes, one that stops, and the head of HTTP/1.1 letter by letter."""
    head = b"GET /healthz HTTP/1.1\r\n" + b"x-slow: " + b"a" * 10_000
    with victim.under("3 x 200 connections that do not get to the point"):
        silent, halves, dribbling = (
            [attackers.enter_context(Wire(victim.address, preface=False)) for _ in range(200)]
            for _ in range(3)
        )
        for each in halves:
            each.send(wire.PREFACE[:11])
        dribble(dribbling, head, HEAD_WITHIN)
        for slow in (silent, halves, dribbling):
            # A bound for the head, and some for a machine that is busy.
            assert closed_within(slow, 5) == 200


def test_headers_of_http2_letter_by_letter(victim, attackers):
    """They cost their connection and nothing else; a peer that falls silent is asked, and given up."""
    block = frame(wire.HEADERS, wire.END_HEADERS, 1, wire.call_headers(GET))
    with victim.under("300 connections whose HEADERS dribble"):
        slow = [attackers.enter_context(Wire(victim.address)) for _ in range(300)]
        dribble(slow, block, 2)


def test_a_flood_of_connections(victim, attackers):
    """A peer has so many and no more; others still get in."""
    with victim.under("2,500 connections", 256):
        idle = [attackers.enter_context(Wire(victim.address)) for _ in range(PEER_CONNECTIONS_MAX + 500)]
        refused = closed_within(idle[PEER_CONNECTIONS_MAX:], 10)
        assert refused == 500, f"{refused} of 500 connections too many were refused"
        assert all(each.pong() for each in idle[:PEER_CONNECTIONS_MAX:50]), "the others are alive"
        host, port = victim.address.rsplit(":", 1)
        probe = http.client.HTTPConnection(host, int(port), 10, source_address=(wire.ATTACKER, 0))
        probe.request("GET", "/healthz")
        assert probe.getresponse().status == 200, "a peer that has too many may be asked for health"
        probe.close()
        other = Stub(victim.address)
        make_job(other)
        other.close()


def test_no_file_descriptors_left(built, tmp_path):
    """The server waits for better times without burning a core, and serves again when they come."""
    victim = Victim(tmp_path)
    try:
        resource.prlimit(victim.pid, resource.RLIMIT_NOFILE, (64, 64))
        with contextlib.ExitStack() as opened, victim.under("no file descriptors left"):
            for _ in range(200):
                opened.enter_context(Wire(victim.address))
            before, began = victim.seconds_of_cpu(), time.monotonic()
            time.sleep(2)
            burnt = (victim.seconds_of_cpu() - before) / (time.monotonic() - began)
            print(f"CPU while it cannot accept: {burnt:.0%}")
            assert burnt < 0.5, "it spins"
        wait_until(victim.server.ready, 20, "a new connection is served again")
    finally:
        victim.stop()
