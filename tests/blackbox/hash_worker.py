"""A worker process that hashes files: each job names one. Begins with a line on stdin, ends with
the end of it.

    python hash_worker.py ADDRESS QUEUE NAME
"""

import hashlib
import sys
import threading

from reflect import Stub
from workers import Worker

CHUNK = 16 * 1024

address, queue, name = sys.argv[1:4]
worker = Worker(Stub(address), queue, slots=4, worker_id=name)
print("ready", flush=True)
sys.stdin.readline()
worker.attach()
over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()

while not over.is_set():
    try:
        run = worker.assignment(timeout=1)
    except TimeoutError:
        continue
    with open(run.job.spec.payload["path"], "rb") as file:
        content = file.read()
    digest, done, total = hashlib.sha256(), 0, len(content)
    for start in range(0, total, CHUNK):
        chunk = content[start : start + CHUNK]
        digest.update(chunk)
        done += len(chunk)
        worker.update(run, progress={"total": total, "completed": done, "unit": "bytes"})
    entry = {"level": "LOG_LEVEL_INFO", "message": f"hashed {total} bytes"}
    worker.update(run, logs={"entries": [entry]})
    progress = {"total": total, "completed": done, "unit": "bytes", "counters": {"bytes": total}}
    result = {"sha256": digest.hexdigest(), "bytes": total}
    refusal = worker.acked(worker.update(run, succeeded={"progress": progress, "result": result}))
    assert refusal is None, refusal
worker.leave()
