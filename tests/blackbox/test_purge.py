"""Retention: what is over and old goes, by hand and by itself, is archived before, and nothing else goes."""

import json
import shutil
import sqlite3
import subprocess

import pytest

from commands import answer
from postgres import Postgres
from reflect import Stub
from server import Server, wait_until

OK, USAGE, REFUSED = 0, 2, 4
DAY = 86_400_000_000
SOON = 60.0


@pytest.fixture(params=["sqlite", "postgres"])
def server(request, built, tmp_path):
    """A server that is to be started, over each kind of database."""
    if request.param == "sqlite":
        cluster, server = None, Server(tmp_path)
    else:
        cluster = Postgres(tmp_path / "postgres").start()
        cluster.create("purge")
        server = Server(tmp_path, cluster.url("purge"))
    server.cluster = cluster
    try:
        yield server
        server.stop()
    finally:
        if server.process is not None:
            server.kill()
        if cluster is not None:
            cluster.stop()


@pytest.fixture
def target(server):
    """The server over the database of the test."""
    return server


def submit(jobplane, job_type, *flags):
    """Makes a job, and gives its id."""
    return answer(jobplane("submit", job_type, *flags, "-o", "json"))["job"]["id"]


def ids(jobplane):
    """The jobs that are there."""
    return {job["id"] for job in answer(jobplane("list", "-n", "1000", "-o", "json")).get("jobs", [])}


def age(server, days):
    """Everything that is over ended so many days earlier, in the database of a server that is down."""
    aged = (
        f"UPDATE job_status SET end_time = end_time - {days * DAY},"
        f" purge_time = purge_time - {days * DAY} WHERE state >= 2"
    )
    if server.cluster is not None:
        server.cluster.execute(aged, "purge")
        return
    with sqlite3.connect(server.database) as file:
        file.execute(aged)
    file.close()


def over(jobplane, job_type, *flags):
    """Makes a job that is over."""
    job = submit(jobplane, job_type, *flags)
    assert jobplane("cancel", job).returncode == OK
    return job


def audited(server, action):
    """How many jobs each such purge took away, as the audit has it."""
    stub = Stub(server.address)
    try:
        events = stub.call("AdminService/ListAuditEvents", {"actions": [action]}).events
        return [event.after["jobs"] for event in events]
    finally:
        stub.close()


def test_purge_counts_then_takes_what_is_old_and_over(server, jobplane, tmp_path):
    server.start("--retention-jobs", "365d")
    old = {over(jobplane, "sync", "--label", "k=v") for _ in range(3)}
    waits = submit(jobplane, "sync")
    server.stop()
    age(server, 40)
    server.start("--retention-jobs", "365d", "--archive", tmp_path / "archive")
    young = over(jobplane, "sync")
    assert ids(jobplane) == old | {waits, young}

    dry = jobplane("purge", "--dry-run")
    assert dry.returncode == OK and dry.stdout.startswith("3 jobs that ended before"), dry.stderr
    assert ids(jobplane) == old | {waits, young}, "a dry run takes nothing away"
    assert answer(jobplane("purge", "--days", "60", "-o", "json")).get("count", "0") == "0"
    assert answer(jobplane("purge", "--state", "failed", "-o", "json")).get("count", "0") == "0"
    assert answer(jobplane("purge", "--days", "30", "-o", "json"))["count"] == "3"
    assert ids(jobplane) == {waits, young}
    assert answer(jobplane("purge", "-o", "json")).get("count", "0") == "0"
    assert audited(server, "purge_jobs") == ["3"], "what took nothing away is no deed"
    assert {job["job"]["id"] for job in archived(tmp_path / "archive")} == old

    for wrong in (["--days", "0"], ["--days", "366"], ["--days", "-1"], ["--state", "asleep"]):
        assert jobplane("purge", *wrong).returncode == USAGE, wrong
    refused = jobplane("purge", "--state", "running")
    assert refused.returncode == USAGE or "states[0]" in refused.stderr, refused.stderr
    server.stop()
    if server.cluster is None:
        server.check_database(tmp_path / "after")


def archived(folder):
    """The jobs in an archive, unpacked by the program that everybody has."""
    if shutil.which("zstd") is None:
        pytest.skip("no zstd to read the archive with")
    lines = []
    for file in sorted(folder.glob("*.jsonl.zst")):
        text = subprocess.run(["zstd", "-dcq", file], check=True, capture_output=True, text=True)
        lines += [json.loads(line) for line in text.stdout.splitlines()]
    return lines


def test_the_retention_runs_by_itself_and_keeps_what_a_type_keeps(server, jobplane):
    server.start()
    over(jobplane, "sync")
    over(jobplane, "backup")
    kept = over(jobplane, "books")
    server.stop()
    age(server, 8)
    server.start(
        "--purge-every", "1m",
        "--retention-jobs", "30d",
        "--retention-type", "sync=7d,backup@cancelled=8d",
        "--retention-state", "failed=1d",
    )  # fmt: skip
    wait_until(lambda: ids(jobplane) == {kept}, SOON, "what is due goes by itself")
    wait_until(lambda: audited(server, "retention") == ["2"], SOON, "it is audited")
    stub = Stub(server.address)
    try:
        loops = stub.call("AdminService/GetServerInfo").loops
        told = {loop.name: loop.last_result for loop in loops}["retention"]
        assert told.startswith("ok") and "2 jobs" in told, told
    finally:
        stub.close()


def test_settings_that_cannot_be_are_refused_at_the_start(built, tmp_path):
    for flags in (
        ["--retention-jobs", "1h"],
        ["--retention-type", "sync=400d"],
        ["--purge-every", "1s"],
        ["--purge-time-zone", "Mars/Base"],
        ["--archive", "/proc/nowhere"],
    ):
        done = subprocess.run(
            [built, "serve", "--listen", "127.0.0.1:0", "--database-url", tmp_path / "x.db", *flags],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode != OK, flags
