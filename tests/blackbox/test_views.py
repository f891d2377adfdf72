"""The views of the command line: lists, summaries and what is drawn live on a terminal."""

import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from commands import environment
from proxy import Proxy
from reflect import Stub
from server import wait_until
from terminal import Terminal
from workers import create, get, lease, start

OK, JOB_FAILED, USAGE, NOT_FOUND, UNREACHABLE, TIMED_OUT = 0, 1, 2, 3, 5, 124
INTERRUPTED, TERMINATED = 130, 143
WITHIN = 30.0


@pytest.fixture
def target(server):
    """The server that all tests share."""
    return server


@pytest.fixture
def terminal(built, server):
    """Starts a command in a terminal of its own."""
    started = []

    def begin(*arguments, to=server, **settings):
        terminal = Terminal([built, *arguments], environment(to), **settings)
        started.append(terminal)
        return terminal

    yield begin
    for terminal in started:
        terminal.close()


@pytest.fixture
def streaming(built, server):
    """Starts a command whose output is read line by line."""
    started = []

    def begin(*arguments, to=server):
        process = subprocess.Popen(
            [built, *map(str, arguments)],
            env=environment(to),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.communicate()


def report(stub, run, completed, total=2847, **progress):
    progress = {"completed": completed, "total": total, **progress}
    stub.call("WorkerService/ReportJob", {**lease(run), "progress": progress})


def complete(stub, run):
    stub.call("WorkerService/CompleteJob", lease(run))


def fail(stub, run, code="DISK_FULL", message="no space left"):
    error = {"code": code, "message": message}
    stub.call("WorkerService/FailJob", {**lease(run), "error": error})


# --- lists -------------------------------------------------------------------------------------


def test_active_shows_how_far_running_jobs_are_and_waiting_ones_on_demand(jobplane, stub, queue):
    run = start(stub, queue, type="sync")
    report(stub, run, 1523, current_step="copy", step_number=2, step_count=3)
    waiting = create(stub, queue, type="later")
    line = next(
        line for line in jobplane("active", "-q", queue).stdout.splitlines() if run.job.id in line
    )
    assert "1523/2847 (53.5 %)" in line and "RUNNING" in line and "step 2/3 copy" in line
    assert waiting.id not in jobplane("active", "-q", queue).stdout
    both = jobplane("active", "-q", queue, "--pending").stdout
    assert both.index(run.job.id) < both.index(waiting.id), "what runs comes first"
    wide = jobplane("active", "-q", queue, "-o", "wide").stdout
    assert "PRIORITY" in wide and queue in wide
    documents = json.loads(jobplane("active", "-q", queue, "-o", "json").stdout)
    assert [job["id"] for job in documents["jobs"]] == [run.job.id]
    lines = jobplane("active", "-q", queue, "--pending", "-o", "jsonl").stdout.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [run.job.id, waiting.id]


def test_history_compares_with_the_usual_run_and_knows_failures(jobplane, stub, queue):
    kind = f"type-{queue[-8:]}"
    for _ in range(2):
        run = start(stub, queue, type=kind)
        report(stub, run, 90, total=100, succeeded=88, failed=2)
        time.sleep(0.15)  # What is measured is how long the run took.
        complete(stub, run)
    failing = start(stub, queue, type=kind)
    fail(stub, failing)
    start(stub, queue, type=kind)

    shown = jobplane("history", kind)
    lines = shown.stdout.splitlines()
    assert len(lines) == 4, shown.stdout
    assert failing.job.id in lines[1] and "FAILED" in lines[1] and "no space left" in lines[1]
    assert all("90/100 (90.0 %)" in line and " 88 " in line and " 2 " in line for line in lines[2:])
    assert all(re.search(r"[+±-]\d+ %", line) for line in lines[2:]), shown.stdout

    failed = jobplane("history", "--failed", "-q", queue, "--since", "24h", "--limit", "20")
    assert [line.split()[0] for line in failed.stdout.splitlines()[1:]] == [failing.job.id]
    assert jobplane("history", kind, "--limit", "1", "-o", "jsonl").stdout.count("\n") == 1
    limited = jobplane("history", kind, "--limit", "1")
    assert "1 of 3 jobs shown" in limited.stderr
    later = jobplane("history", kind, "--since", "2100-01-01T00:00:00Z")
    assert (later.returncode, later.stdout) == (OK, "")
    assert "no job that is over" in later.stderr and "jobplane active" in later.stderr


def test_summary_has_a_line_for_each_type(jobplane, stub, queue):
    kind = f"type-{queue[-8:]}"
    done = start(stub, queue, type=kind)
    complete(stub, done)
    fail(stub, start(stub, queue, type=kind))
    last = start(stub, queue, type=kind, owner="ann")
    report(stub, last, 1523)

    shown = jobplane("summary", "--type", kind)
    (line,) = [line for line in shown.stdout.splitlines() if line.startswith(kind)]
    assert "RUNNING" in line and "1523/2847 (53.5 %)" in line and re.search(r" 1  -$", line), line
    wide = jobplane("summary", "--type", kind, "-o", "wide").stdout
    assert "LAST SUCCESS" in wide and last.job.id in wide
    (document,) = json.loads(jobplane("summary", "-t", kind, "-o", "json").stdout)["summaries"]
    assert document["failedLastDay"] == "1"
    # Narrowed by anything else, the figures are those of these jobs.
    (document,) = json.loads(
        jobplane("summary", "-t", kind, "--owner", "ann", "-o", "json").stdout
    )["summaries"]
    assert "failedLastDay" not in document and document["lastJob"]["id"] == last.job.id
    nobody = jobplane("summary", "-t", kind, "--owner", "nobody")
    assert (nobody.returncode, nobody.stdout) == (OK, "") and "no type of job" in nobody.stderr


def test_all_views_take_the_same_filters(jobplane, stub, queue):
    flags = [
        "--type", "blackbox,other", "--category", "none", "--state", "running", "-s", "JOB_STATE_FAILED",
        "--queue", queue, "--label", "a=b", "--owner", "o", "--since", "24h", "--limit", "5",
    ]  # fmt: skip
    for command in ("list", "active", "history", "summary"):
        for form in ("table", "wide", "json", "jsonl"):
            done = jobplane(command, *flags, "-o", form)
            assert done.returncode == OK, (command, form, done.stderr)
            if form in ("table", "wide"):
                assert done.stdout == "" and "jobplane: no " in done.stderr, (command, done)
    done = jobplane("watch", *flags, "--until-done")
    assert done.returncode == OK, done.stderr
    for command in ("list", "active", "history", "summary", "watch"):
        done = jobplane(command, "--state", "done")
        assert done.returncode == USAGE and "must be one of pending" in done.stderr, command
        done = jobplane(command, "--since", "yesterday")
        assert done.returncode == USAGE and "such as 2h or 7d" in done.stderr, command


def test_a_term_filters_every_view_like_its_flag(jobplane, stub, queue):
    done = start(stub, queue, owner="ann", labels={"env": "prod"})
    complete(stub, done)
    runs = start(stub, queue, owner="bob")
    create(stub, queue, owner="cid")

    def ids(command, *terms):
        flags = [word for term in (f"queue={queue}", *terms) for word in ("--filter", term)]
        shown = jobplane(command, *flags, "-o", "jsonl")
        assert shown.returncode == OK, shown.stderr
        return [json.loads(line)["id"] for line in shown.stdout.splitlines()]

    assert len(ids("list")) == 3
    assert ids("list", "label=env=prod") == [done.job.id]
    assert ids("list", "owner=bob", "since=1h", f"worker={runs.job.status.worker_id}") == [runs.job.id]
    assert ids("list", f"id={runs.job.id},{done.job.id}", "state=succeeded") == [done.job.id]
    assert ids("list", "trigger=schedule") == [] and ids("list", "until=1h") == []
    assert sorted(ids("list", "state=running,succeeded")) == sorted([runs.job.id, done.job.id])
    assert ids("active") == [runs.job.id] and len(ids("active", "state=pending,running")) == 2
    assert ids("history") == [done.job.id] and ids("history", "owner=bob") == []
    watched = jobplane("watch", "--filter", f"queue={queue}", "--filter", "owner=ann", "--until-done",
                       "--filter", "state=succeeded", "-o", "jsonl")  # fmt: skip
    assert watched.returncode == OK and done.job.id in watched.stdout, watched
    assert runs.job.id not in watched.stdout
    for command in ("list", "active", "history", "summary", "watch", "top"):
        for wrong, said in (("colour=red", "no filter by"), ("state=asleep", "must be one of pending")):
            refused = jobplane(command, "--filter", wrong)
            assert refused.returncode == USAGE and said in refused.stderr, (command, refused)
    # Nobody is asked: what contradicts itself is wrong wherever the server is.
    for command in ("list", "active", "history", "summary", "watch"):
        for words in (("--filter", "owner=ann", "--filter", "owner=bob"), ("--owner", "ann", "--filter", "owner=bob")):
            refused = jobplane("--endpoint", "127.0.0.1:1", command, *words)
            assert refused.returncode == USAGE and "--filter owner=bob: cannot be used with" in refused.stderr, refused
            assert " ".join(words[:2]) in refused.stderr, refused
    for command in ("cancel", "retry", "delete"):
        refused = jobplane(command, "--filter", "label=env=a", "--filter", "label=env=b", "--dry-run")
        assert refused.returncode == USAGE, refused
        assert "--filter label=env=b: cannot be used with --filter label=env=a" in refused.stderr, refused
    for command, flag in (("active", "--pending"), ("history", "--failed")):
        refused = jobplane(command, flag, "--filter", "state=running")
        assert refused.returncode == USAGE and flag in refused.stderr, refused
    both = jobplane("watch", done.job.id, "--filter", "owner=ann")
    assert both.returncode == USAGE, both


# --- one job -----------------------------------------------------------------------------------


def test_status_tells_the_state_by_its_exit_code(jobplane, stub, queue):
    waiting = create(stub, queue)
    running, succeeded, failed = (start(stub, queue) for _ in range(3))
    report(stub, running, 1523)
    complete(stub, succeeded)
    fail(stub, failed)
    cancelled = create(stub, queue)
    stub.call("JobService/CancelJob", {"job_id": cancelled.id})
    for job, code, word in (
        (succeeded.job, 0, "SUCCEEDED"), (failed.job, 1, "FAILED"), (waiting, 10, "PENDING"),
        (running.job, 11, "RUNNING"), (cancelled, 12, "CANCELLED"),
    ):  # fmt: skip
        done = jobplane("status", job.id, "--exit-code")
        assert (done.returncode, len(done.stdout.splitlines())) == (code, 1), done
        assert word in done.stdout and job.id in done.stdout
        assert jobplane("status", job.id).returncode == OK
    missing = "01890a5d-ac96-774b-bcce-b302099a8057"
    done = jobplane("status", missing, "--exit-code")
    assert done.returncode == NOT_FOUND and "jobplane list" in done.stderr


def test_a_job_may_be_named_by_a_part_of_its_id(jobplane, stub, queue):
    job = create(stub, queue)
    for part in (job.id[-8:], job.id[:30], job.id.replace("-", "")[:30], job.id[-12:].upper()):
        done = jobplane("get", part, "-o", "json")
        assert done.returncode == OK, (part, done.stderr)
        assert json.loads(done.stdout)["job"]["id"] == job.id
    assert jobplane("cancel", job.id[-8:]).returncode == OK
    assert get(stub, job.id).status.state == 5, "cancelled"

    others = [create(stub, queue) for _ in range(2)]
    done = jobplane("delete", others[0].id[:8])
    assert done.returncode == USAGE and "may be any of several jobs" in done.stderr
    assert "write more of the id" in done.stderr
    done = jobplane("get", "ffffffffffff")
    assert done.returncode == NOT_FOUND and "jobplane list" in done.stderr
    done = jobplane("get", "123")
    assert done.returncode == USAGE and "at least 8 digits" in done.stderr


# --- live --------------------------------------------------------------------------------------


def bar(text):
    """How full the first bar is, in eighths of a letter."""
    line = next((line for line in text.splitlines() if "RUNNING" in line), "")
    eighths = {letter: count for count, letter in enumerate(" ▏▎▍▌▋▊▉█")}
    return sum(eighths.get(letter, 0) for letter in line if letter != " ")


def test_a_live_table_moves_fits_and_gives_the_terminal_back(terminal, stub, queue):
    run = start(stub, queue, type="sync")
    report(stub, run, 300)
    create(stub, queue, type="later")
    view = terminal("watch", "--queue", queue)
    view.until(lambda text: "300/2847 (10.5 %)" in text, "the job is shown")
    before = bar(view.text())
    assert "1 running   1 waiting" in view.text()
    report(stub, run, 2000, message="photos")
    view.until(lambda text: "2000/2847 (70.2 %)" in text, "the job is further")
    assert bar(view.text()) > before, "its bar is longer"

    view.size(60, 8)
    view.until(lambda text: "2000/2847" in text and len(view.lines()) == 8, "a smaller screen")
    view.until(lambda text: text.count("RUNNING") <= 1 and "JOB" in text, "one frame only")
    view.size(120, 30)
    view.until(lambda text: "photos" in text, "a larger screen shows what it does")

    complete(stub, run)
    view.until(lambda text: "1 succeeded" in text and "SUCCEEDED" in text, "it ended")
    view.type("\x03")
    assert view.ended() == OK, "Ctrl-C is how one stops it"
    assert view.restored()
    assert "1 succeeded" in view.text(), "what was there last stays on the screen"


@pytest.mark.parametrize(("by", "code"), [(signal.SIGTERM, TERMINATED), (signal.SIGINT, INTERRUPTED)])
def test_a_signal_before_the_jobs_are_done_is_no_success(terminal, stub, queue, by, code):
    start(stub, queue)
    view = terminal("watch", "--queue", queue, "--until-done")
    view.until(lambda text: "RUNNING" in text, "the job is shown")
    os.kill(view.process.pid, by)
    assert view.ended() == code
    assert view.restored()


def test_a_stopped_view_gives_the_terminal_back_and_comes_again(terminal, stub, queue):
    start(stub, queue, type="sync")
    view = terminal("watch", "--queue", queue)
    view.until(lambda text: "RUNNING" in text, "the job is shown")
    os.kill(view.process.pid, signal.SIGTSTP)
    wait_until(lambda: process_state(view.process.pid) == "T", WITHIN, "it stops")
    while view.raw.count(b"\x1b[?1049l") == 0:
        view.read()
    assert view.restored()
    os.kill(view.process.pid, signal.SIGCONT)
    view.until(lambda text: view.raw.count(b"\x1b[?1049h") == 2 and "RUNNING" in text, "it is back")
    view.type("\x03")
    assert view.ended() == OK and view.restored()


def process_state(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0]


def test_the_live_table_outlives_the_server(terminal, own_server, schema):
    before, after = Stub(own_server.address, like=schema), None
    job = create(before, "q", type="sync")
    proxy = Proxy(own_server.address)
    try:
        view = terminal("watch", to=proxy)
        view.until(lambda text: job.id[-8:] in text, "the job is shown")
        own_server.kill()
        view.until(lambda text: "lost the server" in text, "the break is told")
        assert job.id[-8:] in view.text(), "what is known is still shown"
        own_server.start()
        after = Stub(own_server.address, like=schema)
        another = create(after, "q", type="later")
        proxy.lead_to(own_server.address)
        view.until(
            lambda text: "lost" not in text and job.id[-8:] in text and another.id[-8:] in text,
            "it goes on where it was",
        )
        view.type("\x03")
        assert view.ended() == OK and view.restored()
    finally:
        proxy.close()
        before.close()
        if after:
            after.close()


def test_a_summary_is_watched(terminal, stub, queue):
    kind = f"type-{queue[-8:]}"
    run = start(stub, queue, type=kind)
    view = terminal("summary", "--type", kind, "--watch", "--interval", "200ms")
    view.until(lambda text: "RUNNING" in text and kind in text, "the type is shown")
    complete(stub, run)
    view.until(lambda text: "SUCCEEDED" in text, "it is looked at again")
    view.type("\x03")
    assert view.ended() == OK and view.restored()


def test_a_watched_summary_outlives_the_server(terminal, own_server, schema):
    stub = Stub(own_server.address, like=schema)
    proxy = Proxy(own_server.address)
    try:
        create(stub, "q", type="sync")
        view = terminal("summary", "--watch", "--interval", "200ms", to=proxy)
        view.until(lambda text: "sync" in text, "the type is shown")
        own_server.kill()
        view.until(lambda text: "lost the server" in text, "the break is told")
        assert "sync" in view.text(), "what is known is still shown"
        own_server.start()
        proxy.lead_to(own_server.address)
        view.until(lambda text: "lost" not in text and "sync" in text, "it goes on")
        view.type("\x03")
        assert view.ended() == OK and view.restored()
    finally:
        proxy.close()
        stub.close()


def test_figures_are_shown_whole_however_narrow_the_terminal(terminal, stub, queue):
    kind = f"a.type/with-a-long-name-{queue[-8:]}" + "-and-more" * 5
    run = start(stub, queue, type=kind)
    report(stub, run, 1523)
    for columns in (40, 60, 80, 120):
        for view in ("active", "list", "stats", "summary", "queues", "workers"):
            shown = terminal(view, columns=columns, lines=300)
            assert shown.ended() == OK, shown.text()
            titles = shown.lines()[0].split()
            assert titles and not any("…" in title for title in titles), shown.text()
            # Names may be cut, ids among them; a figure may not, and nothing down to its mark alone.
            cut = re.compile(r"(^|\s)[\d.,:/%]*…")
            assert not any(cut.search(line) for line in shown.lines()), shown.text()


def test_no_color_is_honoured(terminal, stub, queue, monkeypatch):
    start(stub, queue)
    monkeypatch.setenv("NO_COLOR", "1")
    view = terminal("watch", "--queue", queue)
    view.until(lambda text: "RUNNING" in text, "the job is shown")
    view.type("\x03")
    assert view.ended() == OK
    assert not re.search(rb"\x1b\[\d*m", view.raw)


def test_a_watch_of_many_prints_changes_until_all_is_done(streaming, stub, queue):
    first, second = start(stub, queue, type="sync"), start(stub, queue, type="backup")
    watch = streaming("watch", "--queue", queue, "--until-done")
    lines = [watch.stdout.readline() for _ in range(2)]
    assert all("RUNNING" in line for line in lines), lines
    report(stub, first, 1523)
    line = watch.stdout.readline()
    assert first.job.id in line and "53.5%" in line
    complete(stub, first)
    fail(stub, second)
    rest, errors = watch.communicate(timeout=60)
    assert watch.returncode == JOB_FAILED, errors
    assert "SUCCEEDED" in rest and "no space left" in rest
    assert "\x1b" not in rest and "\r" not in rest

    third = start(stub, queue)
    watch = streaming("watch", "--queue", queue, "--until-done", "-o", "jsonl")
    events = [json.loads(watch.stdout.readline()) for _ in range(2)]
    assert events[0]["upsert"]["jobs"][0]["id"] == third.job.id
    assert events[1]["snapshotEnd"]["resumeToken"]
    complete(stub, third)
    rest, errors = watch.communicate(timeout=60)
    assert watch.returncode == OK, errors
    ended = [json.loads(line) for line in rest.splitlines()]
    states = [event["removed"]["job"]["status"]["state"] for event in ended if "removed" in event]
    assert states == ["JOB_STATE_SUCCEEDED"]


def test_a_watch_of_nothing_says_so_and_ends_on_time(jobplane, queue):
    done = jobplane("watch", "--queue", queue, "--timeout", "1s")
    assert (done.returncode, done.stdout) == (TIMED_OUT, "")
    assert f"no job in queue {queue} yet; waiting" in done.stderr and "next: " in done.stderr
    done = jobplane("watch", "01890a5d-ac96-774b-bcce-b302099a8057", "--queue", queue)
    assert done.returncode == USAGE and "cannot be used with" in done.stderr


def test_a_list_on_a_terminal_fits_it_and_is_whole_when_wide(terminal, stub, queue):
    job = create(stub, queue, type="a-type-with-a-rather-long-name", owner="somebody")
    view = terminal("list", "--queue", queue, columns=80)
    assert view.ended() == OK
    (line,) = [line for line in view.lines() if job.id in line]
    assert "PENDING" in line and len(line) <= 80
    view = terminal("list", "--queue", queue, "-o", "wide", columns=300)
    assert view.ended() == OK
    assert "somebody" in view.text() and queue in view.text()


# --- errors ------------------------------------------------------------------------------------


def answering(answer):
    """A server on a free port that answers each connection with these bytes."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(WITHIN)

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(WITHIN)
                try:
                    connection.recv(16)
                    connection.sendall(answer)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(4096):
                        pass
                except OSError:
                    pass

    threading.Thread(target=serve, daemon=True).start()
    return listener


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "an HTTP server answers there"),
        (b"<!DOCTYPE HTML>\n<html><title>Error response</title></html>", "an HTTP server answers"),
        (bytes([0x15, 3, 1, 0, 2, 2, 0x46]), "the server there wants TLS"),
        (b"SSH-2.0-OpenSSH_9.9\r\n", "speaks neither HTTP nor gRPC"),
    ],
)
def test_who_answers_instead_of_the_server_is_told(jobplane, answer, said):
    listener = answering(answer)
    try:
        endpoint = f"127.0.0.1:{listener.getsockname()[1]}"
        for command in (("list",), ("watch",), ("watch", "01890a5d-ac96-774b-bcce-b302099a8057")):
            done = jobplane(*command, "--endpoint", endpoint)
            assert done.returncode == UNREACHABLE, done
            assert said in done.stderr and endpoint in done.stderr and "next: " in done.stderr, done
    finally:
        listener.close()


def test_a_server_that_takes_calls_and_never_answers_is_told_as_that(jobplane):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        endpoint = f"127.0.0.1:{mute.getsockname()[1]}"
        job = "01890a5d-ac96-774b-bcce-b302099a8057"
        for command in (("list",), ("watch",), ("watch", job), ("logs", "-f", job)):
            done = jobplane(*command, "--timeout", "500ms", "--endpoint", endpoint)
            assert done.returncode == TIMED_OUT, done
            assert f"no answer from http://{endpoint}" in done.stderr, done
            assert "it may have been done" not in done.stderr, done
        done = jobplane("cancel", job, "--timeout", "500ms", "--endpoint", endpoint)
        assert done.returncode == TIMED_OUT and "it may have been done" in done.stderr, done


def test_what_cannot_be_reached_is_told_with_what_to_do(jobplane):
    for endpoint, code, said in (
        ("127.0.0.1:1", UNREACHABLE, "jobplane serve"),
        ("no-such-host.invalid:1", UNREACHABLE, "how the host is written"),
        ("https://localhost:50051", USAGE, "without TLS"),
        ("ftp://localhost", USAGE, "write http://host:port"),
    ):
        done = jobplane("list", "--endpoint", endpoint)
        assert (done.returncode, said in done.stderr) == (code, True), done.stderr


# --- shells ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell", "elvish"])
def test_completions_name_the_commands(jobplane, shell):
    done = jobplane("completions", shell)
    assert done.returncode == OK
    assert all(word in done.stdout for word in ("history", "summary", "until-done"))


def test_bash_takes_its_completions(jobplane, tmp_path):
    script = tmp_path / "jobplane.bash"
    script.write_text(jobplane("completions", "bash").stdout)
    ask = (
        f"source {script}; COMP_WORDS=(jobplane summ); COMP_CWORD=1; "
        'COMP_LINE="jobplane summ"; _jobplane jobplane summ jobplane; echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, timeout=30)
    assert done.stdout.split() == ["summary"], done


def test_bash_knows_the_states(jobplane, tmp_path):
    script = tmp_path / "jobplane.bash"
    script.write_text(jobplane("completions", "bash").stdout)
    ask = (
        f"source {script}; COMP_WORDS=(jobplane list --state ca); COMP_CWORD=3; "
        '_jobplane jobplane ca --state; echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, timeout=30)
    assert done.stdout.split() == ["cancelled"], done


def test_the_manual_has_a_page_for_each_command(jobplane, tmp_path):
    page = jobplane("man")
    assert page.returncode == OK and ".TH jobplane 1" in page.stdout
    done = jobplane("man", "--dir", tmp_path / "new" / "man1")
    assert done.returncode == OK, done.stderr
    pages = {path.name for path in (tmp_path / "new" / "man1").iterdir()}
    assert {"jobplane.1", "jobplane-watch.1", "jobplane-history.1"} <= pages
    assert "until" in (tmp_path / "new" / "man1" / "jobplane-watch.1").read_text()
    (tmp_path / "file").write_text("")
    done = jobplane("man", "--dir", tmp_path / "file")
    assert done.returncode == USAGE and "cannot write" in done.stderr
