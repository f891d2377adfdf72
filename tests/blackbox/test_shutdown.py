"""An orderly stop in the middle of work."""

import threading

import grpc
import pytest

from reflect import Failed, Stub, state
from workers import Worker, create, get, key


def test_a_stop_in_the_middle_of_work_tells_everybody_and_loses_nothing(own_server, queue):
    server = own_server
    stub = Stub(server.address)
    job = create(stub, queue)
    worker = Worker(stub, queue)
    worker.attach()
    run = worker.assignment()
    progress = {"total": 10, "completed": 4}
    assert worker.acked(worker.update(run, progress=progress)) is None
    watch = stub.watch("JobService/WatchJob", {"job_id": job.id})
    assert state(next(watch).snapshot.job) == "RUNNING"

    stopping = threading.Thread(target=server.stop)
    stopping.start()
    worker.expect("reconnect")
    with pytest.raises((EOFError, Failed)):
        worker.expect("welcome")
    with pytest.raises(Failed) as ended:
        for _ in watch:
            pass
    assert ended.value.code == grpc.StatusCode.UNAVAILABLE, "not OK: the job is not over"
    stopping.join(60)
    assert server.process is None, "it stopped with exit code 0"
    stub.close()

    server.start()
    stub = worker.stub = Stub(server.address, like=stub.schema)
    assert get(stub, job.id).status.progress.completed == 4, "the newest progress was written"
    welcome = worker.attach(running=[key(run)])
    assert [each.job_id for each in welcome.adopted] == [job.id]
    assert worker.acked(worker.update(run, succeeded={})) is None
    assert state(get(stub, job.id)) == "SUCCEEDED"
    worker.leave()
    stub.close()
