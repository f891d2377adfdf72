"""`jobplane work`: a worker whose command is a script."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

from reflect import Stub, state
from server import wait_until
from workers import create, get, list_logs

WITHIN = 60.0


class Work:
    """A running `jobplane work`, and the events it prints."""

    def __init__(self, built, address, *arguments):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("JOBPLANE_")}
        self.process = subprocess.Popen(
            [built, "-o", "jsonl", "--endpoint", f"http://{address}", "work", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines = []
        self.errors = []
        self._readers = [
            threading.Thread(target=lambda: self.lines.extend(self.process.stdout), daemon=True),
            threading.Thread(target=lambda: self.errors.extend(self.process.stderr), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def events(self, name=None):
        events = [json.loads(line) for line in list(self.lines)]
        return [event for event in events if name in (None, event["event"])]

    def until(self, name, count=1):
        """Waits for so many events of this name."""

        def look():
            there = self.process.poll() is None
            found = self.events(name)
            assert len(found) >= count or there, f"it ended: {self.said()}"
            return found if len(found) >= count else None

        return wait_until(look, WITHIN, f"{count} x {name}")

    def said(self):
        return "".join(self.lines[-30:]) + "".join(self.errors[-30:])

    def tell(self, number):
        self.process.send_signal(number)

    def end(self, within=WITHIN):
        """Waits for its end; gives the exit code."""
        code = self.process.wait(within)
        for reader in self._readers:
            reader.join()
        self.process.stdout.close()
        self.process.stderr.close()
        return code

    def drop(self):
        """What a test leaves running ends with it: in good order, so that its commands end too."""
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
            if self.process.poll() is None:
                self.tell(number)
                try:
                    self.process.wait(15)
                except subprocess.TimeoutExpired:
                    continue
        self.process.wait()


@pytest.fixture
def work(built, server):
    """Starts workers: `work("--queue", queue, "--", "true")`, against the shared server or `at` another."""
    started = []

    def start(*arguments, at=None):
        started.append(Work(built, at or server.address, *map(str, arguments)))
        return started[-1]

    yield start
    for each in started:
        each.drop()


@pytest.fixture
def command(tmp_path):
    """Writes a shell script; gives how to call it."""

    def write(text):
        path = tmp_path / "command.sh"
        path.write_text(text)
        return ["--", "sh", path]

    return write


def gone(pid):
    """Whether the process is no more; a zombie is no more."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def logs(stub, job_id):
    """The text of every line of a job."""
    return [entry.message for entry in list_logs(stub, job_id)]


def finished(stub, job_id):
    over = ("SUCCEEDED", "FAILED", "CANCELLED")
    return wait_until(
        lambda: (job := get(stub, job_id)) and state(job) in over and job, WITHIN, "it is over"
    )


def test_jobs_are_taken_run_and_their_results_arrive(work, command, stub, queue):
    run = command("""
        read -r payload
        echo "payload $payload"
        echo "$JOBPLANE_JOB_TYPE $JOBPLANE_QUEUE $JOBPLANE_ATTEMPT $JOBPLANE_LEASE_EPOCH" >&2
        echo "$JOBPLANE_OWNER $JOBPLANE_LABEL_APP_NAME"
        echo 3/10
        echo '{"progress": {"completed": 10, "total": 10, "unit": "rows"}}'
        printf '{"payload": %s, "id": "%s"}' "$payload" "$JOBPLANE_JOB_ID" >"$JOBPLANE_RESULT_FILE"
    """)
    jobs = [
        create(
            stub, queue, payload={"n": n}, owner="someone", labels={"app/name": f"label-{n}"}
        ).id
        for n in range(20)
    ]
    crew = work("--queue", queue, "--slots", 3, "--worker-id", "crew", "--label", "team=a", *run)
    for n, job_id in enumerate(jobs):
        job = finished(stub, job_id)
        assert state(job) == "SUCCEEDED", job
        result = job.status.result
        assert (result["payload"]["n"], result["id"]) == (n, job_id)
        assert (job.status.progress.completed, job.status.progress.unit) == (10, "rows")
        assert job.status.worker_id == "crew"
    first = get(stub, jobs[0])
    lines = logs(stub, jobs[0])
    assert set(lines) == {
        'payload {"n":0}', f"{first.spec.type} {queue} 1 1", "someone label-0",
    }, lines  # fmt: skip

    crew.until("ended", 20)
    most, running = 0, 0
    for event in crew.events():
        running += {"started": 1, "ended": -1}.get(event["event"], 0)
        most = max(most, running)
    assert most == 3, "three at a time"
    crew.tell(signal.SIGTERM)
    assert crew.end() == 0, crew.said()
    assert {event["outcome"] for event in crew.events("ended")} == {"succeeded"}


def test_a_code_and_a_signal_say_how_a_job_failed(work, command, stub, queue):
    crew = work("-q", queue, *command("""
        read -r payload
        echo "last words" >&2
        case "$payload" in
            *code*) exit 3 ;;
            *usage*) exit 64 ;;
            *) kill -9 $$ ;;
        esac
    """))  # fmt: skip
    once = {"max_attempts": 1}
    code = create(stub, queue, payload={"end": "code"}, retry_policy=once).id
    killed = create(stub, queue, payload={"end": "signal"}, retry_policy=once).id
    usage = create(stub, queue, payload={"end": "usage"}, retry_policy={"max_attempts": 5}).id
    error = finished(stub, code).status.error
    assert error.code == "EXIT_3" and "last words" in error.message
    assert finished(stub, killed).status.error.code == "SIGNAL_9"
    job = finished(stub, usage)
    assert (job.status.error.code, job.status.attempt) == ("EXIT_64", 1), "not tried again"
    crew.tell(signal.SIGINT)
    assert crew.end() == 0, crew.said()


def test_what_a_command_says_it_used_of_a_quota_takes_the_place_of_what_its_start_drew(
    work, command, stub, queue
):
    stub.call("AdminService/PutQuota", {"quota": {"name": queue, "limit": 1000, "period": "QUOTA_PERIOD_MONTH"}})
    stub.call("JobTypeService/PutJobType", {"job_type": {"type": queue, "quota_costs": {queue: 100}}})
    jobs = [create(stub, queue, type=queue) for _ in range(2)]
    echo = f"""[ "$JOBPLANE_ATTEMPT" = 1 ] && echo '{{"quota_use": {{"{queue}": 7}}}}'; exit 0"""
    work("--queue", queue, *command(echo))
    for job in jobs:
        finished(stub, job.id)
    quotas = stub.call("AdminService/ListQuotas").quotas
    assert [quota.usage.used for quota in quotas if quota.name == queue] == [14]


def test_a_command_that_is_not_there_is_refused_before_any_job_is_taken(work, queue):
    crew = work("-q", queue, "--", "no-such-program-here")
    assert crew.end() == 2
    assert "command not found" in crew.said()


def test_a_cancel_stops_the_whole_tree(work, command, stub, queue, tmp_path):
    pids = tmp_path / "pids"
    crew = work("-q", queue, *command(f"""
        sleep 600 & echo $! >>{pids}
        sh -c 'trap "" TERM; echo $$ >>{pids}; while :; do sleep 0.1; done' &
        echo $$ >>{pids}
        echo started
        wait
    """))  # fmt: skip
    job_id = create(stub, queue).id
    wait_until(lambda: pids.exists() and len(pids.read_text().split()) == 3, WITHIN, "it runs")
    stub.call("JobService/CancelJob", {"job_id": job_id, "reason": "enough", "grace": "3s"})
    job = finished(stub, job_id)
    assert state(job) == "CANCELLED"
    for pid in pids.read_text().split():
        wait_until(lambda pid=pid: gone(int(pid)), WITHIN, f"process {pid} is gone")
    assert crew.until("ended")[0]["outcome"] == "cancelled"
    assert "enough" in crew.events("cancel")[0]["reason"]
    # It takes the next one.
    again = create(stub, queue).id
    crew.until("started", 2)
    stub.call("JobService/CancelJob", {"job_id": again, "grace": "1s"})
    finished(stub, again)


def test_a_drain_lets_jobs_finish_and_gives_the_others_back(work, command, stub, queue, tmp_path):
    go = tmp_path / "go"
    crew = work("-q", queue, "-n", 2, "--grace", "3s", *command(f"""
        read -r payload
        echo started
        case "$payload" in
            *short*) while [ ! -e {go} ]; do sleep 0.05; done; exit 0 ;;
            *) sleep 600 ;;
        esac
    """))  # fmt: skip
    short = create(stub, queue, payload={"kind": "short"}).id
    long = create(stub, queue, payload={"kind": "long"}).id
    crew.until("started", 2)
    waiting = create(stub, queue, payload={"kind": "short"}).id
    crew.tell(signal.SIGTERM)
    crew.until("draining")
    go.touch()
    assert crew.end() == 0, crew.said()
    assert state(get(stub, short)) == "SUCCEEDED"
    given_back = get(stub, long)
    assert (state(given_back), given_back.status.attempt) == ("PENDING", 0)
    assert state(get(stub, waiting)) == "PENDING", "nothing more was taken"
    assert len(crew.events("started")) == 2
    for job_id in (long, waiting):
        stub.call("JobService/CancelJob", {"job_id": job_id})


def test_the_second_signal_ends_the_work_at_once(work, command, stub, queue):
    crew = work("-q", queue, "--grace", "10m", *command("trap '' TERM; echo; sleep 600"))
    job_id = create(stub, queue).id
    crew.until("started")
    crew.tell(signal.SIGTERM)
    crew.until("draining")
    crew.tell(signal.SIGTERM)
    assert crew.end() == 0, crew.said()
    job = get(stub, job_id)
    assert (state(job), job.status.attempt) == ("PENDING", 0)
    stub.call("JobService/CancelJob", {"job_id": job_id})


def test_work_goes_on_while_the_server_is_killed(work, command, own_server, queue):
    server = own_server
    stub = Stub(server.address)
    go = pathlib.Path(server.folder) / "go"
    jobs = [create(stub, queue, payload={"n": n}).id for n in range(6)]
    crew = work("-q", queue, "-n", 3, "--lease-ttl", "60s", *command(f"""
        read -r payload
        n=0
        echo "line 0"
        while [ ! -e {go} ]; do n=$((n + 1)); echo "line $n"; sleep 0.02; done
        echo "{{\\"lines\\": $n}}"
    """), at=server.address)  # fmt: skip
    crew.until("started", 3)
    wait_until(lambda: all(len(logs(stub, job)) > 3 for job in jobs[:3]), WITHIN, "lines arrive")
    schema, address = stub.schema, server.address
    stub.close()
    server.kill()
    crew.until("lost")
    printed = time.monotonic()
    wait_until(lambda: time.monotonic() > printed + 1.0, WITHIN, "some more is printed")
    server.start(listen=address)
    stub = Stub(server.address, like=schema)
    crew.until("attached", 2)
    go.touch()
    for job_id in jobs:
        job = finished(stub, job_id)
        assert (state(job), job.status.attempt, job.status.lease_epoch) == ("SUCCEEDED", 1, 1), job
        lines = [line for line in logs(stub, job_id) if line.startswith("line ")]
        count = int(job.status.result["lines"])
        assert lines == [f"line {n}" for n in range(count + 1)], "each once and in order"
    crew.tell(signal.SIGTERM)
    assert crew.end() == 0, crew.said()
    assert len(crew.events("started")) == 6
    stub.close()


def test_nothing_is_taken_while_the_machine_is_busier_than_allowed(work, stub, queue):
    # A load of our own, so that a limit far below it is surely passed.
    burner = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        job_id = create(stub, queue).id
        crew = work("-q", queue, "--max-host-cpu", "0.01%", "--", "true")
        crew.until("attached")
        name = {"queues": [queue]}

        def busy():
            workers = stub.call("AdminService/ListWorkers", name).workers
            return any(worker.host_usage.cpu_percent > 0.01 for worker in workers)

        # The worker has looked at the machine more than once by then.
        wait_until(busy, WITHIN, "it tells how busy the machine is")
        assert state(get(stub, job_id)) == "PENDING"
        assert not crew.events("started")
        crew.tell(signal.SIGTERM)
        assert crew.end() == 0, crew.said()
    finally:
        os.kill(burner.pid, signal.SIGKILL)
        burner.wait()
    crew = work("-q", queue, "--max-host-cpu", "100%", "--", "true")
    assert state(finished(stub, job_id)) == "SUCCEEDED", "at 100% it is never too busy"
    assert crew.until("open")


def test_a_limit_of_memory_is_enforced(work, stub, queue):
    hog = "x = bytearray(300 << 20)\nimport time\ntime.sleep(600)"
    crew = work("-q", queue, "--", sys.executable, "-c", hog)
    limits = {"memory_bytes": 100 << 20}
    job_id = create(stub, queue, limits=limits, retry_policy={"max_attempts": 1}).id
    job = finished(stub, job_id)
    assert (state(job), job.status.error.code) == ("FAILED", "RESOURCE_LIMIT"), job
    assert job.status.resource_usage.peak_memory_bytes > 100 << 20
    assert crew.until("ended")[0]["outcome"] == "failed"
