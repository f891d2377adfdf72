"""Attacks by those who hold on to what the server gives them: connections, streams, windows, descriptors."""

import os
import resource
import socket
import time

import pytest

import wire
from server import wait_until
from victim import Victim
from wire import Wire, frame, message

GET = "/jobplane.v1.JobService/GetJob"
LIST = "/jobplane.v1.JobService/ListJobs"
CREATE_MANY = "/jobplane.v1.JobService/BatchCreateJobs"
WATCH = "/jobplane.v1.JobService/WatchJob"
REPORT = "/jobplane.v1.WorkerService/ReportProgress"
STREAMS_MAX = 4_096
MIB = 1024 * 1024


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
    opened = []
    yield opened
    for each in opened:
        each.close()


def odd(count, first=1):
    """Stream ids of a client."""
    return range(first, first + 2 * count, 2)


def job(victim, **spec):
    """A job to be read; its id."""
    from reflect import Stub

    stub = Stub(victim.address)
    made = stub.call("JobService/CreateJob", {"spec": {"type": "hoard", "queue": "hoard", **spec}})
    stub.close()
    return made.job.id


def field(number, content):
    """A length-delimited field of a message."""
    return wire.integer(number << 3 | 2, 8, 0) + varint(len(content)) + content


def varint(value):
    """An integer as protobuf writes it."""
    out = b""
    while value >= 128:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def test_a_thousand_messages_that_never_end(victim, attackers):
    """Each call announces 8 MiB and sends almost all of them."""
    head = message(b"", announced=8 * MIB - 10)
    chunk = bytes(16_000)
    with victim.under("messages that never end", 320):
        for _ in range(4):
            attacker = Wire(victim.address)
            attackers.append(attacker)
            for stream in odd(100):
                headers = frame(wire.HEADERS, wire.END_HEADERS, stream, wire.call_headers(CREATE_MANY))
                attacker.send(headers + frame(wire.DATA, 0, stream, head))
        deadline = time.monotonic() + 4
        while time.monotonic() < deadline:
            for attacker in attackers:
                attacker.window = getattr(attacker, "window", None) or Window(attacker)
                attacker.window.push(chunk)


class Window:
    """Sends on all streams of a connection as far as the server lets it."""

    def __init__(self, attacker, streams=100):
        self.attacker = attacker
        self.left = dict.fromkeys(odd(streams), 65_535 - 5)
        self.sent = dict.fromkeys(odd(streams), 5)
        self.connection = 65_535 - 5 * streams
        self.initial = 65_535
        self.ended = set()

    def push(self, chunk):
        for kind, flags, stream, payload in self.attacker.frames(0.01):
            if kind == wire.WINDOW_UPDATE:
                more = int.from_bytes(payload, "big")
                if stream:
                    self.left[stream] = self.left.get(stream, 0) + more
                else:
                    self.connection += more
            elif kind == wire.SETTINGS and not flags & wire.ACK:
                for at in range(0, len(payload), 6):
                    if payload[at : at + 2] == b"\0\4":
                        size = int.from_bytes(payload[at + 2 : at + 6], "big")
                        for each in self.left:
                            self.left[each] += size - self.initial
                        self.initial = size
                self.attacker.send(frame(wire.SETTINGS, wire.ACK))
            elif kind == wire.RST_STREAM or (kind == wire.HEADERS and flags & wire.END_STREAM):
                self.ended.add(stream)
        out = []
        for stream, left in self.left.items():
            if stream in self.ended:
                continue
            while left >= len(chunk) and self.connection >= len(chunk) and self.sent[stream] + len(chunk) < 8 * MIB - 10:
                out.append(frame(wire.DATA, 0, stream, chunk))
                left -= len(chunk)
                self.connection -= len(chunk)
                self.sent[stream] += len(chunk)
            self.left[stream] = left
        if out:
            self.attacker.flood(b"".join(out), 1.0)


def test_a_client_that_opens_no_window(victim, attackers):
    """Thousands of streams whose answers are never read."""
    job_id = job(victim).encode()
    closed = wire.setting(wire.INITIAL_WINDOW_SIZE, 0)
    calls = [(GET, field(1, job_id)), (WATCH, field(1, job_id))]
    with victim.under("4 x 4,096 streams without a window", 512):
        for _ in range(4):
            attacker = Wire(victim.address, closed)
            attackers.append(attacker)
            data = [
                attacker.call(stream, *(calls[index % 2][0], message(calls[index % 2][1])))
                for index, stream in enumerate(odd(STREAMS_MAX))
            ]
            attacker.flood(b"".join(data), 10)
        time.sleep(1)


@pytest.mark.parametrize("window", [0, 1])
def test_large_answers_that_nobody_reads(victim, attackers, window):
    """A page of a list has up to 1 MiB; it is asked for a thousand times."""
    for _ in range(6):
        job(victim, payload={"text": "x" * 200_000})
    # ListJobs{filter{queues: hoard}, view: FULL, page_size: 100}
    request = field(1, field(5, b"hoard")) + b"\x10\x02\x18\x64"
    closed = wire.setting(wire.INITIAL_WINDOW_SIZE, window)
    with victim.under(f"1,000 pages of 1 MiB, window {window}", 400):
        attacker = Wire(victim.address, closed)
        attackers.append(attacker)
        data = [attacker.call(stream, LIST, message(request)) for stream in odd(1_000)]
        attacker.flood(b"".join(data), 5)
        time.sleep(4)


def test_a_hundred_thousand_watches_of_one_peer(victim, attackers):
    """What is refused is refused with RESOURCE_EXHAUSTED; the others are open."""
    job_id = job(victim).encode()
    refused = taken = 0
    with victim.under("100,000 watches", 512):
        for _ in range(25):
            attacker = Wire(victim.address)
            attackers.append(attacker)
            data = [attacker.call(stream, WATCH, message(field(1, job_id))) for stream in odd(4_000)]
            attacker.flood(b"".join(data), 10)
            for kind, flags, stream, payload in attacker.frames(0.3):
                if kind == wire.HEADERS and flags & wire.END_STREAM:
                    refused += 1
                elif kind == wire.DATA:
                    taken += 1
    print("taken", taken, "refused", refused)
