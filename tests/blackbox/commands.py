"""The command line as tests run it: against a server, with nothing of this machine's settings."""

import json
import os
import subprocess

OK = 0


def environment(server):
    """Where the server is, and no other setting."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("JOBPLANE_")}
    return {**kept, "JOBPLANE_ENDPOINT": f"http://{server.address}"}


def run(built, server, *arguments, stdin=""):
    """Runs a command to its end."""
    return subprocess.run(
        [built, *map(str, arguments)],
        env=environment(server),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
    )


def answer(done):
    """What a command that went well printed as JSON."""
    assert done.returncode == OK, done.stderr
    return json.loads(done.stdout)
