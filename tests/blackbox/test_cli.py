"""The command line, as a person or a script uses it."""

import json
import subprocess
import threading
import uuid

import pytest

from commands import answer
from reflect import state
from workers import Worker, create, get, key, lease, start

OK, JOB_FAILED, USAGE, NOT_FOUND, REFUSED, UNREACHABLE, TIMED_OUT = 0, 1, 2, 3, 4, 5, 124
# A port that nobody listens on: it needs root, and nothing has used it for decades.
NOBODY = "http://127.0.0.1:1"


@pytest.fixture
def target(server):
    """The server that all tests share."""
    return server


@pytest.fixture
def finished(stub, queue):
    """A job that succeeded."""
    run = start(stub, queue)
    stub.call("WorkerService/CompleteJob", {**lease(run), "result": {"answer": 42}})
    return run.job.id


def test_info_tells_what_the_server_is_and_what_it_is_bound_to(jobplane, stub):
    told = stub.call("AdminService/GetServerInfo")
    shown = jobplane("info")
    assert shown.returncode == 0, shown
    lines = shown.stdout.splitlines()
    assert lines[0].startswith(f"jobplane {told.version} at http://"), lines
    facts = {line[:24].strip(): line[24:] for line in lines[1:]}
    assert facts["replica"] == told.replica_id and facts["store"].startswith("sqlite 3."), facts
    assert "s, since 20" in facts["up"] and facts["payload_bytes_max"] == "256.0 KiB", facts
    assert facts["background tasks"] == f"{len(told.loops)} of {len(told.loops)} are well", facts
    assert len(jobplane("info", "--limits").stdout.splitlines()) > len(lines) + 20
    assert "lease_watchdog" in jobplane("info", "--loops").stdout
    assert json.loads(jobplane("info", "-o", "json").stdout)["replicaId"] == told.replica_id


def test_a_job_is_submitted_read_listed_and_its_spec_is_kept(jobplane, stub, queue):
    done = jobplane(
        "submit", "demo", "--queue", queue, "--payload", '{"path": "/data", "n": 3}',
        "--label", "team=a", "--priority", "high", "--owner", "someone",
    )  # fmt: skip
    assert done.returncode == OK, done.stderr
    job_id = done.stdout.strip()
    assert str(uuid.UUID(job_id)) == job_id, "the id alone is on stdout, for scripts"

    job = answer(jobplane("get", job_id, "-o", "json"))["job"]
    assert job["id"] == job_id
    assert job["spec"]["payload"] == {"path": "/data", "n": 3}
    assert job["spec"]["labels"] == {"team": "a"}
    assert (job["spec"]["priority"], job["spec"]["owner"]) == ("PRIORITY_HIGH", "someone")
    assert job["status"]["state"] == "JOB_STATE_PENDING"

    listed = answer(jobplane("list", "--queue", queue, "-o", "json"))
    assert [each["id"] for each in listed["jobs"]] == [job_id]
    lines = jobplane("list", "--queue", queue, "-o", "jsonl").stdout.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [job_id]
    assert not answer(jobplane("list", "--queue", queue, "--state", "running", "-o", "json")).get(
        "jobs"
    )
    assert state(get(stub, job_id)) == "PENDING"


def test_plain_output_has_no_colour_and_no_cursor_moves(jobplane, finished, queue):
    for command in (
        ("get", finished), ("list", "--queue", queue), ("watch", finished), ("logs", finished),
        ("stats",), ("workers",), ("queues",),
    ):  # fmt: skip
        done = jobplane(*command)
        assert done.returncode == OK, (command, done.stderr)
        assert "\x1b" not in done.stdout and "\r" not in done.stdout, command


def test_a_job_is_watched_to_its_end_and_the_exit_code_tells_how_it_ended(jobplane, stub, queue):
    run = start(stub, queue)

    def finish():
        stub.call("WorkerService/CompleteJob", lease(run))

    watching = threading.Timer(0.5, finish)
    watching.start()
    done = jobplane("watch", run.job.id)
    watching.join()
    assert (done.returncode, "SUCCEEDED" in done.stdout.upper()) == (OK, True), done

    failing = start(stub, queue)
    error = {"code": "DISK_FULL", "message": "no space left"}
    stub.call("WorkerService/FailJob", {**lease(failing), "error": error})
    done = jobplane("watch", failing.job.id)
    assert done.returncode == JOB_FAILED
    assert "FAILED" in done.stdout.upper() and "no space left" in done.stdout + done.stderr

    done = jobplane("watch", run.job.id, "-o", "jsonl")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[0]["snapshot"]["job"]["status"]["state"] == "JOB_STATE_SUCCEEDED"


def test_logs_are_shown_and_followed_until_the_job_is_over(jobplane, stub, queue):
    run = start(stub, queue)
    logs = [{"message": f"line {number}"} for number in range(30)]
    stub.call("WorkerService/ReportJob", {**lease(run), "logs": logs})
    done = jobplane("logs", run.job.id)
    assert done.returncode == OK
    lines = done.stdout.splitlines()
    assert [line.split()[-1] for line in lines] == [str(number) for number in range(30)]

    def go_on():
        stub.call("WorkerService/ReportJob", {**lease(run), "logs": [{"message": "the last line"}]})
        stub.call("WorkerService/CompleteJob", lease(run))

    later = threading.Timer(0.5, go_on)
    later.start()
    done = jobplane("logs", "-f", run.job.id)
    later.join()
    assert done.returncode == OK
    assert len(done.stdout.splitlines()) == 31 and "the last line" in done.stdout
    entries = [
        json.loads(line) for line in jobplane("logs", run.job.id, "-o", "jsonl").stdout.splitlines()
    ]
    assert entries[-1]["message"] == "the last line"


def test_a_job_is_cancelled_and_retried(jobplane, stub, queue):
    job = create(stub, queue)
    assert jobplane("cancel", job.id, "--reason", "not needed").returncode == OK
    assert state(get(stub, job.id)) == "CANCELLED"
    assert jobplane("cancel", job.id).returncode == OK, "cancelled is cancelled"
    assert jobplane("retry", job.id).returncode == OK
    assert state(get(stub, job.id)) == "PENDING"

    run = start(stub, queue)
    assert jobplane("cancel", run.job.id, "--grace", "0").returncode == OK
    assert state(get(stub, run.job.id)) == "CANCELLED"


def test_stats_workers_and_queues_are_told(jobplane, stub, queue, finished):
    worker = Worker(stub, queue, worker_id="seen-by-the-cli")
    worker.attach()
    create(stub, queue)
    assignment = worker.assignment()

    stats = answer(jobplane("stats", "-o", "json"))
    assert int(stats["totals"]["finishedTotal"]) >= 1
    queues = answer(jobplane("queues", "-o", "json"))["queues"]
    assert queue in [each["name"] for each in queues]
    workers = answer(jobplane("workers", "-o", "json"))["workers"]
    mine = next(each for each in workers if each.get("instanceId") == worker.instance_id)
    assert (mine["workerId"], mine["state"]) == ("seen-by-the-cli", "WORKER_STATE_ONLINE")
    assert [each["jobId"] for each in mine["running"]] == [key(assignment)[0]]
    assert "seen-by-the-cli" in jobplane("workers").stdout
    assert queue[:20] in jobplane("queues").stdout

    assert worker.acked(worker.update(assignment, succeeded={})) is None
    worker.leave()


def test_the_exit_code_says_what_went_wrong(jobplane, stub, queue, finished):
    nowhere = str(uuid.uuid4())
    waiting = create(stub, queue)
    cases = [
        (USAGE, ("no-such-command",)),
        (USAGE, ("get",)),
        (USAGE, ("get", "not-a-uuid")),
        (USAGE, ("submit", "demo", "--payload", "{broken")),
        (USAGE, ("list", "--state", "no-such-state")),
        (NOT_FOUND, ("get", nowhere)),
        (NOT_FOUND, ("watch", nowhere)),
        (NOT_FOUND, ("logs", nowhere)),
        (NOT_FOUND, ("cancel", nowhere)),
        (REFUSED, ("cancel", finished)),
        (REFUSED, ("retry", finished)),
        (TIMED_OUT, ("watch", waiting.id, "--timeout", "1s")),
        (OK, ("get", finished)),
        (OK, ("--help",)),
        (OK, ("--version",)),
    ]
    for code, command in cases:
        done = jobplane(*command)
        assert done.returncode == code, (command, done.stdout, done.stderr)
        if code not in (OK, TIMED_OUT):
            assert done.stderr.strip(), f"{command} does not say what went wrong"
    assert state(get(stub, waiting.id)) == "PENDING", "a watch that gives up changes nothing"


def test_a_wait_that_gives_up_tells_how_far_the_job_is(jobplane, queue):
    done = jobplane("submit", "t", "-q", queue, "--wait", "--wait-timeout", "1s", "-o", "json")
    assert done.returncode == TIMED_OUT, (done.stdout, done.stderr)
    assert json.loads(done.stdout)["job"]["spec"]["queue"] == queue
    assert "gave up" in done.stderr


def test_an_unreachable_server_is_named_with_what_to_check(jobplane):
    for command in (
        ("list",),
        ("submit", "demo"),
        ("watch", str(uuid.uuid4()), "--timeout", "20s"),
    ):
        done = jobplane(*command, "--endpoint", NOBODY)
        assert done.returncode == UNREACHABLE, (command, done.stdout, done.stderr)
        assert "127.0.0.1:1" in done.stderr
        assert "--endpoint" in done.stderr or "JOBPLANE_ENDPOINT" in done.stderr


def test_a_server_where_nothing_is_yet_says_what_to_do(built, own_server):
    for command, said in (
        ("list", "jobplane submit TYPE"),
        ("queues", "jobplane submit TYPE"),
        ("summary", "jobplane submit TYPE"),
        ("workers", "jobplane work"),
        ("history", "jobplane active"),
    ):
        done = subprocess.run(
            [built, command, "--endpoint", f"http://{own_server.address}"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (OK, ""), done
        assert said in done.stderr, done


def test_a_refusal_says_each_thing_once_and_names_the_job(jobplane, stub, queue):
    job = start(stub, queue).job.id
    done = jobplane("delete", job)
    assert done.returncode == REFUSED
    assert done.stderr.count("is not over") == 1, done.stderr
    assert f"jobplane get {job}" in done.stderr
    done = jobplane("list", "--type", "a b")
    assert done.returncode == USAGE and done.stderr.count("must match") == 1, done.stderr
