"""The two example scripts, end to end."""

from reflect import plain, state
from workers import create, get


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
