"""Jobs that are stuck, sweeps by hand, and workers that are sent away."""

import contextlib
import json
import os
import signal
import subprocess

import pytest

from reflect import state
from server import wait_until
from test_work import WITHIN, Work, finished
from workers import create, get


@pytest.fixture
def cli(built, server):
    """Runs a command against the shared server; gives its end."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("JOBPLANE_")}

    def run(*arguments):
        return subprocess.run(
            [built, "--endpoint", f"http://{server.address}", *map(str, arguments)],
            env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    return run


@pytest.fixture
def work(built, server):
    started = []

    def start(*arguments):
        started.append(Work(built, server.address, *map(str, arguments)))
        return started[-1]

    yield start
    for each in started:
        each.drop()


def asked(stub, job_id):
    """The wish that the job stop, once there is one."""

    def look():
        status = get(stub, job_id).status
        return status.cancel_request if status.HasField("cancel_request") else None

    return wait_until(look, WITHIN, "it is asked to stop")


def test_a_job_whose_progress_stops_is_stuck_though_its_worker_lives(work, stub, queue, tmp_path):
    script, pid = tmp_path / "count.sh", tmp_path / "pid"
    script.write_text(f"""
        echo $$ >{pid}
        n=0
        while :; do n=$((n + 1)); echo "$n/1000000"; sleep 0.1; done
    """)
    work("--queue", queue, "--", "sh", script)
    job_id = create(stub, queue, stuck_after="2s", retry_policy={"max_attempts": 1}).id
    wait_until(lambda: get(stub, job_id).status.progress.completed > 30, WITHIN, "it moves")
    # It counted for longer than it may be silent, and nobody minded.
    assert not get(stub, job_id).status.HasField("cancel_request")
    command = int(pid.read_text())
    os.kill(command, signal.SIGSTOP)
    try:
        wish = asked(stub, job_id)
        assert "showed no activity" in wish.reason, wish
    finally:
        # It may be at its end already: its worker was asked to stop it.
        with contextlib.suppress(ProcessLookupError):
            os.kill(command, signal.SIGCONT)
    job = finished(stub, job_id)
    assert (state(job), job.status.error.code) == ("FAILED", "STUCK")


def test_a_job_that_is_to_notify_runs_on(work, stub, queue):
    crew = work("--queue", queue, "--", "sh", "-c", "echo 1/10; sleep 6; echo 10/10")
    job_id = create(stub, queue, stuck_after="2s", on_stuck="ON_STUCK_NOTIFY").id
    crew.until("started")
    job = finished(stub, job_id)
    assert (state(job), job.status.attempt) == ("SUCCEEDED", 1)


def test_a_sweep_by_hand_says_what_it_would_do_and_knows_its_bounds(cli, stub, queue):
    job_id = create(stub, queue).id
    looked = cli("-o", "json", "sweep", "--dry-run", "--include-pending", "--type", "nobody-has-it")
    assert looked.returncode == 0, looked.stderr
    answer = json.loads(looked.stdout)
    assert "jobIds" not in answer and "cutoffTime" in answer
    swept = cli("sweep", "--threshold", "30m", "--basis", "progress", "--include-pending")
    assert swept.returncode == 0 and "no job is stuck" in swept.stderr, swept
    assert state(get(stub, job_id)) == "PENDING", "it is not that old"
    for threshold in ("29m", "25h", "90s", "1801s"):
        refused = cli("sweep", "--threshold", threshold)
        assert refused.returncode == 2 and "threshold" in refused.stderr, refused
    assert cli("sweep", "--basis", "luck").returncode == 2
    stub.call("JobService/CancelJob", {"job_id": job_id})


def test_a_drained_worker_finishes_leaves_and_gets_nothing_more(work, cli, stub, queue, tmp_path):
    go, name = tmp_path / "go", f"w-{queue[-8:]}"
    wait = f"echo 1/2; while [ ! -e {go} ]; do sleep 0.05; done"
    crew = work("--queue", queue, "--worker-id", name, "--", "sh", "-c", wait)
    held = create(stub, queue).id
    crew.until("started")
    drained = cli("drain", name, "--grace", "50s", "--reason", "an update")
    assert drained.returncode == 0 and "holds 1 job" in drained.stderr, drained
    waiting = create(stub, queue).id
    crew.until("draining")
    listed = cli("-o", "jsonl", "workers", "--queue", queue)
    states = [json.loads(line)["state"] for line in listed.stdout.splitlines()]
    assert states == ["WORKER_STATE_DRAINING"]
    go.touch()
    assert crew.end() == 0, crew.said()
    assert state(get(stub, held)) == "SUCCEEDED"
    assert state(get(stub, waiting)) == "PENDING"
    # The next process of its name is another worker.
    work("--queue", queue, "--worker-id", name, "--", "true")
    assert state(finished(stub, waiting)) == "SUCCEEDED"
    unknown = cli("drain", "nobody-is-called-this")
    assert unknown.returncode == 3 and "WORKER_NOT_FOUND" in unknown.stderr + unknown.stdout, unknown


def test_a_job_over_its_limit_fails_with_resource_limit(built, tmp_path, stub, queue):
    from server import Server
    from reflect import Stub

    own = Server(tmp_path)
    own.start("--limit-sustain", "1s")
    mine = Stub(own.address, like=stub.schema)
    try:
        job_id = create(mine, queue, limits={"memory_bytes": 1 << 20}, retry_policy={"max_attempts": 1}).id
        assignment = mine.call(
            "WorkerService/AcquireJobs", {"worker_id": "w1", "queues": [queue], "wait": "10s"}
        ).assignments[0]
        report = {
            "job_id": job_id,
            "lease_epoch": assignment.lease_epoch,
            "resource_usage": {"memory_bytes": 5 << 20},
        }
        wish = wait_until(
            lambda: (answer := mine.call("WorkerService/ReportJob", report)).HasField("cancel_request")
            and answer.cancel_request,
            WITHIN,
            "it is asked to stop",
        )
        assert "5.0 MiB" in wish.reason and "1.0 MiB" in wish.reason, wish
        failed = {"job_id": job_id, "lease_epoch": assignment.lease_epoch, "error": {"code": "STOPPED"}}
        mine.call("WorkerService/FailJob", failed)
        job = get(mine, job_id)
        assert (state(job), job.status.error.code) == ("FAILED", "RESOURCE_LIMIT")
    finally:
        mine.close()
        own.stop()
