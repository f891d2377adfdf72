"""The two example scripts, end to end."""

import pathlib
import subprocess
import sys

from reflect import plain, state
from workers import create, get

HERE = pathlib.Path(__file__).parent


def test_a_watcher_sees_a_job_live_from_pending_to_succeeded(script, stub, queue):
    job = create(stub, queue)
    watcher = script("watcher.py", job.id)
    assert watcher.stdout.readline() == "PENDING\n"

    worker = script("worker.py", queue, "0.2")
    lines = watcher.stdout.read().splitlines()
    assert watcher.wait(30) == 0, "the watcher exits by itself"
    output = worker.stdout.read().splitlines()
    assert worker.wait(30) == 0, "the worker exits by itself"

    assert output[1:] == [f"runs blackbox {job.id}", "succeeded"]
    assert lines[-1].startswith("SUCCEEDED 100 %")
    running = [line for line in lines if line.startswith("RUNNING")]
    percents = [int(line.split()[1]) for line in running if "%" in line]
    assert len(percents) >= 3, f"progress was seen while it ran: {lines}"
    assert percents == sorted(percents), "progress never goes back"
    assert running + lines[-1:] == [line for line in lines if line != "PENDING"]

    job = get(stub, job.id)
    assert (state(job), job.status.attempt, plain(job.status.result)) == (
        "SUCCEEDED",
        1,
        {"counted_to": 10},
    )


def test_a_worker_stops_when_it_is_asked_to(script, stub, queue):
    job = create(stub, queue)
    worker = script("worker.py", queue, "3")
    lines = iter(worker.stdout.readline, "")
    assert any(line.startswith("runs ") for line in lines), "it has the job"
    stub.call("JobService/CancelJob", {"job_id": job.id})
    assert [line.strip() for line in lines] == ["is to stop: cancel_request", "cancelled"]
    assert worker.wait(30) == 0, "the worker exits by itself"
    assert state(get(stub, job.id)) == "CANCELLED"


def test_the_scripts_tell_how_they_are_called():
    for name in ("worker.py", "watcher.py"):
        for arguments, code in (([], 2), (["-h"], 0), (["--help"], 0)):
            line = [sys.executable, HERE / name, *arguments]
            done = subprocess.run(line, capture_output=True, text=True, timeout=30)
            assert done.returncode == code and f"python {name}" in done.stdout, (line, done)
