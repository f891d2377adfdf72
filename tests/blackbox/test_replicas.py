"""Several equal servers over one PostgreSQL: any call on any of them, and what happens when one dies."""

import collections
import os
import random
import secrets
import threading
import time

import grpc
import pytest

from conftest import SEED
from crew import Crew
from fleet import Fleet
from postgres import Postgres
from reflect import Failed, Stub, enum, plain, state
from test_crash import check_history
from test_watch_jobs import Mirror
from workers import Worker, create, get, key, list_all

# The whole of it takes minutes: CI runs a short one. It goes on until the time is over and so many jobs are done.
CHAOS_SECONDS = float(os.environ.get("JOBPLANE_CHAOS_SECONDS", "20"))
CHAOS_JOBS = int(os.environ.get("JOBPLANE_CHAOS_JOBS", "0"))
# Ten jobs a second are done however slow the machine is.
LIMIT = 5 * CHAOS_SECONDS + CHAOS_JOBS / 10
POLL_NEVER = ("--poll-interval", "1h")
TERMINAL = ("SUCCEEDED", "FAILED", "CANCELLED", "SKIPPED")


@pytest.fixture(scope="module")
def postgres(built, tmp_path_factory):
    """One PostgreSQL for all tests of this file."""
    postgres = Postgres(tmp_path_factory.mktemp("postgres"))
    try:
        yield postgres.start()
    finally:
        postgres.stop()


@pytest.fixture
def fleet(postgres, tmp_path):
    """Starts servers over a database of their own."""
    started = []

    def start(count, *flags):
        url = postgres.create(f"test_{secrets.token_hex(6)}")
        fleet = Fleet(tmp_path, url, count, *flags)
        started.append(fleet)
        return fleet.start()

    yield start
    for fleet in started:
        fleet.stop()


@pytest.fixture
def three(fleet):
    """Three servers that hear of each other by hints alone, and a connection to each."""
    servers = fleet(3, *POLL_NEVER).servers
    schema = Stub(servers[0].address).schema
    stubs = [Stub(server.address, like=schema) for server in servers]
    yield stubs
    for stub in stubs:
        stub.close()


def until(events, wanted, within=30.0):
    """Reads a WatchJob until `wanted` says yes to a status; gives it."""
    deadline = time.monotonic() + within
    for event in events:
        kind = event.WhichOneof("event")
        if kind in ("snapshot", "update"):
            status = event.snapshot.job.status if kind == "snapshot" else event.update.status
            if wanted(status):
                return status
        assert time.monotonic() < deadline, f"not within {within} s"
    raise AssertionError("the watch ended")


def short(status):
    """The short name of a status' state."""
    return enum(status, "state")


def test_a_job_is_created_run_and_watched_on_three_servers(three, queue):
    a, b, c = three
    worker = Worker(b, queue)
    worker.attach()
    job = create(a, queue)
    assignment = worker.assignment()
    assert assignment.job.id == job.id
    events = c.watch("JobService/WatchJob", {"job_id": job.id, "min_interval": "0s"})
    until(events, lambda status: short(status) == "RUNNING")
    worker.update(assignment, progress={"total": 10, "completed": 4})
    until(events, lambda status: status.progress.completed == 4)
    assert get(c, job.id).status.progress.completed == 4
    done = worker.update(assignment, succeeded={"result": {"by": "b"}})
    assert worker.acked(done) is None
    # Whoever was told of the ack finds it wherever it looks.
    for stub in three:
        assert state(get(stub, job.id)) == "SUCCEEDED"
    assert plain(until(events, lambda status: short(status) == "SUCCEEDED").result) == {"by": "b"}
    worker.leave()


def test_a_cancel_on_one_server_reaches_the_worker_on_another(three, queue):
    a, b, c = three
    worker = Worker(b, queue)
    worker.attach()
    job = create(a, queue)
    assignment = worker.assignment()
    c.call("JobService/CancelJob", {"job_id": job.id, "reason": "enough"})
    asked = worker.expect("cancel_request")
    assert (asked.job_id, asked.reason) == (job.id, "enough")
    worker.acked(worker.update(assignment, cancelled={}))
    assert state(get(a, job.id)) == "CANCELLED"
    worker.leave()


def test_a_worker_takes_its_jobs_along_to_another_server(three, queue):
    a, b, _ = three
    worker = Worker(a, queue)
    worker.attach()
    job = create(b, queue)
    assignment = worker.assignment()
    before = worker.conversation
    worker.stub = b
    welcome = worker.attach(running=[key(assignment)])
    assert [each.job_id for each in welcome.adopted] == [job.id]
    # The stream that it left behind is told so.
    with pytest.raises(Failed) as ended:
        while True:
            before.receive(40)
    assert ended.value.reason == "SESSION_SUPERSEDED"
    done = worker.update(assignment, succeeded={})
    assert worker.acked(done) is None
    assert get(a, job.id).status.lease_epoch == 1
    worker.leave()


def test_a_watch_goes_on_on_another_server(three, queue):
    a, b, c = three
    first, second = create(a, queue), create(b, queue)
    wish = {"filter": {"queues": [queue]}}
    token, held = None, set()
    events = a.watch("JobService/WatchJobs", wish)
    for event in events:
        kind = event.WhichOneof("event")
        if kind == "upsert":
            held |= {job.id for job in event.upsert.jobs}
        if kind == "snapshot_end":
            token = event.snapshot_end.resume_token
            break
    events.cancel()
    assert held == {first.id, second.id}
    third = create(c, queue)
    b.call("JobService/CancelJob", {"job_id": first.id})
    changed, gone = set(), set()
    events = b.watch("JobService/WatchJobs", {**wish, "resume_token": token})
    for event in events:
        kind = event.WhichOneof("event")
        assert kind not in ("reset", "snapshot_end"), kind
        if kind == "upsert":
            changed |= {job.id for job in event.upsert.jobs}
        if kind == "removed":
            gone.add(event.removed.job_id)
        if kind == "bookmark":
            break
    events.cancel()
    assert (changed, gone) == ({third.id}, {first.id})


def test_every_server_lists_all_workers(three, queue):
    a, b, c = three
    workers = [Worker(stub, queue, worker_id=f"{queue}-{i}") for i, stub in enumerate((a, b))]
    for worker in workers:
        worker.attach()
    wanted = {worker.worker_id for worker in workers}
    for stub in three:
        found = stub.call("AdminService/ListWorkers", {"queues": [queue]}).workers
        assert {worker.worker_id for worker in found} == wanted
    for worker in workers:
        worker.leave()


def test_a_server_that_stood_still_past_its_leases_does_nothing_stale(fleet, queue):
    fleet = fleet(2)
    frozen, other = fleet.servers
    schema = Stub(other.address).schema
    here, there = (Stub(server.address, like=schema) for server in (frozen, other))
    worker = Worker(here, queue, lease_ttl="10s")
    worker.attach()
    job = create(there, queue)
    assignment = worker.assignment()
    fleet.freeze(frozen)
    # Its worker, too, is not heard of: the job goes to another one.
    second = Worker(there, queue, worker_id="second")
    second.attach()
    again = second.assignment(timeout=60)
    assert again.job.id == job.id
    assert again.lease_epoch == assignment.lease_epoch + 1
    fleet.thaw(frozen)
    # What the first one said meanwhile is refused, and it is told.
    refused = worker.update(assignment, succeeded={"result": {"by": "first"}})
    assert worker.acked(refused, timeout=60).reason == "STALE_LEASE"
    assert second.acked(second.update(again, succeeded={"result": {"by": "second"}})) is None
    for stub in (here, there):
        job = get(stub, job.id)
        assert (state(job), plain(job.status.result)) == ("SUCCEEDED", {"by": "second"})
    for each in (worker, second):
        each.leave()
    for stub in (here, there):
        stub.close()


class Follower(threading.Thread):
    """Watches one job after the other to its end, on any server, going on elsewhere when one dies."""

    def __init__(self, crew, seed):
        super().__init__(daemon=True)
        self.crew, self.random = crew, random.Random(seed)
        self.ends = {}
        self.wrong = []
        self.stub = None

    def run(self):
        while not self.crew.over:
            job_id = self.crew.unfinished(self.random)
            if job_id is None:
                time.sleep(0.1)
            elif job_id not in self.ends:
                self.follow(job_id)
        if self.stub:
            self.stub.close()

    def follow(self, job_id):
        mark, live = (0, 0, 0), False
        while True:
            self.stub = self.stub or self.crew.connect()
            if self.stub is None:
                return
            events = self.stub.watch("JobService/WatchJob", {"job_id": job_id}, LIMIT)
            status = None
            # What was shown live, ahead of the disk, is known to the server that showed it alone.
            mark = mark[:2] if live else mark
            try:
                for event in events:
                    kind = event.WhichOneof("event")
                    if kind not in ("snapshot", "update"):
                        continue
                    status = event.snapshot.job.status if kind == "snapshot" else event.update.status
                    now = (status.revision, status.lease_epoch, status.progress.sequence)
                    if now < mark:
                        self.wrong.append(f"{job_id}: {mark} came before {now}")
                    mark, live = now, status.progress.live
                if status is None or short(status) not in TERMINAL:
                    self.wrong.append(f"{job_id}: the watch ended well, and the job has not")
                else:
                    self.ends[job_id] = (short(status), status.revision)
                return
            except Failed as failed:
                self.stub.close()
                self.stub = None
                if failed.code not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
                    self.wrong.append(f"{job_id}: {failed!r}")
                    return
                time.sleep(0.05)


def test_nothing_is_lost_or_done_twice_while_servers_die(fleet, queue, rng):
    fleet = fleet(3)
    schema = Stub(fleet.address).schema
    many = CHAOS_SECONDS >= 60 or CHAOS_JOBS >= 1000
    # Short jobs, for there to be many of them; then each worker has many, for what costs is the workers.
    size = dict(hands=6, slots=200, live=1300, at_once=25, steps=1, steps_per_second=100)
    crew = Crew(
        queue,
        schema,
        rng.randrange(2**32),
        **(size if many else dict(hands=4, slots=100, live=400, at_once=5)),
    )
    crew.at(fleet.addresses)
    followers = [Follower(crew, rng.randrange(2**32)) for _ in range(90 if many else 15)]
    mirrors = [Mirror(fleet, schema, queue) for _ in range(10 if many else 3)]
    began, killed = time.monotonic(), 0
    crew.begin()
    for thread in (*followers, *mirrors):
        thread.start()
    try:
        while True:
            with crew.lock:
                crew.changed.wait_for(lambda: crew.surprises, rng.uniform(2, 4))
                assert not crew.surprises, crew.surprises[:10]
                done = len(crew.succeeded)
            passed = time.monotonic() - began
            if passed >= CHAOS_SECONDS and done >= CHAOS_JOBS:
                break
            assert passed < LIMIT, f"{done} of {CHAOS_JOBS} jobs are done after {passed:.0f} s"
            victim = rng.choice(fleet.servers)
            fleet.kill(victim)
            killed += 1
            print(
                f"{time.monotonic() - began:.0f} s: {victim.folder.name} killed;"
                f" acks {dict(crew.acked)}"
            )
            fleet.restart(victim)
        crew.await_the_end()
        took = time.monotonic() - began
        stub = Stub(fleet.address, like=schema)
        for mirror in mirrors:
            settle(mirror)
        crew.stop()
        for follower in followers:
            follower.join(60)
            assert not follower.is_alive(), "a watcher hangs"
        check_history(fleet, schema, crew, adopted=1)
        jobs = {job.id: job for job in list_all(stub, queue)}
        ends = collections.Counter()
        for follower in followers:
            assert not follower.wrong, follower.wrong[:5]
            for job_id, end in follower.ends.items():
                assert end == (state(jobs[job_id]), jobs[job_id].status.revision)
                ends[end[0]] += 1
        check_figures(stub, queue, jobs)
        print(
            f"JOBPLANE_SEED={SEED}: {killed} kills in {took:.0f} s; {len(jobs)} jobs; ends seen by"
            f" {sum(1 for follower in followers if follower.ends)} of {len(followers)} followers:"
            f" {dict(ends)}; {len(mirrors)} mirrors of all jobs:"
            f" {sum(m.resumes for m in mirrors)} resumes, {sum(m.resets for m in mirrors)} resets"
        )
        assert all(follower.ends for follower in followers) and killed
        stub.close()
    finally:
        crew.stop()
        for mirror in mirrors:
            mirror.stop()


def settle(mirror):
    """A mirror of what is live holds nothing when all is over."""
    deadline = time.monotonic() + 60
    while mirror.holds():
        assert not mirror.wrong, mirror.wrong[:5]
        assert mirror.is_alive(), "the watch ended"
        assert time.monotonic() < deadline, f"still held: {list(mirror.holds().items())[:5]}"
        time.sleep(0.05)
    assert not mirror.wrong, mirror.wrong[:5]


def check_figures(stub, queue, jobs):
    """The counters are a recount of the rows."""
    stats = stub.call("JobService/GetStats", {"queues": [queue]}).totals
    counted = {enum(each, "state"): each.count for each in stats.counts}
    assert counted == dict(collections.Counter(state(job) for job in jobs.values()))
