"""Types: declared by a file, shown, switched, triggered, and run by their schedule."""

import json
import secrets

import pytest

from commands import answer
from reflect import Stub
from server import ROOT, wait_until

OK, USAGE, NOT_FOUND, REFUSED = 0, 2, 3, 4


def state(job):
    """The state of a job, in short."""
    return job["status"]["state"].removeprefix("JOB_STATE_")


def apply(jobplane, definitions, *flags):
    """Applies definitions, and gives the steps."""
    done = jobplane("apply", "-f", "-", "-o", "json", *flags, stdin=json.dumps(definitions))
    return [(step["action"], step["kind"], step["name"]) for step in answer(done)["steps"]]


def jobs(jobplane, job_type):
    """The jobs of a type, the newest first."""
    return answer(jobplane("list", "--type", job_type, "-o", "json")).get("jobs", [])


def test_the_example_shows_every_field_and_is_applied_twice(jobplane):
    example = ROOT / "docs" / "types.yaml"
    dry = jobplane("apply", "-f", example, "--dry-run")
    assert dry.returncode == OK, dry.stderr
    assert "+ type video_sync" in dry.stdout and "would be: 6 created" in dry.stderr
    assert "types" not in answer(jobplane("types", "-o", "json")), "a dry run changes nothing"

    done = jobplane("apply", "-f", example)
    assert done.returncode == OK, done.stderr
    assert "6 created, 0 changed" in done.stderr
    again = jobplane("apply", "-f", example, "--prune")
    assert again.returncode == OK, again.stderr
    assert (again.stdout, "7 as they were" in again.stderr) == ("", True)

    shown = answer(jobplane("types", "video_sync", "-o", "json"))["jobType"]
    assert shown["schedule"]["timeZone"] == "Europe/Berlin"
    assert shown["origin"] == "JOB_TYPE_ORIGIN_DECLARED" and shown["canTrigger"]
    queues = {queue["name"]: queue for queue in answer(jobplane("queues", "-o", "json"))["queues"]}
    assert queues["bulk"]["maxRunning"] == "20"


def test_a_file_is_what_the_server_becomes(jobplane):
    assert apply(jobplane, {"types": [{"type": "a"}, {"type": "b", "category": "sync"}]}) == [
        ("create", "type", "a"), ("create", "type", "b"),
    ]  # fmt: skip
    changed = {"types": [{"type": "b", "category": "backup"}]}
    assert apply(jobplane, changed) == [("change", "type", "b")]
    assert apply(jobplane, changed) == []
    assert apply(jobplane, changed, "--prune") == [("delete", "type", "a")]
    listed = answer(jobplane("types", "--category", "backup", "-o", "json"))["jobTypes"]
    assert [one["type"] for one in listed] == ["b"]


def test_what_is_wrong_with_a_file_is_told_at_once(jobplane):
    wrong = {"types": [{"type": "a", "schedule": {"cron": "61 * * * *"}}, {"type": "b", "colour": 1}]}
    done = jobplane("apply", "-f", "-", stdin=json.dumps(wrong))
    assert done.returncode == USAGE
    assert "types[0].schedule.cron" in done.stderr and "types[1].colour" in done.stderr
    quota = {"types": [{"type": "a", "quota_costs": {"nobody": 1}}]}
    done = jobplane("apply", "-f", "-", stdin=json.dumps(quota))
    assert done.returncode == USAGE and "there is no such quota" in done.stderr, done.stderr


def test_sizes_and_rates_are_written_as_people_say_them(jobplane):
    def job_type(memory, rate):
        limits = {"memory_bytes": memory}
        return {"types": [{"type": "sized", "defaults": {"limits": limits}, "start_rate": rate}]}

    assert apply(jobplane, job_type("1.5Gi", "100/h")) == [("create", "type", "sized")]
    assert apply(jobplane, job_type(3 << 29, {"count": 100, "period": "1h"})) == []
    told = jobplane("types", "sized", "-o", "json")
    assert json.loads(told.stdout)["jobType"]["defaults"]["limits"]["memoryBytes"] == str(3 << 29)
    shown = jobplane("types", "sized").stdout
    assert 'memory_bytes: "1536Mi"' in shown and 'start_rate: "100/h"' in shown, shown
    # What is shown is a type of a file.
    lines = [line for line in shown.splitlines() if not line.startswith("#")]
    again = "types:\n  -\n" + "".join(f"    {line}\n" for line in lines)
    same = jobplane("apply", "-f", "-", "--dry-run", "-o", "json", stdin=again)
    assert same.returncode == 0 and answer(same)["steps"] == [], same
    wrong = jobplane("apply", "-f", "-", stdin=json.dumps(job_type("lots", "10/s")))
    assert wrong.returncode == USAGE, wrong
    assert "types[0].defaults.limits.memory_bytes: must be a number of bytes, or a size like" in wrong.stderr
    wrong = jobplane("apply", "-f", "-", stdin=json.dumps(job_type("1Mi", "often")))
    assert wrong.returncode == USAGE and "types[0].start_rate: must be a rate like 10/s" in wrong.stderr, wrong
    paced = jobplane("queue", "set", "paced", "--start-rate", "5/min")
    assert paced.returncode == 0 and "starts 5/min, up to 5 at once" in paced.stderr, paced


def test_a_quota_that_is_missing_stops_an_apply_before_it_begins(jobplane):
    wrong = {"types": [{"type": "a1"}, {"type": "a2", "quota_costs": {"api": 3}}]}
    for flags in (["--dry-run"], []):
        done = jobplane("apply", "-f", "-", *flags, stdin=json.dumps(wrong))
        assert done.returncode == USAGE and "there is no such quota" in done.stderr, done.stderr
        assert done.stdout == ""
    assert jobplane("types", "a1").returncode == NOT_FOUND, "nothing was done"

    quota = {"quotas": {"api": {"limit": 5}}}
    apply(jobplane, quota | wrong)
    done = jobplane("apply", "-f", "-", "--prune", stdin=json.dumps(wrong))
    assert done.returncode == USAGE and "--prune" in done.stderr, done.stderr
    # A file that keeps nothing is asked about, and nobody is there to ask.
    nothing = json.dumps({"queues": {"q": {"max_running": 1}}})
    asked = jobplane("apply", "-f", "-", "--prune", stdin=nothing)
    assert asked.returncode == USAGE and "--yes" in asked.stderr, asked.stderr
    assert jobplane("quota", "api").returncode == OK
    gone = jobplane("apply", "-f", "-", "--prune", "--yes", stdin=nothing)
    assert gone.returncode == OK and "3 deleted" in gone.stderr, gone.stderr
    assert jobplane("quota", "api").returncode == NOT_FOUND
    empty = jobplane("apply", "-f", "-", stdin="# nothing\n")
    assert empty.returncode == USAGE and "says nothing" in empty.stderr


def test_an_apply_leaves_alone_what_was_switched_off(jobplane):
    definitions = {
        "queues": {"bulk": {"max_running": 3}},
        "types": [{"type": "sync", "schedule": {"cron": "0 4 * * *"}}],
    }
    apply(jobplane, definitions)
    assert jobplane("queue", "pause", "bulk", "--reason", "a fire").returncode == OK
    assert jobplane("types", "disable", "sync").returncode == OK
    assert apply(jobplane, definitions) == []
    definitions["queues"]["bulk"]["max_running"] = 4
    assert apply(jobplane, definitions) == [("change", "queue", "bulk")]
    [bulk] = answer(jobplane("queues", "-o", "json"))["queues"]
    assert (bulk["paused"], bulk["pauseReason"], bulk["maxRunning"]) == (True, "a fire", "4")
    assert "weight" not in bulk, "nobody said one"
    definitions["queues"]["bulk"]["paused"] = False
    definitions["types"][0]["disabled"] = False
    assert len(apply(jobplane, definitions)) == 2
    shown = jobplane("types", "sync")
    assert "# next run " in shown.stdout, shown.stdout


def test_a_queue_that_nobody_knows_is_not_resumed(jobplane):
    typo = jobplane("queue", "resume", "blk")
    assert typo.returncode == NOT_FOUND and "no queue blk" in typo.stderr, typo.stderr
    early = jobplane("queue", "pause", "blk")
    assert early.returncode == OK and "no job was ever in it" in early.stderr, early.stderr
    burst = jobplane("queue", "set", "blk", "--start-burst", "4")
    assert burst.returncode == USAGE and "--start-rate" in burst.stderr, burst.stderr
    weight = jobplane("queue", "set", "blk", "--weight", "5")
    assert weight.returncode == OK and "weight 5" in weight.stderr, weight.stderr
    assert jobplane("queue", "set", "blk", "--weight", "1001").returncode == USAGE


def test_a_type_is_triggered_disabled_and_enabled(jobplane):
    apply(jobplane, {"types": [{
        "type": "sync", "category": "sync", "max_concurrent": 1,
        "defaults": {"queue": "bulk", "labels": {"team": "a"}, "payload": {"path": "/data"}},
    }]})  # fmt: skip
    done = jobplane("trigger", "sync", "--label", "why=test", "--reason", "to see", "-o", "json")
    job = answer(done)["job"]
    assert job["spec"]["queue"] == "bulk" and job["spec"]["payload"] == {"path": "/data"}
    assert job["spec"]["labels"] == {"team": "a", "why": "test"}
    assert job["status"]["trigger"] == "JOB_TRIGGER_MANUAL" and job["status"]["category"] == "sync"
    by_category = answer(jobplane("list", "--category", "sync", "-o", "json"))["jobs"]
    assert [one["id"] for one in by_category] == [job["id"]]

    assert jobplane("types", "disable", "sync", "--reason", "a fire").returncode == OK
    assert jobplane("types", "disable", "sync").returncode == OK, "what was said of it stays"
    assert "disabled_reason: \"a fire\"" in jobplane("types", "sync").stdout
    refused = jobplane("trigger", "sync")
    assert refused.returncode == REFUSED and "TYPE_DISABLED" in refused.stderr
    assert "cannot trigger sync: the type is disabled: a fire" in refused.stderr
    assert "next: `jobplane types enable sync`" in refused.stderr
    skipped = answer(jobplane("submit", "sync", "-o", "json"))["job"]
    assert skipped["status"]["state"] == "JOB_STATE_SKIPPED"
    assert skipped["status"]["skipReason"] == "SKIP_REASON_TYPE_DISABLED"
    assert "its type was disabled, and is: a fire" in jobplane("explain", skipped["id"]).stdout
    assert jobplane("types", "enable", "sync", "--reason", "it is out").returncode == OK
    assert "disabled_reason" not in jobplane("types", "sync").stdout
    deeds = answer(jobplane("audit", "--action", "put_job_type", "-o", "json"))["events"]
    assert [deed.get("reason", "") for deed in deeds] == ["it is out", "a fire", ""], deeds
    assert jobplane("trigger", "sync").returncode == OK
    assert jobplane("trigger", "unheard-of").returncode == NOT_FOUND
    shown = jobplane("types", "sync")
    assert "max_concurrent: 1" in shown.stdout and "SKIPPED" in shown.stdout, shown.stdout


def test_nothing_starts_from_a_paused_queue(jobplane):
    queue = f"q-{secrets.token_hex(4)}"
    apply(jobplane, {"types": [{"type": "sync", "defaults": {"queue": queue}}]})
    assert jobplane("queue", "pause", queue, "--reason", "repairs").returncode == OK
    job = jobplane("submit", "sync").stdout.strip()
    refused = jobplane("trigger", "sync")
    assert refused.returncode == REFUSED and "QUEUE_PAUSED" in refused.stderr
    listed = answer(jobplane("queues", "-o", "json"))["queues"]
    assert [(one["name"], one["pauseReason"]) for one in listed] == [(queue, "repairs")]
    assert state(answer(jobplane("get", job, "-o", "json"))["job"]) == "PENDING"
    assert jobplane("queue", "resume", queue).returncode == OK
    done = jobplane("queue", "set", queue, "--max-running", "3")
    assert done.returncode == OK and "at most 3 running" in done.stderr


def test_a_schedule_runs_by_itself_once_for_each_time(jobplane, own_server):
    apply(jobplane, {"types": [
        {"type": "ticks", "schedule": {"interval": "1s", "overlap_policy": "allow"}},
        {"type": "alone", "schedule": {"interval": "1s"}},
    ]})  # fmt: skip
    wait_until(lambda: len(jobs(jobplane, "ticks")) >= 3, 60, "it fires every second")
    # A restart neither repeats a time nor leaves one out.
    address = own_server.address
    own_server.stop()
    own_server.start(listen=address)
    before = len(jobs(jobplane, "ticks"))
    wait_until(lambda: len(jobs(jobplane, "ticks")) >= before + 2, 60, "it goes on")
    found = jobs(jobplane, "ticks")
    times = sorted(job["spec"]["scheduleTime"] for job in found)
    assert len(set(times)) == len(times), times
    assert {job["status"]["trigger"] for job in found} == {"JOB_TRIGGER_SCHEDULE"}
    # Nobody works: the first run waits, and those after it are recorded as skipped.
    alone = jobs(jobplane, "alone")
    states = [state(job) for job in alone]
    assert states.count("PENDING") == 1 and states[-1] == "PENDING", states
    reasons = {job["status"].get("skipReason") for job in alone if state(job) == "SKIPPED"}
    assert reasons == {"SKIP_REASON_OVERLAP"}, reasons
    summary = answer(jobplane("summary", "--type", "ticks", "-o", "json"))["summaries"][0]
    assert summary["nextFireTime"]


@pytest.fixture
def worker(own_server):
    """A connection to the test's own server, for scripts that run jobs."""
    stub = Stub(own_server.address)
    yield stub
    stub.close()


def acquire(worker, job_type):
    """Takes a job of a type, as a script does."""
    wish = {"worker_id": "script", "types": [job_type], "wait": "20s"}
    assignment = worker.call("WorkerService/AcquireJobs", wish).assignments[0]
    return {"job_id": assignment.job.id, "lease_epoch": assignment.lease_epoch}


def test_a_type_that_fails_three_times_in_an_hour_is_left_alone_until_its_probe(jobplane, worker):
    circuit = {"max_failures": 3, "window": "1h", "probe_after": "2s"}
    apply(jobplane, {"types": [{
        "type": "fragile", "circuit": circuit, "defaults": {"retry_policy": {"max_attempts": 1}},
    }]})  # fmt: skip

    def shown():
        return answer(jobplane("types", "fragile", "-o", "json"))["jobType"]["circuit"]

    for _ in range(3):
        assert shown()["state"] == "CIRCUIT_STATE_CLOSED"
        jobplane("submit", "fragile")
        worker.call("WorkerService/FailJob", {**acquire(worker, "fragile"), "error": {"code": "HTTP_503"}})
    opened = shown()
    assert opened["state"] == "CIRCUIT_STATE_OPEN"
    assert "CIRCUIT OPEN" in jobplane("types").stdout
    refused = jobplane("trigger", "fragile")
    assert refused.returncode == REFUSED and "CIRCUIT_OPEN" in refused.stderr, refused.stderr
    job = answer(jobplane("submit", "fragile", "-o", "json"))["job"]
    assert job["status"]["skipReason"] == "SKIP_REASON_CIRCUIT_OPEN"
    assert job["status"]["skipUntil"] == opened["nextProbeTime"]
    assert "CIRCUIT_OPEN" in jobplane("explain", job["id"]).stdout

    def tries():
        made = answer(jobplane("submit", "fragile", "-o", "json"))["job"]
        return made["id"] if state(made) == "PENDING" else None

    wait_until(tries, 60, "after its time one may try")
    probe = acquire(worker, "fragile")
    wait_until(lambda: shown()["state"] == "CIRCUIT_STATE_HALF_OPEN", 60, "it is the probe")
    assert state(answer(jobplane("submit", "fragile", "-o", "json"))["job"]) == "SKIPPED"
    worker.call("WorkerService/CompleteJob", probe)
    assert shown()["state"] == "CIRCUIT_STATE_CLOSED"
    assert state(answer(jobplane("submit", "fragile", "-o", "json"))["job"]) == "PENDING"


def test_the_defaults_of_a_file_hold_for_types_that_nobody_declared(jobplane, worker):
    said = {"defaults": {"circuit": {"max_failures": 1, "probe_after": "1h"}, "max_pending": 2}}
    assert apply(jobplane, said) == [("change", "defaults", "server")]
    assert apply(jobplane, said) == []
    jobplane("submit", "seen", "--max-attempts", "1")
    worker.call("WorkerService/FailJob", {**acquire(worker, "seen"), "error": {"code": "BOOM"}})
    assert state(answer(jobplane("submit", "seen", "-o", "json"))["job"]) == "SKIPPED"
    circuit = answer(jobplane("types", "seen", "-o", "json"))["jobType"]["defaultCircuit"]
    assert circuit["state"] == "CIRCUIT_STATE_OPEN" and circuit["maxFailures"] == 1
    for _ in range(2):
        assert jobplane("submit", "other").returncode == OK
    full = jobplane("submit", "other")
    assert full.returncode != OK and "LIMIT_EXCEEDED" in full.stderr, full.stderr


def test_a_quota_is_set_up_changed_and_taken_away_by_hand(jobplane):
    none = jobplane("quota", "set", "api", "--period", "week")
    assert none.returncode == USAGE and "--limit: there is no quota api yet" in none.stderr, none
    assert jobplane("quota", "set", "api").returncode == USAGE
    for flag, wrong in (("--limit", "0"), ("--period", "fortnight"), ("--on-exhausted", "cry")):
        refused = jobplane("quota", "set", "api", "--limit", "1", flag, wrong)
        assert refused.returncode == USAGE and flag in refused.stderr, refused
    zone = jobplane("quota", "set", "api", "--limit", "5", "--time-zone", "Mars/Base")
    assert zone.returncode == USAGE and "quota.time_zone" in zone.stderr, zone
    new = jobplane("quota", "set", "api", "--limit", "10000", "--time-zone", "America/Los_Angeles")
    assert new.returncode == OK, new
    assert "quota api allows 10,000 units a day (America/Los_Angeles), then jobs wait; 0 are used" in new.stderr
    changed = jobplane("quota", "set", "api", "--on-exhausted", "skip", "--period", "HOUR", "-o", "json")
    quota = answer(changed)["quota"]
    assert (quota["limit"], quota["timeZone"]) == ("10000", "America/Los_Angeles"), quota
    assert (quota["period"], quota["onExhausted"]) == ("QUOTA_PERIOD_HOUR", "QUOTA_EXHAUSTED_SKIP"), quota
    apply(jobplane, {"types": [{"type": "sync", "quota_costs": {"api": 100}}]})
    shown = jobplane("quota", "api").stdout
    assert "DRAWN BY" in shown and "sync 100" in shown, shown
    used = jobplane("quota", "delete", "api")
    assert used.returncode == REFUSED and "QUOTA_IN_USE" in used.stderr, used
    apply(jobplane, {"types": [{"type": "sync"}]})
    gone = jobplane("quota", "delete", "api")
    assert gone.returncode == OK and "quota api is gone" in gone.stderr, gone
    assert jobplane("quota", "delete", "api").returncode == NOT_FOUND
    assert jobplane("quota").returncode == OK


def test_what_was_really_used_of_a_quota_is_shown(jobplane, worker):
    apply(jobplane, {"quotas": {"api": {"limit": 100, "period": "day"}}})
    jobplane("submit", "sync")
    job = acquire(worker, "sync")
    worker.call("WorkerService/ReportJob", {**job, "quota_use": [{"name": "api", "units": 30}]})
    worker.call("WorkerService/CompleteJob", {**job, "quota_use": [{"name": "api", "units": 40}]})
    usage = answer(jobplane("quota", "-o", "json"))["quotas"][0]["usage"]
    assert (usage["used"], usage["remaining"]) == ("40", "60")
    assert "api" in jobplane("quota", "api").stdout
    assert jobplane("quota", "nobody").returncode == NOT_FOUND


def test_what_needs_a_declaration_is_refused_alike_where_there_is_none(jobplane):
    assert jobplane("submit", "seen").returncode == OK
    for command in (["types", "disable", "seen"], ["types", "enable", "seen"], ["trigger", "seen"]):
        refused = jobplane(*command)
        assert refused.returncode == REFUSED, (command, refused.stderr)
        assert "not declared" in refused.stderr and "jobplane apply" in refused.stderr, refused.stderr
    assert jobplane("types", "seen").stdout.startswith("# OBSERVED: only seen on jobs\n")


def test_an_apply_without_changes_writes_no_line(jobplane):
    definitions = json.dumps({"types": [{"type": "sync"}]})
    assert len(jobplane("apply", "-f", "-", "-o", "jsonl", stdin=definitions).stdout.splitlines()) == 1
    assert jobplane("apply", "-f", "-", "-o", "jsonl", stdin=definitions).stdout == ""


def test_a_quota_stays_above_what_its_types_draw(jobplane):
    both = {"quotas": {"api": {"limit": 10}}, "types": [{"type": "sync", "quota_costs": {"api": 4}}]}
    apply(jobplane, both)
    alone = json.dumps({"quotas": {"api": {"limit": 2}}})
    refused = jobplane("apply", "-f", "-", stdin=alone)
    assert refused.returncode == USAGE, refused.stderr
    assert "quotas.api.limit" in refused.stderr and "at least 4" in refused.stderr, refused.stderr
    both["quotas"]["api"]["limit"] = 2
    both["types"][0]["quota_costs"]["api"] = 1
    assert apply(jobplane, both) == [("change", "type", "sync"), ("change", "quota", "api")]
    assert jobplane("types", "disable", "sync").returncode == OK
