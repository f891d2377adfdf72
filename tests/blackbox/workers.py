"""A worker's side of ReportProgress, for tests that speak the protocol step by step."""

import collections
import time
import uuid

from reflect import TIMEOUT

METHOD = "WorkerService/ReportProgress"
# A third of the shortest lease there is, in seconds.
HEARTBEAT_EVERY = 3.0


class Worker:
    """One worker process: it may attach several times, its reports are numbered through."""

    def __init__(self, stub, queue, slots=1, lease_ttl="30s", worker_id="test-worker"):
        self.stub = stub
        self.queue = queue
        self.slots = slots
        self.lease_ttl = lease_ttl
        self.worker_id = worker_id
        self.instance_id = str(uuid.uuid4())
        self.seq = 0
        self.confirms = True
        self.rejects = {}
        self._kept = collections.deque()
        self._received = self._confirmed = 0

    def attach(self, running=()):
        """Opens a stream that names what is `running` as (job_id, lease_epoch); gives the Welcome."""
        hello = {
            "worker_id": self.worker_id,
            "instance_id": self.instance_id,
            "client": {"name": "blackbox", "version": "1"},
            "queues": [self.queue],
            "slots": self.slots,
            "lease_ttl": self.lease_ttl,
            "running": [{"job_id": job, "lease_epoch": epoch} for job, epoch in running],
        }
        # The server waits 10 s for it, however busy this process is.
        self.conversation = self.stub.open(METHOD, {"hello": hello})
        self._received = self._confirmed = 0
        self._kept.clear()
        welcome = self.expect("welcome")
        self.send(capacity={"slots": self.slots})
        return welcome

    def send(self, **message):
        """Sends a message, which confirms all that was received if `confirms` is set."""
        if self.confirms and self._received:
            message["received_through"] = self._confirmed = self._received
        self.conversation.send(message)

    def confirm(self):
        """Confirms what was received, if that was not done yet."""
        if self.confirms and self._confirmed < self._received:
            self.send()

    def update(self, assignment, seq=None, **report):
        """Reports about a job that was assigned; gives the seq."""
        job_id, epoch = key(assignment)
        if seq is None:
            self.seq += 1
            seq = self.seq
        self.send(update={"seq": seq, "job_id": job_id, "lease_epoch": epoch, **report})
        return seq

    def next(self, timeout=TIMEOUT):
        """The next message, as (kind, content). Sends signs of life while it waits."""
        deadline = time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            try:
                message = self.conversation.receive(max(0, min(left, HEARTBEAT_EVERY)))
                break
            except TimeoutError:
                if left <= HEARTBEAT_EVERY:
                    raise
                self.send(heartbeat={})
        assert message.sequence == self._received + 1, "the server's messages are numbered 1, 2, 3"
        self._received = message.sequence
        kind = message.WhichOneof("kind")
        if kind == "reject":
            self.rejects[message.reject.seq] = self.stub.schema.failure(message.reject.error)
        return kind, getattr(message, kind)

    def expect(self, *kinds, timeout=TIMEOUT):
        """The next message of one of these kinds; others are kept until they are asked for."""
        for index, (kind, content) in enumerate(self._kept):
            if kind in kinds:
                del self._kept[index]
                return content
        deadline = time.monotonic() + timeout
        while True:
            kind, content = self.next(max(0.01, deadline - time.monotonic()))
            if kind in kinds:
                return content
            self._kept.append((kind, content))

    def assignment(self, timeout=TIMEOUT):
        """The next job to run; confirms it."""
        assignment = self.expect("assignment", timeout=timeout)
        self.confirm()
        return assignment

    def acked(self, seq, timeout=TIMEOUT):
        """Waits for the Ack of a report; gives its Reject if it was refused, None if it was taken."""
        while self.expect("ack", timeout=timeout).through_seq < seq:
            pass
        return self.rejects.pop(seq, None)

    def leave(self):
        """Says Goodbye and waits for the end of the stream."""
        self.send(goodbye={})
        self.conversation.half_close()
        try:
            while True:
                self.next()
        except EOFError:
            pass


def key(assignment):
    """(job_id, lease_epoch) of an assignment."""
    return assignment.job.id, assignment.lease_epoch


def create(stub, queue, **spec):
    """Creates a job; gives it."""
    request = {"spec": {"type": "blackbox", "queue": queue, **spec}}
    return stub.call("JobService/CreateJob", request).job


def create_many(stub, queue, count, spec=lambda index: {}):
    """Creates jobs, 500 at a time; gives their ids."""
    ids = []
    while len(ids) < count:
        requests = [
            {"spec": {"type": "blackbox", "queue": queue, **spec(index)}}
            for index in range(len(ids), min(count, len(ids) + 500))
        ]
        results = stub.call("JobService/BatchCreateJobs", {"requests": requests}).results
        assert all(result.WhichOneof("outcome") == "created" for result in results)
        ids += [result.created.job.id for result in results]
    return ids


def get(stub, job_id):
    """A job as the server has it."""
    return stub.call("JobService/GetJob", {"job_id": job_id}).job


def start(stub, queue, lease_ttl="60s", request_id="", **spec):
    """Creates a job and starts it by unary call; gives the assignment."""
    request = {
        "worker_id": "unary-worker",
        "spec": {"type": "blackbox", "queue": queue, **spec},
        "lease_ttl": lease_ttl,
        "request_id": request_id,
    }
    return stub.call("WorkerService/StartJob", request).assignment


def lease(assignment):
    """What every unary report names."""
    job_id, epoch = key(assignment)
    return {"job_id": job_id, "lease_epoch": epoch}


def list_all(stub, queue, view="BASIC", states=()):
    """Every job of a queue, page by page."""
    request = {
        "filter": {"queues": [queue], "states": [f"JOB_STATE_{state}" for state in states]},
        "view": f"JOB_VIEW_{view}",
        "page_size": 1000,
    }
    while True:
        page = stub.call("JobService/ListJobs", request)
        yield from page.jobs
        if not page.next_page_token:
            return
        request["page_token"] = page.next_page_token


def list_logs(stub, job_id):
    """Every log line of a job."""
    entries, after = [], 0
    while True:
        request = {"job_id": job_id, "after_sequence": after, "page_size": 1000}
        page = stub.call("JobService/ListJobLogs", request)
        entries += page.entries
        if not page.entries:
            return entries
        after = page.next_sequence
