"""`jobplane run`: any command as a job."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from reflect import Stub, enum, plain, state
from server import wait_until
from terminal import Terminal
from workers import get, list_all, list_logs

WITHIN = 60.0
# How long the server is away. Promised is a minute; JOBPLANE_TEST_OUTAGE_SECONDS=60 shows it.
OUTAGE = float(os.environ.get("JOBPLANE_TEST_OUTAGE_SECONDS") or 12)


def environment(address):
    ours = {k: v for k, v in os.environ.items() if not k.startswith("JOBPLANE_")}
    return {**ours, "JOBPLANE_ENDPOINT": f"http://{address}"}


class Run:
    """A running `jobplane run` in a queue of its own."""

    def __init__(self, built, address, queue, folder, *arguments):
        self.queue = queue
        self.process = subprocess.Popen(
            [built, "run", "--queue", queue, *map(str, arguments)],
            env=environment(address),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def end(self, within=WITHIN):
        """Waits for its end: code, what it wrote to stdout, to stderr."""
        stdout, stderr = self.process.communicate(timeout=within)
        return self.process.returncode, stdout.decode(), stderr.decode()

    def job(self, stub, *states):
        """Waits for its job to be in one of the states."""

        def look():
            jobs = list(list_all(stub, self.queue))
            return next((get(stub, job.id) for job in jobs if state(job) in states), None)

        return wait_until(look, WITHIN, f"a job that is {states}")

    def drop(self):
        """What a test leaves running ends with it: in good order, so that its command ends too."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.process.poll() is None:
                self.process.send_signal(number)
                try:
                    self.process.wait(20)
                except subprocess.TimeoutExpired:
                    continue
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()


@pytest.fixture
def run(built, server, queue, tmp_path):
    """Starts commands as jobs: `run("--", "true")`, against the shared server or `at` another."""
    started = []

    def start(*arguments, at=None):
        started.append(Run(built, at or server.address, queue, tmp_path, *arguments))
        return started[-1]

    yield start
    for each in started:
        each.drop()


def logs(stub, job_id):
    return [entry.message for entry in list_logs(stub, job_id)]


def gone(pid):
    """Whether the process is no more; a zombie is no more."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_the_lines_of_tar_are_seen_while_it_runs(run, stub, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for n in range(20):
        (folder / f"file-{n}").write_bytes(os.urandom(10_000))
    go = tmp_path / "go"
    # tar stops at its first checkpoint until the test has seen its lines.
    wait = f"--checkpoint-action=exec=sh -c 'until [ -e {go} ]; do sleep 0.1; done'"
    tar = run("--", "tar", "czvf", "data.tgz", "--checkpoint=10", wait, "data")
    job = tar.job(stub, "RUNNING")
    assert (job.spec.type, enum(job.status, "trigger")) == ("tar", "WORKER")
    wait_until(lambda: any("file-" in line for line in logs(stub, job.id)), WITHIN, "a line")
    assert tar.process.poll() is None and state(get(stub, job.id)) == "RUNNING"
    go.touch()
    code, stdout, _ = tar.end()
    assert code == 0
    assert state(get(stub, job.id)) == "SUCCEEDED"
    lines = [line for line in logs(stub, job.id) if line.startswith("data/")]
    assert sorted(lines) == sorted(stdout.splitlines()) and len(lines) == 21
    assert (tmp_path / "data.tgz").stat().st_size > 10_000


def test_a_counter_is_progress_with_a_falling_estimate(run, stub, tmp_path):
    script = """
import pathlib, time
for n in range(100, 1001, 50):
    print(f"{n}/1000", end="\\r" if n % 100 else "\\n", flush=True)
    while n == 450 and not pathlib.Path("go").exists(): time.sleep(0.05)
    time.sleep(0.2)
print("done with it")
"""
    counting = run("--", sys.executable, "-c", script)
    job = counting.job(stub, "RUNNING")

    def at_45():
        progress = get(stub, job.id).status.progress
        return progress if progress.completed == 450 else None

    progress = wait_until(at_45, WITHIN, "450 of 1000")
    assert (progress.total, progress.percent) == (1000, 45.0)
    (tmp_path / "go").touch()
    left = []
    while state(shown := get(stub, job.id)) == "RUNNING":
        progress = shown.status.progress
        if 450 < progress.completed < 1000 and progress.HasField("remaining"):
            left.append((progress.completed, progress.remaining.ToTimedelta().total_seconds()))
        time.sleep(0.1)
    assert counting.end()[0] == 0
    assert len(left) > 3 and left[-1][1] < left[0][1], left
    assert logs(stub, job.id) == ["done with it"], "progress is no line of the log"
    assert get(stub, job.id).status.progress.completed == 1000


@pytest.mark.parametrize(
    ("script", "code", "error"),
    [
        ("exit 0", 0, None),
        ("echo no such table >&2; exit 3", 3, "EXIT_3"),
        ("kill -9 $$", 137, "SIGNAL_9"),
        ("kill -15 $$", 143, "SIGNAL_15"),
    ],
)
def test_the_code_is_that_of_the_command(run, stub, script, code, error):
    started = run("--type", "coded", "--", "sh", "-c", script)
    assert started.end()[0] == code
    job = started.job(stub, "FAILED" if error else "SUCCEEDED")
    assert job.spec.type == "coded" and job.status.max_attempts == 1
    assert job.status.error.code == (error or "")
    if error == "EXIT_3":
        assert job.status.error.message.endswith("with code 3\nno such table")


def test_a_command_that_cannot_be_started_is_a_failed_job(run, stub, tmp_path):
    missing = run("--", "no-such-program-here")
    code, _, stderr = missing.end()
    assert code == 127 and "command not found" in stderr
    assert missing.job(stub, "FAILED").status.error.code == "COMMAND_NOT_FOUND"
    (tmp_path / "plain").touch()
    code, _, stderr = run("--", "./plain").end()
    assert code == 126 and "cannot be executed" in stderr


def test_output_is_passed_on_byte_by_byte(run, stub):
    script = r"printf 'a\r\n\377\0b 45%%\r50%%'; printf 'e\n' >&2"
    started = run("--quiet", "--", "sh", "-c", script)
    stdout, stderr = started.process.communicate(timeout=WITHIN)
    assert (stdout, stderr) == (b"a\r\n\xff\0b 45%\r50%", b"e\n")
    job = started.job(stub, "SUCCEEDED")
    entries = {entry.message: plain(entry.data) for entry in list_logs(stub, job.id)}
    assert entries["e"] == {"stream": "stderr"} and entries["a"] == {}
    silent = run("--no-echo", "--quiet", "--", "echo", "heard elsewhere")
    assert silent.end() == (0, "", "")


@pytest.mark.parametrize(
    ("arguments", "script", "result"),
    [
        (["--result-file", "r"], "echo '{\"n\": 1}' >r; echo '{\"n\": 2}'", {"n": 1}),
        (["--result-file", "r"], "echo plain words >r", {"text": "plain words"}),
        ([], "echo '[1]' >$JOBPLANE_RESULT_FILE", {"value": [1.0]}),
        ([], "echo '{\"n\": 2}'; echo the end", {"n": 2}),
        ([], "echo the end", {}),
    ],
)
def test_the_result_is_the_file_or_the_last_object(run, stub, arguments, script, result):
    started = run(*arguments, "--type", "result", "--", "sh", "-c", script)
    assert started.end()[0] == 0
    assert plain(started.job(stub, "SUCCEEDED").status.result) == result


def quota(stub, name):
    """How the quota stands."""
    quotas = stub.call("AdminService/ListQuotas").quotas
    return next(quota for quota in quotas if quota.name == name)


def test_what_a_command_used_of_a_quota_is_told_while_it_runs_and_at_its_end(run, stub, queue, tmp_path):
    stub.call("AdminService/PutQuota", {"quota": {"name": queue, "limit": 1000, "period": "QUOTA_PERIOD_MONTH"}})
    go = tmp_path / "go"
    script = f"""
        echo '{{"quota_use": {{"{queue}": -1}}}}'
        echo '{{"rows": 1}}'
        echo '{{"quota_use": {{"{queue}": 240}}, "progress": {{"completed": 4, "total": 9}}}}'
        until [ -e {go} ]; do sleep 0.1; done
        echo '{{"quota_use": {{"{queue}": 200}}}}'
        printf '{{"quota_use": {{"{queue}": 310}}}}'"""
    one = run("--", "sh", "-c", script)
    job = one.job(stub, "RUNNING")
    wait_until(lambda: quota(stub, queue).usage.used == 240, WITHIN, "its use is counted")
    wait_until(lambda: get(stub, job.id).status.progress.completed == 4, WITHIN, "so is its progress")
    go.touch()
    assert one.end()[0] == 0
    job = one.job(stub, "SUCCEEDED")
    assert quota(stub, queue).usage.used == 310, "the last word, although it came with the end"
    assert dict(job.status.result) == {"rows": 1.0}
    wrong = f'{{"quota_use": {{"{queue}": -1}}}}'
    assert logs(stub, job.id) == [wrong, '{"rows": 1}'], "what cannot be read stands in the log"


def test_use_of_a_quota_that_nobody_knows_is_told_and_the_job_goes_on(run, stub):
    script = """for n in 1 2 3; do echo '{"quota_use": {"nobody-knows-it": '$n'}}'; sleep 0.7; done"""
    one = run("--", "sh", "-c", script)
    code, _, said = one.end()
    assert code == 0 and said.count("there is no quota nobody-knows-it") == 1, said
    one.job(stub, "SUCCEEDED")


def test_the_command_finds_its_job_in_its_environment(run, stub):
    script = "echo $JOBPLANE_JOB_ID $JOBPLANE_JOB_TYPE $JOBPLANE_ATTEMPT $JOBPLANE_LEASE_EPOCH"
    started = run(
        "--type", "env", "--label", "team=a", "--owner", "someone", "--subject", "s", "--external-id", "x-1",
        "--", "sh", "-c", script,
    )  # fmt: skip
    code, stdout, _ = started.end()
    job = started.job(stub, "SUCCEEDED")
    assert (code, stdout) == (0, f"{job.id} env 1 1\n")
    assert dict(job.spec.labels) == {"team": "a"}
    assert (job.spec.owner, job.spec.subject, job.spec.external_id) == ("someone", "s", "x-1")


def test_cancel_ends_the_whole_tree_within_two_seconds(run, built, server, stub, tmp_path):
    # A child, a grandchild, and one in a session of its own whose parent is gone.
    script = """
        sleep 300 & echo $! >>pids
        sh -c 'sleep 300 & echo $! >>pids; wait' &
        (setsid sh -c 'echo $$ >>pids; exec sleep 300' &)
        wait
    """
    started = run("--", "sh", "-c", script)
    job = started.job(stub, "RUNNING")
    file = tmp_path / "pids"
    pids = wait_until(
        lambda: (found := file.exists() and file.read_text().split()) and len(found) == 3 and found,
        WITHIN,
        "three processes",
    )
    assert not any(gone(pid) for pid in pids)
    began = time.monotonic()
    subprocess.run(
        [built, "cancel", job.id], env=environment(server.address), check=True, timeout=WITHIN,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    started.process.wait(WITHIN)
    took = time.monotonic() - began
    assert all(gone(pid) for pid in pids)
    # Two seconds on a machine that has nothing else to do.
    assert took < float(os.environ.get("JOBPLANE_TEST_CANCEL_SECONDS") or 8), took
    assert state(started.job(stub, "CANCELLED")) == "CANCELLED"


def test_a_time_out_is_one_whatever_the_command_makes_of_it(run, stub):
    started = run("--timeout", "1s", "--", "sh", "-c", "trap 'exit 0' TERM; sleep 300 & wait")
    assert started.end()[0] == 0
    assert started.job(stub, "FAILED").status.error.code == "TIMEOUT"


def test_memory_of_a_grandchild_is_seen_and_limited(run, stub):
    hold = "x = bytearray(200 << 20); import time; time.sleep(300)"
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{hold}'])"
    free = run("--type", "free", "--", sys.executable, "-c", script)
    job = free.job(stub, "RUNNING")

    def usage():
        used = get(stub, job.id).status.resource_usage.memory_bytes
        return used if used > 180 << 20 else None

    assert wait_until(usage, WITHIN, "more than 180 MiB") < 260 << 20
    free.process.send_signal(signal.SIGTERM)
    free.end()
    assert free.job(stub, "FAILED")
    bound = run("--type", "bound", "--memory", "100Mi", "--", sys.executable, "-c", script)
    code, _, stderr = bound.end()
    assert code == 143 and "100.0 MiB" in stderr, stderr
    jobs = [job for job in list_all(stub, bound.queue) if job.spec.type == "bound"]
    job = get(stub, jobs[0].id)
    assert (state(job), job.status.error.code) == ("FAILED", "RESOURCE_LIMIT")
    assert job.spec.limits.memory_bytes == 100 << 20


def test_a_fast_printer_loses_nothing(run, stub):
    started = run("--no-echo", "--quiet", "--progress", "off", "--", "seq", "1", "100000")
    assert started.end(4 * WITHIN)[0] == 0
    job = started.job(stub, "SUCCEEDED")

    def all_there():
        kept, gaps, after = [], {}, 0
        while True:
            request = {"job_id": job.id, "after_sequence": after, "page_size": 1000}
            page = stub.call("JobService/ListJobLogs", request)
            kept += [entry.message for entry in page.entries]
            gaps.update({gap.after_sequence: gap.dropped for gap in page.gaps})
            if not page.entries:
                break
            after = page.next_sequence
        # The server may let lines go while they are read.
        return kept if len(kept) + sum(gaps.values()) == 100_000 else None

    kept = wait_until(all_there, WITHIN, "each line is there or counted")
    assert kept[:1000] == [str(n) for n in range(1, 1001)]
    assert kept[-9000:] == [str(n) for n in range(91_001, 100_001)]


def test_a_server_that_is_away_costs_no_line(run, own_server, queue):
    lines = int(OUTAGE * 100)
    script = f"""
import time
for n in range({lines}):
    print(f"line {{n}}", flush=True)
    time.sleep(0.02)
"""
    started = run("--flush-timeout", "120s", "--", sys.executable, "-c", script, at=own_server.address)
    address = own_server.address
    stub = Stub(address)
    job = started.job(stub, "RUNNING")
    wait_until(lambda: logs(stub, job.id), WITHIN, "a line")
    stub.close()
    own_server.kill()
    time.sleep(OUTAGE)
    assert started.process.poll() is None, "the command goes on"
    own_server.start(listen=address)
    code, stdout, stderr = started.end(OUTAGE + 4 * WITHIN)
    assert code == 0 and "the command goes on" in stderr and "is back" in stderr, stderr
    stub = Stub(address)
    job = get(stub, job.id)
    assert (state(job), job.status.attempt) == ("SUCCEEDED", 1)
    assert logs(stub, job.id) == stdout.splitlines() == [f"line {n}" for n in range(lines)]
    stub.close()


def test_a_server_that_stays_away_is_told_and_the_code_is_the_command_s(
    run, own_server, tmp_path
):
    script = "until [ -e go ]; do sleep 0.1; done; echo end; exit 7"
    started = run("--flush-timeout", "1s", "--", "sh", "-c", script, at=own_server.address)
    stub = Stub(own_server.address)
    started.job(stub, "RUNNING")
    stub.close()
    own_server.kill()
    (tmp_path / "go").touch()
    code, stdout, stderr = started.end()
    assert (code, stdout) == (7, "end\n")
    assert "did not hear all of job" in stderr and "--flush-timeout" in stderr, stderr


def test_without_a_server_nothing_is_run(run, tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = "127.0.0.1:%d" % closed.getsockname()[1]
        code, _, stderr = run("--", "touch", "it-ran", at=address).end()
    assert code == 5 and "was not run" in stderr, stderr
    assert not (tmp_path / "it-ran").exists()


def test_one_of_two_with_the_same_key_is_refused(run, stub, tmp_path):
    first = run("--type", "unique", "--unique-key", "k", "--", "sh", "-c", "until [ -e go ]; do sleep 0.1; done")
    first.job(stub, "RUNNING")
    second = run("--type", "unique", "--unique-key", "k", "--", "touch", "it-ran")
    code, _, stderr = second.end()
    assert code == 4 and "was not run" in stderr, stderr
    assert not (tmp_path / "it-ran").exists()
    (tmp_path / "go").touch()
    assert first.end()[0] == 0


def test_a_reader_that_leaves_does_not_end_the_command(run, stub, tmp_path):
    started = run("--quiet", "--", "sh", "-c", "seq 1 20000; echo done >finished")
    started.process.stdout.readline()
    started.process.stdout.close()
    assert started.process.wait(2 * WITHIN) == 0
    assert (tmp_path / "finished").exists()
    job = started.job(stub, "SUCCEEDED")
    assert logs(stub, job.id)[-1] == "20000"


def test_ctrl_c_reaches_the_command_and_its_job_ends(built, server, stub, queue, tmp_path):
    script = "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.1; done"
    command = [built, "run", "--queue", queue, "--", "sh", "-c", script]
    terminal = Terminal(command, environment(server.address))
    try:
        terminal.until(lambda text: re.search(r"^ready", text, re.M), "it runs")
        terminal.type("\x03")
        assert terminal.ended() == 9
        assert "caught" in terminal.text()
    finally:
        terminal.close()
    (job,) = list_all(stub, queue)
    assert (state(job), job.status.error.code) == ("FAILED", "EXIT_9")


def test_the_signal_that_ended_the_command_does_not_end_the_wait_for_the_server(
    run, own_server, tmp_path
):
    stub = Stub(own_server.address)
    script = "until [ -e go ]; do sleep 0.1; done; echo done"
    started = run("--", "sh", "-c", script, at=own_server.address)
    job = started.job(stub, "RUNNING")
    os.kill(own_server.process.pid, signal.SIGSTOP)
    try:
        (tmp_path / "go").touch()
        assert started.process.stdout.readline() == b"done\n"
        # The terminal had told both, and the end was seen first.
        started.process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            started.process.wait(1)
    finally:
        os.kill(own_server.process.pid, signal.SIGCONT)
    assert started.end()[0] == 0
    assert state(get(stub, job.id)) == "SUCCEEDED"
    stub.close()


def test_sigterm_is_passed_on(run, stub):
    started = run("--", "sh", "-c", "trap 'exit 5' TERM; echo ready; while :; do sleep 0.1; done")
    assert started.process.stdout.readline() == b"ready\n"
    started.process.send_signal(signal.SIGTERM)
    code, _, _ = started.end()
    job = started.job(stub, "FAILED")
    assert (code, job.status.error.code) == (5, "EXIT_5")
    assert "SIGTERM" in job.status.error.message


@pytest.mark.parametrize(
    "flag", [("--memory", "much"), ("--cpu", "0%"), ("--timeout", "soon"), ("--label", "x")]
)
def test_wrong_flags_are_told_and_nothing_is_run(run, tmp_path, flag):
    code, _, stderr = run(*flag, "--", "touch", "it-ran").end()
    assert code == 2 and flag[0] in stderr, stderr
    assert not (tmp_path / "it-ran").exists()
