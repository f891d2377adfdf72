"""Events and the audit: what happened, who did what, on the command line."""

import json
import signal
import subprocess
import threading

from commands import answer, environment
from server import wait_until

OK, USAGE, REFUSED = 0, 2, 4


def cancelled(jobplane, job_type, reason):
    """A job that was cancelled."""
    job = answer(jobplane("submit", job_type, "-o", "json"))["job"]["id"]
    done = jobplane("cancel", job, "--reason", reason)
    assert done.returncode == OK, done.stderr
    return job


def test_what_happened_is_listed_filtered_and_gone_on_from(jobplane):
    nothing = jobplane("events")
    assert nothing.returncode == OK and "nothing happened" in nothing.stderr
    first = cancelled(jobplane, "sync", "disk")
    second = cancelled(jobplane, "backup", "late")
    listed = answer(jobplane("events", "-o", "json"))
    assert [event["jobId"] for event in listed["events"]] == [first, second]
    assert {event["name"] for event in listed["events"]} == {"job_cancelled"}
    table = jobplane("events", "--type", "backup")
    assert table.returncode == OK
    assert "job_cancelled" in table.stdout and "by anonymous: late" in table.stdout
    assert "disk" not in table.stdout
    last = answer(jobplane("events", "-n", "1", "-o", "json"))
    assert [event["jobId"] for event in last["events"]] == [second]
    third = cancelled(jobplane, "sync", "again")
    on = answer(jobplane("events", "--after", listed["nextId"], "-o", "json"))
    assert [event["jobId"] for event in on["events"]] == [third]
    listed = jobplane("events", "--all", "-o", "jsonl")
    assert "go on with --after " in listed.stderr
    lines = listed.stdout.splitlines()
    assert [json.loads(line)["jobId"] for line in lines] == [first, second, third]
    assert "no such event" in jobplane("events", "--name", "job_failed").stderr
    assert jobplane("events", "--name", "job_bored").returncode == USAGE
    refused = jobplane("events", "--after", "17")
    assert refused.returncode in (USAGE, REFUSED) and "after_id" in refused.stderr


def test_events_are_followed_as_they_happen_and_across_a_restart(
    built, jobplane, own_server
):
    address = own_server.address
    cancelled(jobplane, "sync", "before")
    follower = subprocess.Popen(
        [built, "events", "-f", "-n", "0", "-o", "jsonl"],
        env=environment(own_server),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    seen = []

    def read():
        for line in follower.stdout:
            seen.append(json.loads(line)["jobId"])

    reader = threading.Thread(target=read)
    reader.start()
    try:
        wanted = []

        def both():
            # Who follows from now on sees nothing of what was before it asked.
            wanted.append(cancelled(jobplane, "sync", "meanwhile"))
            return bool(seen)

        wait_until(both, 30, "an event is followed")
        own_server.kill()
        own_server.start(listen=address)
        wanted.append(cancelled(jobplane, "sync", "after"))
        wait_until(lambda: seen[-1:] == wanted[-1:], 60, "the follower goes on")
        assert seen == wanted[-len(seen) :], "none is missed, none comes twice"
    finally:
        follower.send_signal(signal.SIGINT)
        assert follower.wait(30) == OK, "Ctrl-C is how one stops it"
        reader.join(30)
        follower.stdout.close()
        follower.stderr.close()


def test_the_audit_tells_who_did_what(jobplane):
    job = cancelled(jobplane, "sync", "disk")
    assert jobplane("retry", job).returncode == OK
    paused = jobplane("queue", "pause", "bulk", "--reason", "full")
    assert paused.returncode == OK, paused.stderr
    listed = answer(jobplane("audit", "-o", "json"))["events"]
    assert [deed["action"] for deed in listed] == ["update_queue", "retry_job", "cancel_job"]
    assert listed[2]["before"]["state"] == "PENDING"
    assert listed[2]["after"]["state"] == "CANCELLED"
    assert (listed[2]["reason"], listed[0]["reason"]) == ("disk", "full")
    table = jobplane("audit", "--job", job)
    assert table.returncode == OK
    assert "state CANCELLED → PENDING" in table.stdout and "disk" in table.stdout
    assert "cancelled job" in table.stdout and "retried job" in table.stdout, table.stdout
    assert "paused queue" not in table.stdout
    [line] = jobplane("audit", "--action", "update_queue").stdout.splitlines()[1:]
    assert "paused queue  bulk" in line and "full" in line, line
    assert "update_queue" in jobplane("audit", "-o", "wide").stdout
    assert len(answer(jobplane("audit", "--type", "sync", "-o", "json"))["events"]) == 2
    assert len(answer(jobplane("audit", "-n", "1", "-o", "json"))["events"]) == 1
    assert "events" not in answer(jobplane("audit", "--actor", "eve", "-o", "json"))
    assert "events" not in answer(jobplane("audit", "--until", "1h", "-o", "json"))
    assert len(answer(jobplane("audit", "--since", "1h", "-o", "json"))["events"]) == 3
    assert jobplane("audit", "--action", "look_away").returncode == USAGE
