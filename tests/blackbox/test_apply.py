"""Files that are applied: what becomes of the server, whoever reads of it, and what is asked before."""

import json
import os
import pty
import re
import subprocess

from commands import answer, environment

OK, USAGE, IO = 0, 2, 74


def types(count, **fields):
    """A file of so many types."""
    return {"types": [{"type": f"t{place:03}", **fields} for place in range(count)]}


def declared(jobplane):
    """The types there are."""
    return [one["type"] for one in answer(jobplane("types", "-o", "json")).get("jobTypes", [])]


def apply(jobplane, definitions, *flags):
    """Applies definitions."""
    return jobplane("apply", "-f", "-", *flags, stdin=json.dumps(definitions))


def test_a_file_is_applied_to_its_end_whoever_reads_of_it(jobplane, built, target, tmp_path):
    def apply_to(stdout, definitions):
        path = tmp_path / "types.json"
        path.write_text(json.dumps(definitions))
        return subprocess.run(
            [built, "apply", "-f", path],
            env=environment(target),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )

    reader, writer = os.pipe()
    os.close(reader)
    done = apply_to(writer, types(60))
    os.close(writer)
    assert done.returncode == OK and "60 created" in done.stderr, done.stderr
    assert len(declared(jobplane)) == 60

    with open("/dev/full", "wb") as full:
        done = apply_to(full, types(60, category="sync"))
    assert done.returncode == IO and "60 changed" in done.stderr, done.stderr
    assert "cannot write the output" in done.stderr, done.stderr
    listed = answer(jobplane("types", "--category", "sync", "-o", "json"))["jobTypes"]
    assert len(listed) == 60


def test_a_prune_of_all_there_is_is_asked_about(jobplane):
    assert apply(jobplane, types(2)).returncode == OK
    other = {"types": [{"type": "other"}]}
    asked = apply(jobplane, other, "--prune")
    assert asked.returncode == USAGE and "2 types would go: add it" in asked.stderr, asked.stderr
    shown = asked.stderr.index("  - type t000\n  - type t001\n")
    assert shown < asked.stderr.index("--yes"), asked.stderr
    assert declared(jobplane) == ["t000", "t001"], "nothing was done"
    gone = apply(jobplane, other, "--prune", "--yes")
    assert gone.returncode == OK and "1 created, 0 changed, 2 deleted" in gone.stderr, gone.stderr
    assert declared(jobplane) == ["other"]

    many = types(30)
    assert apply(jobplane, many).returncode == OK
    asked = apply(jobplane, other, "--prune")
    assert asked.returncode == USAGE and "30 types would go" in asked.stderr, asked.stderr
    assert asked.stderr.count("  - type ") == 20 and "… and 10 more" in asked.stderr, asked.stderr


def test_what_would_go_stands_above_the_question(jobplane, built, target, tmp_path):
    assert apply(jobplane, types(1)).returncode == OK
    path = tmp_path / "types.json"
    path.write_text(json.dumps({"types": [{"type": "other"}]}))
    terminal, side = pty.openpty()
    with subprocess.Popen(
        [built, "apply", "-f", path, "--prune"],
        env=environment(target),
        stdin=side,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        os.write(terminal, b"n\n")
        said, noted = process.communicate(timeout=60)
    os.close(side)
    os.close(terminal)
    assert process.returncode == OK and said == "", noted
    told = re.compile(r"  - type t000\n.*delete 1 type\? \[y/N\].*nothing was done", re.DOTALL)
    assert told.search(noted), noted
    assert declared(jobplane) == ["t000"]


def test_a_payload_is_what_the_file_says(jobplane):
    payload = "{country: NO, y: off, x.z: 4, x: {z: 5}}"
    text = f"types: [{{type: a, defaults: {{payload: {payload}}}}}]"
    assert jobplane("apply", "-f", "-", stdin=text).returncode == OK
    shown = jobplane("types", "a").stdout
    assert 'country: "NO"' in shown and '"y": "off"' in shown, shown
    again = "types:\n  -\n" + "".join(
        f"    {line}\n" for line in shown.splitlines() if not line.startswith("#")
    )
    same = jobplane("apply", "-f", "-", stdin=again)
    assert same.returncode == OK and "1 as they were" in same.stderr, same
    changed = jobplane("apply", "-f", "-", stdin=text.replace("z: 5", "z: 7"))
    assert changed.stdout == "~ type a\n    defaults.payload.x.z: 5 → 7\n", changed

    deep = "{x: " * 40 + "7" + "}" * 40
    wrong = jobplane("apply", "-f", "-", stdin=f"types: [{{type: a, defaults: {{payload: {deep}}}}}]")
    assert wrong.returncode == USAGE, wrong
    assert "types[0].defaults.payload: must have at most 32 levels" in wrong.stderr, wrong
    assert "next: docs/types.yaml" in wrong.stderr, wrong


def test_a_disabled_type_has_no_next_run(jobplane):
    assert apply(jobplane, types(1, schedule={"cron": "0 4 * * *"})).returncode == OK
    assert "# next run " in jobplane("types", "t000").stdout
    assert jobplane("types", "disable", "t000", "--reason", "no licence").returncode == OK
    shown = jobplane("types", "t000").stdout
    assert "# no next run: the type is disabled (no licence)" in shown, shown


def test_a_rate_means_the_same_in_a_file_and_on_the_command_line(jobplane):
    flag = jobplane("queue", "set", "slow", "--start-rate", "100/h")
    assert flag.returncode == OK and "starts 100/h, up to 100 at once" in flag.stderr, flag
    same = apply(jobplane, {"queues": {"slow": {"start_rate": "100/h"}}})
    assert same.returncode == OK and "1 as they were" in same.stderr, same
    daily = apply(jobplane, {"queues": {"slow": {"start_rate": "1/day"}}})
    assert daily.returncode == OK and "1/day" in jobplane("queues").stdout, daily
