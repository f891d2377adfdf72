"""Caps as the commands of workers see them: what runs at once is what they write down themselves."""

import json
import signal
import subprocess

import pytest

from commands import environment, run as run_command
from server import Server, wait_until

WITHIN = 90.0

# Says when it begins and when it ends, in one write each, and takes long enough to meet others.
COMMAND = 'echo "+ $JOBPLANE_JOB_ID" >> "$0"; sleep 0.15; echo "- $JOBPLANE_JOB_ID" >> "$0"'


@pytest.fixture
def capped(built, tmp_path):
    """A server that lets four jobs run at once, three of type `three` and one for each tenant of `tenants`."""
    server = Server(tmp_path)
    server.start("--max-running", "4")

    def run(*arguments, stdin=""):
        done = run_command(built, server, *arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    types = [
        {"type": "three", "max_concurrent": 3},
        {"type": "tenants", "concurrency_key": {"label": "tenant", "max_running": 1}},
    ]
    run("apply", "-f", "-", stdin=json.dumps({"types": types}))
    try:
        yield server, run
    finally:
        server.stop()


def crew(built, server, book, count):
    """Some workers with more slots than may be used."""
    return [
        subprocess.Popen(
            [built, "work", "--slots", "4", "--worker-id", f"w{number}", "--", "sh", "-c", COMMAND, str(book)],
            env=environment(server),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for number in range(count)
    ]


def most_at_once(lines, of):
    """How many of these jobs ran at once at most, by what their commands wrote."""
    now = most = 0
    for line in lines:
        sign, job = line.split()
        if job in of:
            now += 1 if sign == "+" else -1
            most = max(most, now)
    assert now == 0
    return most


def test_caps_hold_for_the_commands_of_several_workers(built, capped, tmp_path):
    server, run = capped
    book = tmp_path / "book"
    book.touch()
    submit = lambda *arguments: run("submit", *arguments).strip()
    three = [submit("three") for _ in range(9)]
    tenants = {name: [submit("tenants", "-l", f"tenant={name}") for _ in range(4)] for name in "ab"}
    free = [submit("free") for _ in range(6)]
    every = [*three, *tenants["a"], *tenants["b"], *free]
    workers = crew(built, server, book, 3)
    try:
        over = lambda: sum(line.startswith("- ") for line in book.read_text().splitlines()) == len(every)
        wait_until(over, WITHIN, "every job has run")
    finally:
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
        for worker in workers:
            worker.wait(30)
    lines = book.read_text().splitlines()
    assert most_at_once(lines, every) == 4
    assert most_at_once(lines, three) <= 3
    assert all(most_at_once(lines, of) == 1 for of in tenants.values())
    assert sorted(line.split()[1] for line in lines if line.startswith("+")) == sorted(every)


def test_what_a_cap_holds_is_explained(built, capped, tmp_path):
    server, run = capped
    first, second = (
        run("submit", "tenants", "-l", "tenant=a").strip() for _ in range(2)
    )
    gate = tmp_path / "gate"
    worker = subprocess.Popen(
        [built, "work", "--slots", "2", "--", "sh", "-c", f'while [ ! -e "{gate}" ]; do sleep 0.05; done'],
        env=environment(server),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        told = lambda: json.loads(run("explain", second, "-o", "json"))["reasons"][0]
        full = lambda: (told() if told()["code"] == "CONCURRENCY_KEY_FULL" else None)
        reason = wait_until(full, WITHIN, "the cap holds the second one")
        assert reason["ids"] == [first]
        gate.touch()
        shown = lambda: json.loads(run("get", second, "-o", "json"))["job"]["status"]["state"]
        wait_until(lambda: shown() == "JOB_STATE_SUCCEEDED", WITHIN, "it runs when there is room")
    finally:
        gate.touch()
        worker.send_signal(signal.SIGTERM)
        worker.wait(30)
