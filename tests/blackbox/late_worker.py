"""A worker process that can be stopped past its lease: it takes one job, reports progress until a
line comes on stdin, then finishes the job whatever happened in between, and prints what it was told
as a JSON line.

    python late_worker.py ADDRESS QUEUE
"""

import json
import select
import sys

from reflect import Failed, Stub
from workers import Worker, key


def say(**line):
    print(json.dumps(line), flush=True)


address, queue = sys.argv[1:3]
worker = Worker(Stub(address), queue, lease_ttl="10s", worker_id="late-worker")
worker.attach()
assignment = worker.assignment(timeout=60)
completed = 0
while not select.select([sys.stdin], [], [], 0.2)[0]:
    completed += 1
    worker.update(assignment, progress={"completed": completed})
    if completed == 3:
        say(job_id=assignment.job.id, lease_epoch=assignment.lease_epoch)

report = {"succeeded": {"result": {"by": "late"}}}
try:
    refusal = worker.acked(worker.update(assignment, **report))
except (Failed, EOFError):
    # The server gave the connection up while the process slept: attach again, none the wiser.
    worker.attach(running=[key(assignment)])
    refusal = worker.acked(worker.update(assignment, **report))
say(
    accepted=refusal is None,
    code=refusal.code.name if refusal else "OK",
    reason=refusal.reason if refusal else "",
    held=refusal.metadata.get("held", "") if refusal else "",
    presented=refusal.metadata.get("presented", "") if refusal else "",
)
worker.leave()
