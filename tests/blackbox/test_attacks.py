"""Attacks by those who speak HTTP/2 and gRPC badly: memory stays bounded, others are served, nothing dies.

What each attack cost is printed; the bounds are generous, because the machine is shared and the build may be for
debugging.
"""

import gzip
import time
import zlib

import pytest

import wire
from victim import Victim
from wire import Wire, frame, message, odd

UNARY = "/jobplane.v1.JobService/CreateJob"
ANSWERS = "/jobplane.v1.JobService/WatchJob"
BOTH_WAYS = "/jobplane.v1.WorkerService/ReportProgress"
# An RPC of each class, and of each service that is not the API's own.
CLASSES = {
    "unary": UNARY,
    "unary of workers": "/jobplane.v1.WorkerService/AcquireJobs",
    "unary of admins": "/jobplane.v1.AdminService/ListQueues",
    "stream of answers": ANSWERS,
    "stream both ways": BOTH_WAYS,
    "health": "/grpc.health.v1.Health/Check",
    "reflection": "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
}
OWN = [path for path in CLASSES.values() if "jobplane" in path]
UNIMPLEMENTED, INTERNAL, INVALID_ARGUMENT, RESOURCE_EXHAUSTED, OUT_OF_RANGE = 12, 13, 3, 8, 11
TOO_LARGE = {RESOURCE_EXHAUSTED, OUT_OF_RANGE}
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def victim(built, tmp_path_factory):
    """One server for all attacks: what one leaves behind, the next one finds."""
    victim = Victim(tmp_path_factory.mktemp("victim"))
    try:
        yield victim
    finally:
        victim.stop()


def answers_to(victim, path, content, count=50, end=True, more=()):
    """The statuses that `count` equal calls at once are answered with."""
    with Wire(victim.address) as attacker:
        for stream in odd(count):
            attacker.send(attacker.call(stream, path, content, end, more))
        answers = attacker.answers(odd(count))
    assert len(answers) == count, f"{path}: {len(answers)} of {count} calls were answered"
    return set(answers.values())


@pytest.mark.parametrize("path", CLASSES.values(), ids=CLASSES)
def test_a_message_that_announces_four_gib_is_refused(victim, path):
    lie = message(b"", announced=0xFFFFFFFF)
    with victim.under(f"4 GiB announced, {path}"):
        statuses = answers_to(victim, path, lie, end=False)
        # Reflection ends its stream well whatever it could not read.
        assert statuses <= TOO_LARGE or path == CLASSES["reflection"], statuses


def test_a_message_that_is_a_little_too_large_is_refused_before_it_comes(victim):
    with victim.under("a byte too many announced"):
        for path in OWN:
            limit = 512 * 1024 if path == BOTH_WAYS else 8 * MIB
            lie = message(b"x" * 100, announced=limit + 1)
            assert answers_to(victim, path, lie, end=False) == {RESOURCE_EXHAUSTED}


@pytest.mark.parametrize("path", CLASSES.values(), ids=CLASSES)
def test_a_truncated_message_is_refused(victim, path):
    with victim.under(f"truncated message, {path}"):
        for content in (b"\0", b"\0\0\0", message(b"x" * 50, announced=100)):
            statuses = answers_to(victim, path, content)
            assert 0 not in statuses or path == CLASSES["reflection"], statuses


@pytest.mark.parametrize("path", CLASSES.values(), ids=CLASSES)
def test_bytes_that_are_no_message_are_refused(victim, path):
    with victim.under(f"garbage, {path}"):
        # Names that are no text, broken lengths, groups without end.
        for garbage in (b"\xff" * 16, b"\x0a\x04\xff\xfe\xfd\xfc", b"\x12\x02\xc3\x28", b"\x0b" * 200):
            statuses = answers_to(victim, path, message(garbage))
            # ListQueuesRequest has no fields, and those of health and reflection are unknown in some cases.
            assert 0 not in statuses or path not in OWN or "ListQueues" in path, (path, statuses)


def gibibyte_of_zeros():
    """A gzip file of 1 MiB that holds 1 GiB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = 0
    for _ in range(1024):
        checksum = zlib.crc32(bytes(MIB), checksum)
    end = checksum.to_bytes(4, "little") + (1024 * MIB).to_bytes(4, "little")
    return gzip.compress(b"")[:10] + block * 1024 + packer.flush() + end


def test_a_compressed_bomb_is_not_inflated(victim):
    bomb = message(gibibyte_of_zeros(), compressed=1)
    packed = wire.literal(b"grpc-encoding", b"gzip")
    with victim.under("gzip bomb of 1 GiB"):
        for path in CLASSES.values():
            with Wire(victim.address) as attacker:
                headers = wire.call_headers(path, packed)
                data = frame(wire.HEADERS, wire.END_HEADERS, 1, headers)
                for at in range(0, min(len(bomb), 60_000), 16_000):
                    data += frame(wire.DATA, 0, 1, bomb[at : at + 16_000])
                attacker.send(data)
                # The rest follows as the window opens; a refusal may come before.
                answers = attacker.answers([1])
                assert answers[1] in (UNIMPLEMENTED, RESOURCE_EXHAUSTED, INTERNAL), (path, answers)


def test_a_compressed_bomb_that_fits_the_window_is_not_inflated(victim):
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    small = packer.compress(bytes(60 * MIB)) + packer.flush()
    packed = wire.literal(b"grpc-encoding", b"gzip")
    assert len(small) < 64 * 1024
    with victim.under("gzip bombs of 60 MiB"):
        for path in CLASSES.values():
            with Wire(victim.address) as attacker:
                content = message(small, compressed=1)
                data = frame(wire.HEADERS, wire.END_HEADERS, 1, wire.call_headers(path, packed))
                for at in range(0, len(content), 16_000):
                    data += frame(wire.DATA, 0, 1, content[at : at + 16_000])
                attacker.send(data + frame(wire.DATA, wire.END_STREAM, 1))
                answers = attacker.answers([1])
                assert answers[1] in (UNIMPLEMENTED, RESOURCE_EXHAUSTED, INTERNAL), (path, answers)


def again_and_again(victim, data, seconds=1.5):
    """Sends the same on one connection after the other until the time is over, each time until the server has
    enough, and waits for the end of each; gives the error codes of its GOAWAYs."""
    deadline, codes = time.monotonic() + seconds, set()
    while time.monotonic() < deadline:
        with Wire(victim.address) as attacker:
            attacker.flood(data, 2.0)
            codes.add(attacker.goaway(5))
            assert attacker.closed(5), "the server puts up with it"
    print("GOAWAY", codes)
    return codes


def test_a_hundred_thousand_calls_that_are_reset_at_once(victim):
    headers = wire.call_headers("/jobplane.v1.JobService/ListJobs")
    cancel = (8).to_bytes(4, "big")
    calls = b"".join(
        frame(wire.HEADERS, wire.END_HEADERS, stream, headers)
        + frame(wire.RST_STREAM, 0, stream, cancel)
        for stream in odd(100_000)
    )
    size = len(calls) // 100_000
    with victim.under("rapid reset"):
        assert again_and_again(victim, calls) <= {wire.ENHANCE_YOUR_CALM, None}
        # A little at a time: less than any one connection is closed for.
        few = calls[: 100 * (len(calls) // 100_000)]
        for _ in range(100):
            with Wire(victim.address) as attacker:
                attacker.flood(few)
                assert attacker.pong()


def test_calls_that_make_the_server_reset_them(victim):
    """The other way round: each call breaks a rule, so that it is the server that resets it."""
    headers = wire.call_headers("/jobplane.v1.JobService/ListJobs")
    nothing = (0).to_bytes(4, "big")
    calls = b"".join(
        frame(wire.HEADERS, wire.END_HEADERS, stream, headers)
        + frame(wire.WINDOW_UPDATE, 0, stream, nothing)
        for stream in odd(20_000)
    )
    with victim.under("calls to be reset by the server"):
        again_and_again(victim, calls)


def test_a_flood_of_continuations(victim):
    begin = frame(wire.HEADERS, 0, 1, wire.call_headers(UNARY))
    more = wire.literal(b"x-flood", b"v" * 4_000)
    with victim.under("CONTINUATION flood"):
        for block in (more * 4, b"", wire.literal(b"a", b"b")):
            piece = frame(wire.CONTINUATION, 0, 1, block)
            data = begin + piece * min(200_000, 32 * MIB // len(piece))
            again_and_again(victim, data, 0.7)


@pytest.mark.parametrize("what", ["PING", "SETTINGS"])
def test_a_flood_of_frames_that_want_an_answer_by_one_who_does_not_read(victim, what):
    piece = frame(wire.PING, payload=b"attacked") if what == "PING" else frame(wire.SETTINGS)
    with victim.under(f"{what} flood"):
        with Wire(victim.address) as attacker:
            # All is taken, or the server stops reading, or it closes: it must not queue up answers.
            attacker.flood(piece * 1_000_000, 4.0)


def test_a_flood_of_settings_that_change_the_windows_of_many_streams(victim):
    both = [
        frame(wire.SETTINGS, payload=wire.setting(wire.INITIAL_WINDOW_SIZE, size)) for size in (0, 65_535)
    ]
    with victim.under("SETTINGS flood over 1,000 streams"):
        with Wire(victim.address) as attacker:
            opened = [
                frame(wire.HEADERS, wire.END_HEADERS, stream, wire.call_headers(BOTH_WAYS))
                for stream in odd(1_000)
            ]
            attacker.flood(b"".join(opened))
            attacker.flood(b"".join(both) * 5_000, 4.0)


@pytest.mark.parametrize("payload", [b"", b"\0"], ids=["empty", "a byte each"])
def test_a_flood_of_data_frames(victim, payload):
    begin = frame(wire.HEADERS, wire.END_HEADERS, 1, wire.call_headers(BOTH_WAYS))
    piece = frame(wire.DATA, 0, 1, payload)
    with victim.under(f"DATA flood, {len(payload)} bytes each"):
        if payload:
            # A byte too many for the window ends it; until then it is read.
            with Wire(victim.address) as attacker:
                attacker.flood(begin + piece * 60_000, 4.0)
                attacker.frames(1)
        else:
            assert again_and_again(victim, begin + piece * 400_000) <= {wire.ENHANCE_YOUR_CALM, None}


def test_large_and_many_headers(victim):
    large = [wire.literal(b"x-large", b"v" * 4_000)] * 200
    many = [wire.literal(b"x-%d" % i, b"v") for i in range(20_000)]
    # One entry of the table, named again by a byte each.
    bomb = [wire.literal(b"x-bomb", b"v" * 3_500, indexed=True), b"\xbe" * 16_000 * 20]
    with victim.under("large headers"):
        for more in (large, many, bomb):
            block = wire.call_headers(UNARY, *more)
            pieces = [block[at : at + 16_384] for at in range(0, len(block), 16_384)]
            data = frame(wire.HEADERS, 0, 1, pieces[0])
            for piece in pieces[1:-1]:
                data += frame(wire.CONTINUATION, 0, 1, piece)
            data += frame(wire.CONTINUATION, wire.END_HEADERS, 1, pieces[-1])
            with Wire(victim.address) as attacker:
                attacker.flood(data)
                refused = [
                    kind
                    for kind, _, stream, _ in attacker.frames(3)
                    if kind in (wire.GOAWAY, wire.RST_STREAM) or (kind == wire.HEADERS and stream == 1)
                ]
                assert refused or attacker.closed(3), "nothing became of the call"


def test_a_bomb_of_indexed_headers_again_and_again(victim):
    """Within the limits of a block, expanded as far as the table goes, on one connection."""
    fill = wire.literal(b"x-bomb", b"v" * 3_500, indexed=True)
    with victim.under("HPACK bombs"):
        with Wire(victim.address) as attacker:
            first = frame(wire.HEADERS, 5, 1, wire.call_headers(UNARY, fill))
            bombs = [
                frame(wire.HEADERS, 5, stream, wire.call_headers(UNARY, b"\xbe" * 15_000))
                for stream in odd(300, 3)
            ]
            attacker.flood(first + b"".join(bombs), 4.0)
            attacker.closed(1)
