"""Real input: the sources of a standard library, hashed through jobplane, one job a file."""

import collections
import hashlib
import pathlib
import shutil
import subprocess
import sysconfig
import threading

import pytest

from reflect import plain, state
from server import wait_until
from workers import create_many, list_all

FILES = 400
WATCHED = 40
PENDING, SUCCEEDED = 1, 3  # JobState
WORKERS = ("hasher-1", "hasher-2", "hasher-3")


@pytest.fixture
def files(tmp_path):
    """Copies of real source files, the largest ones among them."""
    library = pathlib.Path(sysconfig.get_path("stdlib"))
    sources = [path for path in library.rglob("*.py") if "site-packages" not in path.parts]
    sources.sort(key=lambda path: path.stat().st_size, reverse=True)
    assert len(sources) >= FILES
    chosen = sources[:50] + sources[50 :: len(sources) // (FILES - 50)][: FILES - 50]
    folder = tmp_path / "files"
    folder.mkdir()
    for number, path in enumerate(chosen):
        shutil.copyfile(path, folder / f"{number:04}-{path.name}")
    return sorted(folder.iterdir())


class Watcher(threading.Thread):
    """Follows one job; keeps the states and the bytes that it saw."""

    def __init__(self, stub, job_id):
        super().__init__(daemon=True)
        self.events = stub.watch("JobService/WatchJob", {"job_id": job_id, "include_logs": True})
        self.began = threading.Event()
        self.statuses = []
        self.lines = []
        self.ended_well = False

    def run(self):
        for event in self.events:
            if event.HasField("snapshot"):
                self.statuses.append(event.snapshot.job.status)
            elif event.HasField("update"):
                self.statuses.append(event.update.status)
            elif event.HasField("logs"):
                self.lines += [entry.message for entry in event.logs.entries]
            self.began.set()
        self.ended_well = True


def test_three_workers_hash_real_files_and_every_hash_is_right(script, stub, queue, files):
    ids = create_many(stub, queue, len(files), lambda i: {"payload": {"path": str(files[i])}})
    watchers = [Watcher(stub, job_id) for job_id in ids[:: len(ids) // WATCHED]]
    for watcher in watchers:
        watcher.start()
    for watcher in watchers:
        assert watcher.began.wait(30)
    hashers = [script("hash_worker.py", queue, name) for name in WORKERS]
    for hasher in hashers:
        assert hasher.stdout.readline() == "ready\n"
    for hasher in hashers:
        hasher.stdin.write("go\n")

    def counts():
        stats = stub.call("JobService/GetStats", {"queues": [queue]})
        return {count.state: count.count for count in stats.totals.counts}

    done = {SUCCEEDED: len(files)}
    wait_until(lambda: counts() == done, 120, "the counters say that all is done")
    for hasher in hashers:
        hasher.stdin.close()
        assert hasher.wait(30) == 0

    jobs = {job.id: job for job in list_all(stub, queue, view="FULL")}
    assert jobs.keys() == set(ids)
    sums = subprocess.run(
        ["sha256sum", *files], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    by_path = {line.split("  ", 1)[1]: line.split("  ", 1)[0] for line in sums}
    for job_id, path in zip(ids, files, strict=True):
        job, content = jobs[job_id], path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        assert (state(job), job.status.attempt, job.status.lease_epoch) == ("SUCCEEDED", 1, 1)
        assert plain(job.status.result) == {"sha256": digest, "bytes": len(content)}
        assert by_path[str(path)] == digest
        assert job.status.progress.completed == len(content)
    done_by = collections.Counter(job.status.worker_id for job in jobs.values())
    print(f"{len(files)} files, by worker: {dict(done_by)}")
    assert set(done_by) == set(WORKERS), "all three took part"

    total = sum(path.stat().st_size for path in files)
    stats = stub.call("JobService/GetStats", {"queues": [queue]})
    assert stats.totals.finished_total == len(files)
    assert stats.totals.day.succeeded == len(files)
    assert stats.totals.day.counters["bytes"] == total
    for watcher in watchers:
        check_watch(stub, watcher)


def check_watch(stub, watcher):
    """It began before the work, never went back, ended by itself with the last state and every line."""
    watcher.join(30)
    assert watcher.ended_well
    states = [status.state for status in watcher.statuses]
    assert states == sorted(states) and (states[0], states[-1]) == (PENDING, SUCCEEDED), states
    revisions = [status.revision for status in watcher.statuses]
    assert revisions == sorted(revisions)
    done = [status.progress.completed for status in watcher.statuses if status.HasField("progress")]
    assert done == sorted(done)
    assert len(watcher.lines) == 1
