"""A watch of many jobs that goes on where it was, over kill -9 of the server."""

import threading
import time

import grpc

from reflect import Failed, Stub, state
from workers import create, list_all, start

ROUNDS = 4
LIVE = ("PENDING", "RUNNING")


class Mirror(threading.Thread):
    """Keeps a copy of the jobs of a queue, and holds what comes against what watches promise."""

    def __init__(self, server, schema, queue):
        super().__init__(daemon=True)
        self.server, self.schema, self.queue = server, schema, queue
        self.lock = threading.Lock()
        self.jobs, self.marks, self.live = {}, {}, set()
        self.token = ""
        self.snapshots = self.resumes = self.resets = 0
        self.wrong = []
        self.over = threading.Event()
        self.events = None

    def run(self):
        while not self.over.is_set():
            address = self.server.address
            if address is None:
                time.sleep(0.05)
                continue
            stub = Stub(address, like=self.schema)
            try:
                self.follow(stub)
            except Failed as failed:
                lost = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
                if failed.code not in lost:
                    self.wrong.append(failed)
                    return
                time.sleep(0.05)
            finally:
                stub.close()

    def follow(self, stub):
        wish = {"filter": {"queues": [self.queue]}, "resume_token": self.token}
        self.events = stub.watch("JobService/WatchJobs", wish, timeout=600)
        resumed = bool(self.token)
        # What was shown live, ahead of the disk, is known to the server that showed it alone.
        with self.lock:
            for job_id, mark in self.marks.items():
                self.marks[job_id] = mark[:2] if job_id in self.live else mark
        for message in self.events:
            with self.lock:
                if resumed:
                    self.resumes, resumed = self.resumes + 1, False
                self.take(message)

    def take(self, message):
        kind = message.WhichOneof("event")
        if kind == "upsert":
            for job in message.upsert.jobs:
                self.forward(job)
                self.jobs[job.id] = (state(job), job.status.revision)
                if state(job) not in LIVE:
                    self.wrong.append(f"{job.id} is {state(job)} and matches nothing")
        elif kind == "removed":
            if message.removed.HasField("job"):
                self.forward(message.removed.job)
            self.jobs.pop(message.removed.job_id, None)
        elif kind == "snapshot_end":
            self.snapshots += 1
            self.token = message.snapshot_end.resume_token
        elif kind == "bookmark":
            self.token = message.bookmark.resume_token
        elif kind == "reset":
            self.resets += 1
            self.jobs.clear()
            self.marks.clear()

    def forward(self, job):
        progress = job.status.progress
        mark = (job.status.revision, job.status.lease_epoch, progress.sequence)
        if self.marks.get(job.id, mark) > mark:
            self.wrong.append(f"{job.id}: {self.marks[job.id]} came before {mark}")
        self.marks[job.id] = mark
        (self.live.add if progress.live else self.live.discard)(job.id)

    def holds(self):
        with self.lock:
            return dict(self.jobs)

    def stop(self):
        self.over.set()
        if self.events is not None:
            self.events.cancel()
        self.join(30)


def until_equal(mirror, stub, queue):
    """Waits until the copy is what the server lists."""
    deadline = time.monotonic() + 60
    while True:
        wanted = {j.id: (state(j), j.status.revision) for j in list_all(stub, queue, states=LIVE)}
        held = mirror.holds()
        if held == wanted:
            return
        assert not mirror.wrong, mirror.wrong[:5]
        assert mirror.is_alive(), "the watch ended"
        assert time.monotonic() < deadline, (
            f"held, not there: {held.items() - wanted.items()};"
            f" there, not held: {wanted.items() - held.items()}"
        )
        time.sleep(0.05)


def change(stub, queue, rng, turn):
    """Creates, ends and deletes some jobs, and starts some that go on and tell how far they are."""
    made = [create(stub, queue, owner=f"turn-{turn}") for _ in range(30)]
    for job in rng.sample(made, 10):
        stub.call("JobService/CancelJob", {"job_id": job.id})
        if rng.random() < 0.5:
            stub.call("JobService/DeleteJob", {"job_id": job.id})
    for _ in range(5):
        given = start(stub, queue)
        lease = {"job_id": given.job.id, "lease_epoch": given.lease_epoch}
        report = {**lease, "progress": {"total": 10, "completed": rng.randrange(1, 10)}}
        stub.call("WorkerService/ReportJob", report)
        if rng.random() < 0.5:
            stub.call("WorkerService/CompleteJob", lease)


def test_a_watch_of_many_jobs_goes_on_over_kill_9(own_server, rng):
    server, queue = own_server, "watched"
    stub = Stub(server.address)
    schema = stub.schema
    mirror = Mirror(server, schema, queue)
    try:
        mirror.start()
        for turn in range(ROUNDS):
            change(stub, queue, rng, turn)
            if turn % 2 == 0:
                until_equal(mirror, stub, queue)
            stub.close()
            server.kill()
            server.start()
            stub = Stub(server.address, like=schema)
            # Some of it before the watcher is back.
            change(stub, queue, rng, turn)
            until_equal(mirror, stub, queue)
        assert not mirror.wrong, mirror.wrong[:5]
        assert (mirror.snapshots, mirror.resets) == (1, 0), "it never had to start over"
        assert mirror.resumes >= ROUNDS
    finally:
        mirror.stop()
        stub.close()


def test_a_database_of_another_program_is_refused(built, tmp_path):
    import sqlite3
    import subprocess

    path = tmp_path / "notes.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE notes (text TEXT)")
    database.close()
    before = path.read_bytes()
    done = subprocess.run(
        [built, "serve", "--listen", "127.0.0.1:0", "--database-url", f"sqlite://{path}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert "another program" in done.stderr + done.stdout
    assert path.read_bytes() == before
