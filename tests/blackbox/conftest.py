"""Black-box tests: the built binary as its users meet it, over the network and the command line.

    pip install -r tests/blackbox/requirements.txt
    cargo build
    python -m pytest tests/blackbox

JOBPLANE_BIN names another binary, JOBPLANE_SEED repeats the chance of an earlier run. Here is what
the tests share: a running server, a stub that speaks to it, a queue for each test, scripts that run
against the server.
"""

import os
import pathlib
import random
import secrets
import signal
import subprocess
import sys

import pytest

import commands
from reflect import Stub
from server import Server, binary

HERE = pathlib.Path(__file__).parent
SEED = int(os.environ.get("JOBPLANE_SEED") or secrets.randbits(32))


def pytest_report_header():
    return f"JOBPLANE_SEED={SEED}"


def pytest_configure():
    """A CI that ends the run must not leave servers behind: SIGTERM unwinds the fixtures."""
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("SIGTERM", returncode=143))


@pytest.fixture(scope="session")
def built():
    """The binary under test."""
    path = binary()
    if path is None and os.environ.get("JOBPLANE_REQUIRE_ALL") != "1":
        pytest.skip("no binary: run `cargo build` or set JOBPLANE_BIN")
    assert path and path.is_file(), f"no binary at {path or 'target/'}: run `cargo build`"
    return path


@pytest.fixture(scope="session")
def server(built, tmp_path_factory):
    """One server for all tests that do not kill it."""
    server = Server(tmp_path_factory.mktemp("server"))
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def own_server(built, tmp_path):
    """A server for one test, which may do to it what it likes."""
    server = Server(tmp_path)
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def target(own_server):
    """The server that `jobplane` speaks to: the test's own, unless a file names another."""
    return own_server


@pytest.fixture
def jobplane(built, target):
    """Runs the command line against the target: `jobplane("get", id)`."""
    return lambda *arguments, **how: commands.run(built, target, *arguments, **how)


@pytest.fixture(scope="session")
def schema(server):
    """What the server's API looks like, asked once."""
    stub = Stub(server.address)
    yield stub.schema
    stub.close()


@pytest.fixture
def stub(server, schema):
    """A connection to the shared server."""
    stub = Stub(server.address, like=schema)
    yield stub
    stub.close()


@pytest.fixture
def queue(request):
    """A queue that only this test uses."""
    name = request.node.originalname.removeprefix("test_")[:60]
    return f"{name}-{secrets.token_hex(4)}"


@pytest.fixture
def rng():
    """Chance that can be repeated: JOBPLANE_SEED sets the seed that was printed."""
    return random.Random(SEED)


@pytest.fixture
def script(server):
    """Starts scripts of this folder against the shared server and ends those that are still there."""
    started = []

    def start(name, *arguments):
        process = subprocess.Popen(
            [sys.executable, HERE / name, server.address, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdin.close()
        process.stdout.close()
