"""A thousand running jobs and the history of what was acknowledged about them, over crashes.

`Crew` holds the history. `Hand` is one worker process of it: it reports, keeps what is not
acknowledged yet, and after a crash attaches again and sends it once more under the same seq.
"""

import collections
import dataclasses
import itertools
import random
import threading
import time

import grpc

from reflect import Failed, Stub
from workers import Worker, key

STEPS = 8
STEPS_PER_SECOND = 50
UNACKED_MAX = 200
# The longest without an ack, and so many times that in all.
WAIT = 60.0
WAITS_MAX = 10
# What a call may meet when the server dies under it.
EXPECTED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


@dataclasses.dataclass
class Run:
    """One execution of a job by a hand."""

    number: int
    attempt: int
    step: int = 0
    ended: bool = False


@dataclasses.dataclass
class Report:
    """One report: what it says, and whether it was sent on more than one stream."""

    run: tuple
    kind: str
    content: dict
    sendings: int = 0


class Crew:
    """What all hands and creators share: the way to the server, and the history."""

    def __init__(
        self,
        queue,
        schema,
        seed,
        hands,
        slots,
        live,
        creators=2,
        at_once=1,
        steps=STEPS,
        steps_per_second=STEPS_PER_SECOND,
    ):
        """So many hands with so many slots each; `live` jobs there are, created so many `at_once`; each has so many
        steps before its outcome, and a hand makes so many of all its jobs in a second."""
        self.at_once, self.steps, self.steps_per_second = at_once, steps, steps_per_second
        self.queue = queue
        self.schema = schema
        self.live = live
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.random = random.Random(seed)
        self.address = None
        self.places = lambda: [self.address] if self.address else []
        self.over = False
        self.draining = False
        # The history.
        self.created = {}  # request id -> job id, of acked creates
        self.known = []  # the same jobs, the oldest first
        self.succeeded = set()  # jobs whose success was acked
        self.repeats_found = 0  # creates that were there when they were repeated
        self.assigned = {}  # (job, epoch) -> hand
        self.acked = collections.Counter()  # acks by kind
        self.outcomes = {}  # (job, epoch) -> (kind, content), acked and not refused
        self.lines = collections.defaultdict(list)  # job -> [(epoch, line)], acked and not refused
        self.sent_lines = collections.defaultdict(set)  # job -> {(epoch, line)}
        self.resent_outcomes = 0
        self.adopted = 0
        self.surprises = []
        self.hands = [Hand(self, index, slots, seed + index) for index in range(hands)]
        self.creators = [threading.Thread(target=self._create, args=(i,)) for i in range(creators)]

    def begin(self):
        """Starts the threads."""
        for thread in [*self.hands, *self.creators]:
            thread.start()

    def up(self, address):
        """The server can be reached there; None: nowhere."""
        with self.lock:
            self.address = address
            for hand in self.hands:
                hand.attached = False
            self.changed.notify_all()

    def at(self, places):
        """There are several servers: `places()` gives the addresses of those that are up."""
        with self.lock:
            self.places = places
            self.changed.notify_all()

    def connect(self):
        """A new connection, as soon as there is a server; None if all is over."""
        with self.lock:
            while not self.over:
                addresses = self.places()
                if addresses:
                    return Stub(self.random.choice(addresses), like=self.schema)
                self.changed.wait(0.1)
            return None

    def await_running(self, count):
        """Waits until attached hands have so many jobs."""
        self._wait_for(lambda: self.running() >= count, f"{count} jobs run")

    def await_acks(self, count):
        """Waits for so many more acks."""
        moment = self.acked.total() + count
        self._wait_for(lambda: self.acked.total() >= moment, f"{count} more acks")

    def await_the_end(self):
        """Creates no more jobs, and waits until all there are have finished."""
        with self.lock:
            self.draining = True
            self.changed.notify_all()
        self._wait_for(
            lambda: (
                not any(creator.is_alive() for creator in self.creators)
                and len(self.succeeded) == len(self.created)
            ),
            "all jobs finish",
        )

    def _wait_for(self, condition, what):
        """Waits as long as there are acks: how fast they come is the machine's affair, up to a point."""
        with self.lock:
            for _ in range(WAITS_MAX):
                moved = self.acked.total()
                if self.changed.wait_for(lambda: self.surprises or condition(), WAIT):
                    break
                assert self.acked.total() > moved, f"no ack for {WAIT} s, {self.standing(what)}"
            assert not self.surprises, self.surprises[:10]
            assert condition(), f"not within {WAITS_MAX * WAIT} s, {self.standing(what)}"

    def standing(self, what):
        """How far it is, for whoever waits in vain."""
        return f"and not yet: {what}; {self.running()} jobs run, acks {dict(self.acked)}"

    def running(self):
        """Jobs that attached hands have."""
        return sum(len(hand.runs) for hand in self.hands if hand.attached)

    def finished(self):
        """Jobs whose success was acked."""
        return set(self.succeeded)

    def unfinished(self, chance):
        """One of the jobs that have something before them; None if there is none."""
        with self.lock:
            for _ in range(20):
                # The young ones are the last, as many as there may be alive.
                job = chance.choice(self.known[-self.live :]) if self.known else None
                if job not in self.succeeded:
                    return job
            return None

    def stop(self):
        """Ends the threads."""
        with self.lock:
            self.over = True
            self.changed.notify_all()
        for thread in [*self.hands, *self.creators]:
            if thread.ident is not None:
                thread.join(30)
                assert not thread.is_alive(), "a thread of the crew hangs"

    def _create(self, creator):
        """Keeps enough jobs alive; repeats what was not answered, with its request ids."""
        stub, number = self.connect(), creator
        while stub and self._more_are_wanted():
            numbers = [number + len(self.creators) * index for index in range(self.at_once)]
            requests = [creation(self.queue, f"{self.queue}-{each}", each) for each in numbers]
            while stub:
                try:
                    made = create_all(stub, requests)
                    break
                except Failed as failed:
                    self.lost("a creator", failed)
                    stub.close()
                    stub = self.connect()
            else:
                return
            with self.lock:
                for request, answer in zip(requests, made, strict=True):
                    self.created[request["request_id"]] = answer.job.id
                    self.known.append(answer.job.id)
                    self.repeats_found += answer.existing
                self.acked["created"] += len(made)
                self.changed.notify_all()
            number = numbers[-1] + len(self.creators)
        if stub:
            stub.close()

    def _more_are_wanted(self):
        with self.lock:
            self.changed.wait_for(
                lambda: (
                    self.over
                    or self.draining
                    or self.acked["created"] - self.acked["succeeded"] < self.live
                )
            )
            return not (self.over or self.draining)

    def lost(self, who, error):
        """A connection was lost: only a crash may do that."""
        if isinstance(error, Failed) and error.code in EXPECTED:
            return
        with self.lock:
            if self.places():
                self.surprises.append(f"{who} lost its connection: {error!r}")


class Hand(threading.Thread):
    """A worker process that outlives the server."""

    def __init__(self, crew, index, slots, seed):
        super().__init__(name=f"hand-{index}", daemon=True)
        self.crew = crew
        self.slots = slots
        self.random = random.Random(seed)
        self.worker = Worker(None, crew.queue, slots, lease_ttl="60s", worker_id=self.name)
        self.runs = {}  # (job, epoch) -> Run, until its outcome is acked
        self.unacked = {}  # seq -> Report, in order
        self.attached = False

    def run(self):
        while stub := self.crew.connect():
            self.worker.stub = stub
            try:
                self._attach()
                self._work()
            except Exception as error:
                self.crew.lost(self.name, error)
            finally:
                self.attached = False
                stub.close()

    def _surprise(self, what):
        with self.crew.lock:
            self.crew.surprises.append(f"{self.name}: {what}")

    def _attach(self):
        welcome = self.worker.attach(running=self.runs)
        adopted = {(each.job_id, each.lease_epoch) for each in welcome.adopted}
        for run in [run for run in self.runs if run not in adopted and not self.runs[run].ended]:
            self._surprise(f"the job {run} was taken away over a crash")
            del self.runs[run]
        for seq, report in list(self.unacked.items()):
            self._send(seq, report)
        with self.crew.lock:
            self.crew.adopted += len(adopted)
            self.attached = True
            self.crew.changed.notify_all()

    def _work(self):
        since, sent = time.monotonic(), 0
        while not self.crew.over:
            try:
                message = self.worker.next(timeout=0.02)
                while message:
                    self._hear(*message)
                    message = self.worker.next(timeout=0)
            except TimeoutError:
                pass
            self.worker.confirm()
            due = int((time.monotonic() - since) * self.crew.steps_per_second) - sent
            idle = [run for run, state in self.runs.items() if not state.ended]
            room = max(0, UNACKED_MAX - len(self.unacked))
            for run in self.random.sample(idle, min(due, len(idle), room)):
                self._step(run, self.runs[run])
                sent += 1

    def _hear(self, kind, content):
        if kind == "assignment":
            run = key(content)
            with self.crew.lock:
                if run in self.crew.assigned:
                    self._surprise(f"{run} was assigned before, to {self.crew.assigned[run]}")
                self.crew.assigned[run] = self.name
                self.crew.changed.notify_all()
            number = int(content.job.spec.payload["n"])
            self.runs[run] = Run(number, content.job.status.attempt)
        elif kind == "ack":
            self._acked(content.through_seq)
        elif kind in ("revoke", "cancel_request", "drain"):
            self._surprise(f"got {kind}: {content}")

    def _step(self, run, state):
        """The next report of a run: a log line and a tick, or its outcome."""
        state.step += 1
        if state.step <= self.crew.steps:
            line = f"job {state.number} attempt {state.attempt} step {state.step}"
            with self.crew.lock:
                self.crew.sent_lines[run[0]].add((run[1], line))
            self._report(run, "logs", {"entries": [{"message": line}]})
            self._report(run, "progress", {"total": self.crew.steps, "completed": state.step})
            return
        state.ended = True
        if fails_first(state.number) and state.attempt == 1:
            error = {"code": "FIRST_TRY", "message": f"job {state.number} fails once"}
            self._report(run, "failed", {"error": error, "retry_delay": "0s"})
        else:
            # The last tick again: what was acked of progress is not durable until the outcome is.
            progress = {"total": self.crew.steps, "completed": self.crew.steps}
            result = {"n": state.number, "by": self.name}
            self._report(run, "succeeded", {"progress": progress, "result": result})

    def _report(self, run, kind, content):
        self.worker.seq += 1
        report = self.unacked[self.worker.seq] = Report(run, kind, content)
        self._send(self.worker.seq, report)

    def _send(self, seq, report):
        report.sendings += 1
        job_id, epoch = report.run
        about = {"seq": seq, "job_id": job_id, "lease_epoch": epoch}
        self.worker.send(update={**about, report.kind: report.content})

    def _acked(self, through):
        with self.crew.lock:
            # They are in order.
            for seq in list(itertools.takewhile(lambda seq: seq <= through, self.unacked)):
                self._settle(self.unacked.pop(seq), self.worker.rejects.pop(seq, None))
            self.crew.changed.notify_all()

    def _settle(self, report, refusal):
        """Writes an acknowledged report into the history."""
        is_outcome = report.kind in ("succeeded", "failed")
        if is_outcome:
            self.runs.pop(report.run, None)
            self.crew.resent_outcomes += report.sendings > 1
        if refusal:
            # A log line or a tick sent again behind its own outcome, which was durable before the crash.
            behind = report.sendings > 1 and not is_outcome and refusal.reason == "STALE_LEASE"
            if not behind:
                self._surprise(f"{report} was refused: {refusal}")
            return
        self.crew.acked[report.kind] += 1
        if is_outcome:
            if report.run in self.crew.outcomes:
                self._surprise(f"a second outcome of {report.run}: {report}")
            self.crew.outcomes[report.run] = (report.kind, report.content)
            if report.kind == "succeeded":
                self.crew.succeeded.add(report.run[0])
        elif report.kind == "logs":
            line = report.content["entries"][0]["message"]
            self.crew.lines[report.run[0]].append((report.run[1], line))


def fails_first(number):
    """One job in ten fails once."""
    return number % 10 == 0


def creation(queue, request_id, number):
    """The request that creates a job of the crew."""
    spec = {"type": "blackbox", "queue": queue, "payload": {"n": number}}
    return {"request_id": request_id, "spec": spec}


def create_all(stub, requests):
    """Creates jobs by one call; gives what became of each."""
    if len(requests) == 1:
        return [stub.call("JobService/CreateJob", requests[0], timeout=WAIT)]
    request = {"requests": requests}
    results = stub.call("JobService/BatchCreateJobs", request, timeout=WAIT).results
    for result in results:
        if result.WhichOneof("outcome") == "error":
            raise stub.schema.failure(result.error)
    return [result.created for result in results]
