#!/usr/bin/env python3
"""A client that works all along: creates a job and reads it, again and again, and says how long each call took.

python bystander.py 127.0.0.1:50051     writes a line a call: when it began, its seconds, ok or its code
"""

import sys
import time

from reflect import Failed, Stub

PAUSE = 0.004
TIMEOUT = 10.0


def main(address):
    stub = Stub(address)
    job = None
    while True:
        began = time.monotonic()
        try:
            if job is None:
                request = {"spec": {"type": "bystander", "queue": "bystander"}}
                job = stub.call("JobService/CreateJob", request, timeout=TIMEOUT).job.id
            else:
                stub.call("JobService/GetJob", {"job_id": job}, timeout=TIMEOUT)
                job = None
            word = "ok"
        except Failed as failed:
            word = failed.code.name
        print(f"{began} {time.monotonic() - began} {word}", flush=True)
        time.sleep(PAUSE)


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__)
        sys.exit(0 if sys.argv[1:] else 2)
    main(sys.argv[1])
