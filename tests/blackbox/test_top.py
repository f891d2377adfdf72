"""`jobplane top`: the full screen, read as a person reads it and steered by keys."""

import os
import re
import signal
import subprocess
import time

import pytest

from proxy import Proxy
from reflect import Stub, state
from server import wait_until
from terminal import Terminal
from workers import create, get, lease, start

OK, USAGE, UNREACHABLE = 0, 2, 5
WITHIN = 30.0
ENTER, ESCAPE, TAB, CTRL_C, CTRL_Z = "\r", "\x1b", "\t", "\x03", "\x1a"


def environment(server):
    """Nothing of this machine's settings, and where the server is."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("JOBPLANE_", "NO_COLOR"))}
    return {**kept, "JOBPLANE_ENDPOINT": f"http://{server.address}"}


@pytest.fixture
def top(built, server):
    """Starts `top` in a terminal of its own, showing one queue."""
    started = []

    def begin(*arguments, to=server, columns=100, lines=30, **settings):
        terminal = Terminal(
            [built, "top", *arguments], {**environment(to), **settings}, columns, lines
        )
        started.append(terminal)
        return terminal

    yield begin
    for terminal in started:
        terminal.close()


def report(stub, run, completed, **more):
    """Reports how far a job is, of 100."""
    progress = {"total": 100, "completed": completed}
    stub.call("WorkerService/ReportJob", {**lease(run), "progress": progress, **more})


def fail(stub, run, message="no space left"):
    error = {"code": "DISK_FULL", "message": message, "non_retryable": True}
    stub.call("WorkerService/FailJob", {**lease(run), "error": error})


def says(*wanted):
    """A condition: all of this is on the screen."""
    return lambda text: all(word in text for word in wanted)


def leave(terminal, key="q"):
    terminal.type(key)
    assert terminal.ended() == OK, terminal.text()
    assert terminal.restored()


def test_a_bar_moves_and_everything_is_in_sight(top, stub, queue):
    run = start(stub, queue, type="resize")
    report(stub, run, 25)
    create(stub, queue)
    terminal = top("--queue", queue, columns=80, lines=24)
    text = terminal.until(says("25/100 (25.0 %)", "live"), "the job with its bar")
    assert "█" in terminal.text() and "resize" in terminal.text(), text
    for wanted in ("Queues 1", "Workers", "Jobs 1", "Failures 0", "1 min:", "sqlite", "q quit"):
        assert wanted in terminal.text(), (wanted, terminal.text())
    before = terminal.text().count("█")
    report(stub, run, 75)
    terminal.until(says("75/100 (75.0 %)"), "the bar moves")
    assert terminal.text().count("█") > before
    stub.call("WorkerService/CompleteJob", lease(run))
    terminal.until(says("nothing runs"), "it is over")
    leave(terminal)


def test_a_job_is_cancelled_by_key_with_a_reason(top, stub, queue):
    run = start(stub, queue)
    other = start(stub, queue)
    report(stub, run, 10)
    report(stub, other, 20)
    terminal = top("-q", queue)
    terminal.until(says("10/100", "20/100"), "both jobs")
    terminal.type("jc")
    terminal.until(says("Reason:"), "the question")
    terminal.type(ESCAPE)
    terminal.until(lambda text: "Reason:" not in text, "the question is gone")
    terminal.type("c")
    terminal.until(says("Reason:"), "the question again")
    terminal.type("not needed" + ENTER)
    terminal.until(says("to stop"), "the answer")
    wait_until(lambda: get(stub, other.job.id).status.cancel_request.cause, WITHIN, "asked to stop")
    request = get(stub, other.job.id).status.cancel_request
    assert request.reason == "not needed"
    assert not get(stub, run.job.id).status.cancel_request.cause, "the other one goes on"
    terminal.until(says("asked to stop"), "the row says so")
    leave(terminal)


def test_a_failure_is_told_and_retried_by_key(top, stub, queue):
    run = start(stub, queue)
    report(stub, run, 10)
    terminal = top("-q", queue)
    terminal.until(says("10/100"), "the job")
    fail(stub, run)
    terminal.until(says("DISK_FULL: no space left", "Failures 1"), "the failure")
    terminal.type(TAB + "r")
    wait_until(lambda: state(get(stub, run.job.id)) == "PENDING", WITHIN, "it waits again")
    terminal.until(says("Failures 0", "will run again"), "it is none any more")
    # What cannot be done is said.
    terminal.type("r")
    terminal.until(says("no job is selected"), "nothing to retry")
    leave(terminal)


def test_logs_are_opened_and_grow(top, stub, queue):
    run = start(stub, queue)
    report(stub, run, 10, logs=[{"message": f"line {number}"} for number in range(50)])
    terminal = top("-q", queue)
    terminal.until(says("10/100"), "the job")
    terminal.type(ENTER)
    terminal.until(says(f"Log of {run.job.id}", "line 49"), "its newest lines")
    assert "line 5\n" not in terminal.text()
    evil = {"message": "evil \x1b[2J\x1b[Hline", "level": "LOG_LEVEL_ERROR"}
    report(stub, run, 60, logs=[evil])
    terminal.until(says("evil \\u{1b}[2J", "60/100"), "a line that is harmless, and how far it is")
    stub.call("WorkerService/CompleteJob", lease(run))
    terminal.until(says("the job is over", "SUCCEEDED"), "the end")
    terminal.type(ESCAPE)
    terminal.until(says("Jobs 0"), "the panes")
    leave(terminal)


def test_a_window_of_another_size_is_filled_again(top, stub, queue):
    run = start(stub, queue)
    report(stub, run, 10)
    terminal = top("-q", queue, columns=80, lines=24)
    terminal.until(says("10/100"), "the job")
    terminal.size(40, 10)
    terminal.until(says("Too small", "60×16"), "it says what it needs")
    terminal.size(140, 40)
    terminal.until(says("10/100", "unary-worker", "q quit"), "there is room for the worker")
    assert "q quit" in terminal.lines()[39]
    leave(terminal, CTRL_C)


def test_it_outlives_the_server(top, own_server, schema):
    stub, proxy = Stub(own_server.address, like=schema), Proxy(own_server.address)
    try:
        run = start(stub, "restart", lease_ttl="600s")
        report(stub, run, 10)
        terminal = top(to=proxy)
        terminal.until(says("10/100", "live"), "the job")
        own_server.kill()
        terminal.until(says("LOST", "10/100"), "it says so and shows what it knew")
        own_server.start()
        stub.close()
        stub = Stub(own_server.address, like=schema)
        proxy.lead_to(own_server.address)
        terminal.until(lambda text: "LOST" not in text and "live" in text, "it is back")
        report(stub, run, 55)
        terminal.until(says("55/100", "live"), "news of the new server")
        leave(terminal)
    finally:
        proxy.close()
        stub.close()


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_gives_the_terminal_back(top, queue, by):
    terminal = top("-q", queue)
    terminal.until(says("Jobs 0"), "the screen")
    terminal.process.send_signal(by)
    terminal.ended()
    assert terminal.restored()


def test_ctrl_z_gives_the_terminal_back_and_fg_takes_it_again(top, stub, queue):
    run = start(stub, queue)
    report(stub, run, 10)
    terminal = top("-q", queue)
    terminal.until(says("10/100"), "the job")
    terminal.type(CTRL_Z)
    pid = terminal.process.pid

    def stopped():
        terminal.read(0)
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] == "T"

    wait_until(stopped, WITHIN, "it is stopped")
    while True:
        seen = len(terminal.raw)
        terminal.read(0.2)
        if len(terminal.raw) == seen:
            break
    assert terminal.restored()
    os.kill(pid, signal.SIGCONT)
    report(stub, run, 30)
    terminal.until(says("30/100"), "the screen again")
    leave(terminal)


def test_keys_filter_sort_pause_and_explain(top, stub, queue):
    first, second = start(stub, queue, type="alpha"), start(stub, queue, type="beta")
    report(stub, first, 10)
    report(stub, second, 20)
    terminal = top("-q", queue)
    terminal.until(says("10/100", "20/100"), "both jobs")
    terminal.type("/beta")
    terminal.until(lambda text: "Jobs 1 of 2" in text and "10/100" not in text, "one of them")
    terminal.type(ESCAPE)
    terminal.until(says("10/100", "20/100"), "both again")
    terminal.type("s")
    text = terminal.until(says("by progress"), "sorted") and terminal.text()
    assert text.index("beta") < text.index("alpha")
    terminal.type("p")
    terminal.until(says("PAUSED"), "held still")
    report(stub, first, 90)
    terminal.type("?")
    terminal.until(says("Keys", "hold the picture still"), "the keys")
    terminal.type("x")
    assert "90/100" not in terminal.text()
    terminal.type("p")
    terminal.until(says("90/100"), "it goes on")
    leave(terminal)


def test_no_color_is_honoured(top, stub, queue):
    run = start(stub, queue)
    report(stub, run, 10)
    terminal = top("-q", queue, NO_COLOR="1")
    terminal.until(says("10/100", "live"), "the job")
    leave(terminal)
    codes = re.findall(rb"\x1b\[([\d;]*)m", terminal.raw)
    numbers = {int(number) for code in codes for number in code.split(b";") if number}
    assert not any(30 <= number <= 37 or 40 <= number <= 47 for number in numbers), numbers


def test_an_idle_screen_costs_little(top, queue):
    terminal = top("-q", queue)
    terminal.until(says("Jobs 0", "live"), "the screen")
    pid = terminal.process.pid

    def cpu():
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    before, written, begin = cpu(), len(terminal.raw), time.monotonic()
    while time.monotonic() - begin < 3:
        terminal.read()
    used = (cpu() - before) / (time.monotonic() - begin)
    print(f"idle top uses {used:.1%} of a core, {len(terminal.raw) - written} bytes in 3 s")
    assert used < 0.5
    leave(terminal)


def test_without_a_terminal_it_says_what_to_take_instead(built, server):
    done = subprocess.run(
        [built, "top"], env=environment(server), stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == USAGE and done.stdout == ""
    assert "jobplane active" in done.stderr and "jobplane watch" in done.stderr


def test_without_a_server_the_terminal_is_left_alone(top, queue):
    terminal = top("--endpoint", "http://127.0.0.1:1")
    assert terminal.ended() == UNREACHABLE
    assert "127.0.0.1:1" in terminal.text() and b"\x1b[?1049h" not in terminal.raw
