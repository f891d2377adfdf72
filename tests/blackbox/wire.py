"""HTTP/2 without manners: frames as bytes, for tests that send what no client library would send."""

import socket
import struct
import time

import hpack

# Whom attacks come from: another peer than those who use the server well.
ATTACKER = "127.0.0.2"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    0, 1, 3, 4, 6, 7, 8, 9,
)  # fmt: skip
ACK = END_STREAM = 1
END_HEADERS = 4
INITIAL_WINDOW_SIZE, MAX_HEADER_LIST_SIZE = 4, 6
# Error codes of GOAWAY and RST_STREAM.
ENHANCE_YOUR_CALM = 11


def frame(kind, flags=0, stream=0, payload=b""):
    """A frame."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def setting(identifier, value):
    """One setting, as a SETTINGS frame holds it."""
    return struct.pack(">HI", identifier, value)


def integer(value, bits, first):
    """An integer as HPACK writes it, behind the bits of `first`."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out, value = bytes([first | most]), value - most
    while value >= 128:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def text(value):
    """A string as HPACK writes it, not compressed."""
    return integer(len(value), 7, 0) + value


def literal(name, value, indexed=False):
    """A header written in full; `indexed` puts it into the receiver's table."""
    return (b"\x40" if indexed else b"\x00") + text(name) + text(value)


def call_headers(path, *more):
    """The header block of a gRPC call. What is in `more` is in HPACK already."""
    return b"".join(
        [
            b"\x83\x86",  # :method POST, :scheme http
            b"\x04" + text(path.encode()),
            b"\x01" + text(b"victim"),
            b"\x0f\x10" + text(b"application/grpc"),
            literal(b"te", b"trailers"),
            *more,
        ]
    )


def message(content, compressed=0, announced=None):
    """A gRPC message with its prefix, which may lie about the length."""
    length = len(content) if announced is None else announced
    return struct.pack(">BI", compressed, length) + content


def field(number, content):
    """A field of a protobuf message: a text, bytes or another message."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value):
    """An integer as protobuf writes it."""
    out = b""
    while value >= 128:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def odd(count, first=1):
    """So many stream ids of a client."""
    return range(first, first + 2 * count, 2)


class Wire:
    """A connection that sends any bytes."""

    def __init__(self, address, settings=b"", preface=True):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), 10, (ATTACKER, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        if preface:
            self.send(PREFACE + frame(SETTINGS, payload=settings))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        """Sends all of it. `OSError` if the peer has enough."""
        self.socket.sendall(data)

    def widened(self):
        """Waits until the peer opens the window of the connection: before, 64 KiB of DATA are its bound."""
        assert any(kind == WINDOW_UPDATE and not stream for kind, _, stream, _ in self.frames())
        return self

    def flood(self, data, seconds=5.0):
        """Sends until all is sent, the peer closes, or takes nothing for a while; how much it took."""
        deadline, sent, view = time.monotonic() + seconds, 0, memoryview(data)
        while sent < len(data) and time.monotonic() < deadline:
            self.socket.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                sent += self.socket.send(view[sent : sent + 65536])
            except OSError:
                break
        return sent

    def call(self, stream, path, content=b"", end=True, more=()):
        """The frames of a call with one message."""
        head = frame(HEADERS, END_HEADERS, stream, call_headers(path, *more))
        return head + frame(DATA, END_STREAM if end else 0, stream, content)

    def frames(self, seconds=10.0):
        """What the peer sends, frame by frame, until it closes or `seconds` are over."""
        deadline = time.monotonic() + seconds
        while True:
            at, self.buffer, buffer = 0, b"", self.buffer
            try:
                while len(buffer) - at >= 9:
                    length = int.from_bytes(buffer[at : at + 3], "big")
                    if len(buffer) - at < 9 + length:
                        break
                    kind, flags, stream = struct.unpack_from(">BBI", buffer, at + 3)
                    at += 9 + length
                    yield kind, flags, stream, buffer[at - length : at]
            finally:
                # Whoever stops here goes on here.
                self.buffer = buffer[at:]
            left = deadline - time.monotonic()
            if left <= 0:
                return
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(1 << 18)
            except OSError:
                return
            if not data:
                return
            self.buffer += data

    def goaway(self, seconds=10.0):
        """The error code of the peer's GOAWAY; None if it closes, or stays silent, without one."""
        for kind, _, _, payload in self.frames(seconds):
            if kind == GOAWAY:
                return struct.unpack(">I", payload[4:8])[0]
        return None

    def pong(self):
        """Whether the peer answers a PING: all that was sent before is read by then."""
        self.flood(frame(PING, payload=b"are you?"))
        return any(kind == PING and flags & ACK for kind, flags, *_ in self.frames())

    def closed(self, seconds):
        """Whether the peer closes within so many seconds; what it says before is thrown away."""
        self.socket.settimeout(seconds)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if not self.socket.recv(65536):
                    return True
            except TimeoutError:
                return False
            except OSError:
                return True
        return False

    def answers(self, streams, seconds=20.0):
        """The grpc-status of each of these streams, as it ends; a reset counts as minus its error code."""
        found, decoder = {}, hpack.Decoder()
        for kind, flags, stream, payload in self.frames(seconds):
            if kind == HEADERS:
                fields = dict(decoder.decode(payload))
                if "grpc-status" in fields:
                    found[stream] = int(fields["grpc-status"])
            elif kind == RST_STREAM:
                found.setdefault(stream, -struct.unpack(">I", payload)[0])
            elif kind == SETTINGS and not flags & ACK:
                self.send(frame(SETTINGS, ACK))
            if set(streams) <= found.keys():
                break
        return found

    def close(self):
        """Ends the connection."""
        self.socket.close()
