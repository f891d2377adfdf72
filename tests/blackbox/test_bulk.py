"""Commands to many jobs from the command line, and that a server killed in the middle goes on where it was."""

import signal
import subprocess

import pytest

from commands import answer
from reflect import Stub
from server import wait_until

OK, USAGE, REFUSED, INTERRUPTED = 0, 2, 4, 130
JOBS = 400
RATE = 100.0
SOON = 120.0


@pytest.fixture
def api(own_server):
    """Calls of the test's own server, which may come back elsewhere."""
    schema = Stub(own_server.address).schema
    held = []

    def call(name, request=None):
        if not held or held[0] != own_server.address:
            held[:] = [own_server.address, Stub(own_server.address, like=schema)]
        return held[1].call(name, request or {})

    yield call
    if held:
        held[1].close()


def make(api, job_type, count):
    """Makes jobs that wait."""
    requests = [{"spec": {"type": job_type}} for _ in range(count)]
    results = api("JobService/BatchCreateJobs", {"requests": requests}).results
    return [result.created.job.id for result in results]


def listed(api, **filters):
    """All jobs that match."""
    jobs, token = [], ""
    while True:
        page = api("JobService/ListJobs", {"filter": filters, "page_size": 1000, "page_token": token})
        jobs += page.jobs
        token = page.next_page_token
        if not token:
            return jobs


def count(api, job_type, state):
    """How many jobs of a type are in a state."""
    return len(listed(api, types=[job_type], states=[f"JOB_STATE_{state}"]))


def test_a_filter_is_counted_shown_asked_for_and_done(jobplane, api):
    make(api, "sync", 130)
    make(api, "other", 2)
    dry = jobplane("cancel", "--filter", "type=sync", "--filter", "state=pending", "--dry-run")
    assert dry.returncode == OK, dry.stderr
    assert "130 jobs would be cancelled" in dry.stdout and "… and 110 more" in dry.stdout
    asked = jobplane("cancel", "--filter", "type=sync")
    assert asked.returncode == USAGE and "--yes" in asked.stderr, asked.stderr
    many = jobplane("cancel", "--filter", "type=sync", "--yes", "--expect-max", "100")
    assert many.returncode == REFUSED and "130 jobs match" in many.stderr, many.stderr
    assert "raise --expect-max" in many.stderr
    assert count(api, "sync", "PENDING") == 130, "nothing was done so far"

    done = jobplane("cancel", "--filter", "type=sync", "--yes", "--wait", "--reason", "a bad deploy")
    assert done.returncode == OK, done.stderr
    assert (count(api, "sync", "CANCELLED"), count(api, "other", "PENDING")) == (130, 2)

    few = answer(jobplane("retry", "--filter", "type=sync,nothing", "--yes", "--wait", "-o", "json"))
    assert few["job"]["status"]["progress"]["succeeded"] == "130", few
    jobplane("cancel", "--filter", "type=sync", "--yes", "--wait")
    gone = jobplane("delete", "--filter", "type=sync", "--filter", "since=1h", "--yes", "--wait")
    assert gone.returncode == OK, gone.stderr
    assert [job.spec.type for job in listed(api)] == ["other", "other"]

    nothing = jobplane("delete", "--filter", "type=sync")
    assert nothing.returncode == OK and "nothing was done" in nothing.stderr, nothing
    for wrong in (
        ["cancel", "--filter", "colour=red"],
        ["cancel", "--filter", "type=sync", "--rate", "0.0001", "--dry-run"],
        ["delete", "--filter", "state=running", "--dry-run"],
        ["cancel"],
        ["cancel", "--dry-run"],
        ["retry", "0190a5d0-ac96-774b-bcce-b302099a8057", "--filter", "type=sync"],
    ):
        assert jobplane(*wrong).returncode == USAGE, wrong


def test_a_server_that_is_killed_goes_on_and_touches_each_job_once(own_server, api):
    meant = set(make(api, "sync", JOBS))
    begun = api(
        "JobService/BulkCancelJobs",
        {"filter": {"types": ["sync"]}, "expected_max": JOBS, "rate": RATE, "reason": "test"},
    )
    assert begun.count == JOBS
    for _ in range(2):
        before = count(api, "sync", "CANCELLED")
        wait_until(lambda: count(api, "sync", "CANCELLED") > before + 20, SOON, "it goes on")
        own_server.kill()
        own_server.start()
        assert count(api, "sync", "CANCELLED") < JOBS, "killed in the middle"

    def job():
        return api("JobService/GetJob", {"job_id": begun.job.id}).job

    wait_until(lambda: job().status.end_time.seconds, SOON, "it comes to its end")
    progress = job().status.progress
    assert (progress.total, progress.succeeded, progress.failed) == (JOBS, JOBS, 0), progress
    jobs = listed(api, types=["sync"])
    assert {job.id for job in jobs} == meant
    assert {job.status.revision for job in jobs} == {2}, "each was touched once"
    asked = {"actions": ["cancel_job", "bulk_cancel_jobs"], "page_size": 1000}
    stub = Stub(own_server.address)
    deeds = stub.call("AdminService/ListAuditEvents", asked).events
    stub.close()
    told = [deed.job_id for deed in deeds if deed.action == "cancel_job"]
    assert (len(told), set(told)) == (JOBS, meant), "each stands in the audit once"
    assert [deed.reason for deed in deeds if deed.action == "bulk_cancel_jobs"] == ["test"]


def test_ctrl_c_ends_the_wait_and_not_the_command(built, own_server, api):
    make(api, "sync", 60)
    command = [built, "--endpoint", own_server.address, "cancel", "--filter", "type=sync"]
    waiting = subprocess.Popen(
        [*command, "--rate", "1", "--wait"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    job = waiting.stdout.readline().split()[0]
    assert waiting.stdout.readline(), "it is followed"
    waiting.send_signal(signal.SIGINT)
    _, said = waiting.communicate(timeout=30)
    assert waiting.returncode == INTERRUPTED, said
    assert f"stop it with `jobplane cancel {job}`" in said
    wait_until(lambda: count(api, "sync", "CANCELLED") > 1, 30, "it goes on")
