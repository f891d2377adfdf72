"""`jobplane demo`: real work, shown and reckoned up, and nothing of it left."""

import json
import os
import re
import signal
import subprocess
import time

import pytest

from server import wait_until
from terminal import Terminal

OK, USAGE, INTERRUPTED, TERMINATED = 0, 2, 130, 143
# Five seconds of demo; the machine may be busy.
WITHIN = 90.0
# Felt at once by people, who wait 2 s at most; the machine may be busy.
STOP_WITHIN = 20.0


@pytest.fixture
def environment(tmp_path):
    """A folder for what is temporary that nobody else uses."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("JOBPLANE_")}
    return {**kept, "TMPDIR": str(tmp_path)}


@pytest.fixture
def demo(built, environment):
    """Runs the demo to its end."""

    def run(*arguments):
        return subprocess.run(
            [built, "demo", *map(str, arguments)],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WITHIN,
        )

    return run


@pytest.fixture
def playing(built, environment):
    """Starts a demo, without a terminal."""
    started = []

    def begin(*arguments):
        process = subprocess.Popen(
            [built, "demo", *map(str, arguments)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


@pytest.fixture
def watched(built, environment):
    """Starts a demo in a terminal of its own."""
    started = []

    def begin(*arguments, **settings):
        terminal = Terminal([built, "demo", *map(str, arguments)], environment, **settings)
        started.append(terminal)
        return terminal

    yield begin
    for terminal in started:
        terminal.close()


def test_five_seconds_show_success_retry_failure_and_cancel_and_agree(demo, tmp_path):
    begin = time.monotonic()
    done = demo("--seconds", 5)
    print(f"demo --seconds 5 took {time.monotonic() - begin:.1f} s")
    text = done.stdout
    assert done.returncode == OK, (text, done.stderr)
    assert "\x1b" not in text and "\r" not in text, "plain without a terminal"
    assert re.search(r"files\.backup nightly +attempt 1 of 3 failed.*CHECKSUM_MISMATCH", text), text
    assert re.search(r"✔ files\.backup nightly +SUCCEEDED", text), text
    assert re.search(r"✘ records\.import customers +FAILED.*BAD_RECORD", text), text
    assert re.search(r"■ image\.render poster +CANCELLED", text), text
    assert "was URGENT, and overtook" in text, text
    counts = re.search(r"(\d+) jobs in .*: (\d+) succeeded, (\d+) failed, (\d+) cancelled", text)
    jobs, *states = map(int, counts.groups())
    assert sum(states) == jobs == 13, text
    assert text.count("✔ ") == states[0], "each end has its line"
    assert "checked: the server and the workers say the same: 13 jobs" in text, text
    assert "jobplane serve" in text and "jobplane run" in text and "jobplane top" in text
    assert list(tmp_path.iterdir()) == [], "nothing is left"


def test_the_summary_for_programs_has_the_same_counts(demo, tmp_path):
    done = demo("--seconds", 5, "-o", "json")
    assert done.returncode == OK, (done.stdout, done.stderr)
    summary = json.loads(done.stdout)
    assert summary["checked"] is True and summary["differences"] == []
    assert sum(summary["states"].values()) == summary["jobs"] == 13
    assert summary["states"]["cancelled"] >= 1 and summary["states"]["failed"] >= 1
    assert summary["retried"] >= 1 and summary["attempts"] >= 13
    assert summary["items"] > 100 and summary["itemsPerSecond"] > 0
    assert list(tmp_path.iterdir()) == []


def test_bars_move_on_a_terminal_and_the_summary_stays(watched, tmp_path):
    terminal = watched("--seconds", 8)
    bar = re.compile(r"files\.hash [\w-]+ +[█▏▎▍▌▋▊▉·]{20} +(\d+\.\d)%")

    def share(text):
        found = bar.search(text)
        return float(found.group(1)) if found else None

    first = terminal.until(lambda text: share(text) is not None and [share(text)], "a bar")[0]
    terminal.until(lambda text: share(text) not in (None, first), "the bar moves")
    assert "\x1b[3" in terminal.raw.decode(errors="replace"), "in colour"
    assert terminal.ended(WITHIN) == OK
    text = terminal.text()
    assert "checked: the server and the workers say the same" in text, text
    assert terminal.restored()
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_it_at_once_and_nothing_is_left(watched, tmp_path):
    terminal = watched("--seconds", 60)
    terminal.until(lambda text: "running" in text and "█" in text, "it works")
    assert list(tmp_path.glob("jobplane-demo-*/jobplane.db"))
    begin = time.monotonic()
    terminal.type("\x03")
    assert terminal.ended(STOP_WITHIN) == INTERRUPTED
    print(f"ended {time.monotonic() - begin:.2f} s after Ctrl-C")
    assert terminal.restored()
    assert list(tmp_path.iterdir()) == []


def test_it_is_told_to_end(playing, tmp_path):
    process = playing("--seconds", 60)
    for line in process.stdout:
        if "started on" in line:
            break
    begin = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(STOP_WITHIN) == TERMINATED
    print(f"ended {time.monotonic() - begin:.2f} s after SIGTERM")
    assert list(tmp_path.iterdir()) == []


def test_kept_it_goes_on_with_new_jobs_for_those_who_look(built, playing, environment, tmp_path):
    process = playing("--seconds", 5, "--keep")
    endpoint = None
    for line in process.stdout:
        endpoint = endpoint or next(iter(re.findall(r"--endpoint (\S+)", line)), None)
        if "with new jobs, until Ctrl-C" in line:
            break
    assert endpoint

    def jobs():
        done = subprocess.run(
            [built, "list", "--endpoint", endpoint, "--all", "-o", "json"],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == OK, done.stderr
        return len(json.loads(done.stdout)["jobs"])

    wait_until(lambda: jobs() > 13, WITHIN, "a second round")
    process.send_signal(signal.SIGINT)
    # It was over; this is how it is meant to end.
    assert process.wait(STOP_WITHIN) == OK
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_command_line_is_told(demo, built, environment):
    assert demo("--seconds", 2).returncode == USAGE
    nowhere = {**environment, "TMPDIR": "/dev/null/nowhere"}
    done = subprocess.run(
        [built, "demo"], env=nowhere, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    assert done.returncode not in (OK, USAGE)
    assert "temporary folder" in done.stderr and "TMPDIR" in done.stderr
