"""kill -9 of the server in the middle of a thousand running jobs, again and again."""

import collections
import concurrent.futures
import time

from crew import Crew, fails_first
from reflect import Stub, enum, plain, state
from workers import list_all, list_logs

ROUNDS = 20
RUNNING = 1000
# Calls under way at once where there is one for each job.
READERS = 8


def test_nothing_acked_is_lost_and_every_job_finishes_once_over_twenty_crashes(
    own_server, tmp_path, rng
):
    server, queue = own_server, "crash"
    schema = Stub(server.address).schema
    crew = Crew(queue, schema, rng.randrange(2**32), hands=11, slots=100, live=1300)
    began = time.monotonic()
    crew.up(server.address)
    crew.begin()
    try:
        for turn in range(1, ROUNDS + 1):
            # Now and then while the workers still attach.
            crew.await_running(RUNNING if turn % 4 else rng.randrange(1, RUNNING))
            crew.await_acks(rng.randrange(4000))
            running = crew.running()
            crew.up(None)
            server.kill()
            with crew.lock:
                finished, created = crew.finished(), set(crew.created.values())
            if turn == ROUNDS:
                server.check_database(tmp_path / "after-the-crash")
            down = time.monotonic()
            server.start()
            ready = time.monotonic() - down
            crew.up(server.address)
            print(
                f"crash {turn}: {running} jobs running, {len(created)} created, {len(finished)}"
                f" finished; ready again after {ready:.2f} s; {time.monotonic() - began:.0f} s so far"
            )
            check_acked_states(server, schema, queue, created, finished)
        crew.await_the_end()
        crew.stop()
        check_history(server, schema, crew)
    finally:
        crew.stop()
    server.stop()
    server.check_database(tmp_path / "at-the-end")


def check_acked_states(server, schema, queue, created, finished):
    """Right after a restart: every acked create is there, every acked outcome stands."""
    stub = Stub(server.address, like=schema)
    try:
        states = {job.id: state(job) for job in list_all(stub, queue)}
    finally:
        stub.close()
    assert not created - states.keys(), "acked creates are missing"
    assert {states[job] for job in finished} <= {"SUCCEEDED"}, "acked outcomes are undone"


def check_history(server, schema, crew, adopted=RUNNING):
    """Compares all that was acknowledged with what the server has in the end; so many jobs were taken over at least."""
    assert not crew.surprises, crew.surprises[:10]
    print(
        f"{len(crew.created)} jobs, acks {dict(crew.acked)}, {crew.adopted} adoptions,"
        f" {crew.resent_outcomes} outcomes sent again, {crew.repeats_found} repeated creates found"
    )
    stub = Stub(server.address, like=schema)
    try:
        jobs = {job.id: job for job in list_all(stub, crew.queue, view="FULL")}
        assert jobs.keys() == set(crew.created.values()), (
            "each acked create is one job, and no other"
        )
        assert len(jobs) == len(crew.created), "no two request ids share a job"
        check_outcomes(crew, jobs)
        check_attempts(stub, jobs)
        check_lines(stub, crew, jobs)
    finally:
        stub.close()
    assert crew.adopted >= adopted, "workers reattached"


def check_outcomes(crew, jobs):
    accepted = collections.defaultdict(list)
    for (job_id, epoch), (kind, content) in crew.outcomes.items():
        accepted[job_id].append((epoch, kind, content))
    for job_id, job in jobs.items():
        number = int(job.spec.payload["n"])
        outcomes = sorted(accepted[job_id], key=lambda outcome: outcome[0])
        expected = ["failed", "succeeded"] if fails_first(number) else ["succeeded"]
        assert [kind for _, kind, _ in outcomes] == expected, (job_id, outcomes)
        epoch, _, content = outcomes[-1]
        assert state(job) == "SUCCEEDED"
        assert job.status.lease_epoch == epoch
        assert job.status.attempt == len(expected), "releases use no attempt"
        assert plain(job.status.result) == content["result"]
        assert job.status.progress.completed == job.status.progress.total


def check_attempts(stub, jobs):
    """The jobs that failed once have exactly that in their history."""
    failing = [job_id for job_id, job in jobs.items() if job.status.attempt > 1]
    for job_id in failing:
        attempts = stub.call("JobService/ListJobAttempts", {"job_id": job_id}).attempts
        outcomes = [enum(attempt, "outcome") for attempt in attempts]
        used = [outcome for outcome in outcomes if outcome != "RELEASED"]
        assert used == ["FAILED", "SUCCEEDED"], (job_id, outcomes)


def check_lines(stub, crew, jobs):
    """Every acked line is there once, in order, and there is none that nobody wrote."""
    with concurrent.futures.ThreadPoolExecutor(READERS) as readers:
        found = readers.map(lambda job_id: (job_id, list_logs(stub, job_id)), jobs)
    for job_id, entries in found:
        sequences = [entry.sequence for entry in entries]
        assert sequences == sorted(set(sequences)), job_id
        lines = collections.Counter((entry.lease_epoch, entry.message) for entry in entries)
        assert set(lines.values()) <= {1}, (job_id, "a line was written twice", lines)
        assert not set(crew.lines[job_id]) - lines.keys(), (job_id, "an acked line is missing")
        assert lines.keys() <= crew.sent_lines[job_id], (job_id, "a line that nobody wrote")
