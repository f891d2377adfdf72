"""What the one port speaks besides the API: health, reflection, gRPC-Web, plain HTTP."""

import http.client
import struct

import grpc
import httpx
import pytest
from grpc_reflection.v1alpha import reflection_pb2

from reflect import state
from workers import create, lease, start

SERVICES = {"jobplane.v1.JobService", "jobplane.v1.WorkerService", "jobplane.v1.AdminService"}
SERVING = b"\x08\x01"


def health_request(service):
    """grpc.health.v1.HealthCheckRequest{service}, by hand: its bytes are two and the name."""
    return bytes([0x0A, len(service)]) + service.encode() if service else b""


@pytest.mark.parametrize("service", ["", *sorted(SERVICES)])
def test_health_says_that_a_service_serves(stub, service):
    check = stub.channel.unary_unary("/grpc.health.v1.Health/Check")
    assert check(health_request(service), timeout=30) == SERVING
    watch = stub.channel.unary_stream("/grpc.health.v1.Health/Watch")(health_request(service))
    assert next(watch) == SERVING
    watch.cancel()


def test_health_does_not_know_a_service_that_is_not_there(stub):
    check = stub.channel.unary_unary("/grpc.health.v1.Health/Check")
    with pytest.raises(grpc.RpcError) as unknown:
        check(health_request("no.such.Service"), timeout=30)
    assert unknown.value.code() == grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_lists_the_services_and_gives_their_files(stub, version):
    # Both versions have the same messages.
    ask = stub.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    requests = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(
            file_containing_symbol="jobplane.v1.JobService.WatchJob"
        ),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="google.rpc.ErrorInfo"),
    ]
    services, method, errors = ask(iter(requests), timeout=30)
    assert SERVICES <= {service.name for service in services.list_services_response.service}
    assert b"jobplane/v1/job_service.proto" in b"".join(
        method.file_descriptor_response.file_descriptor_proto
    )
    assert b"google/rpc/error_details.proto" in b"".join(
        errors.file_descriptor_response.file_descriptor_proto
    )


class Web:
    """A gRPC-Web call over HTTP/1.1, as a browser makes it."""

    def __init__(self, address, stub, name, request, headers=()):
        path, _, self.answer = stub.schema.method(name)
        message = stub.request(name, request).SerializeToString()
        host, port = address.rsplit(":", 1)
        self.connection = http.client.HTTPConnection(host, int(port), timeout=30)
        kind = {"Content-Type": "application/grpc-web+proto", "X-Grpc-Web": "1"}
        body = struct.pack(">BI", 0, len(message)) + message
        self.connection.request("POST", path, body, {**kind, **dict(headers)})
        self.response = self.connection.getresponse()
        assert self.response.status == 200
        assert self.response.getheader("Content-Type").startswith("application/grpc-web")
        self.trailers = None

    def __iter__(self):
        while head := self.response.read(5):
            flags, length = struct.unpack(">BI", head)
            content = self.response.read(length)
            if flags & 0x80:
                pairs = (line.split(":", 1) for line in content.decode().strip().split("\r\n"))
                self.trailers = {name.lower(): value for name, value in pairs}
            else:
                yield self.answer.FromString(content)
        self.connection.close()

    def status(self):
        """The grpc-status, from the trailers or, without any message, from the headers."""
        found = (self.trailers or {}).get("grpc-status") or self.response.getheader("grpc-status")
        return int(found)


def test_a_browser_makes_a_unary_call(server, stub, queue):
    job = create(stub, queue)
    web = Web(server.address, stub, "JobService/GetJob", {"job_id": job.id})
    assert [(answer.job.id, answer.job.spec) for answer in web] == [(job.id, job.spec)]
    assert web.status() == 0


def test_a_browser_is_told_why_a_call_is_refused(server, stub):
    web = Web(server.address, stub, "JobService/GetJob", {"job_id": "broken"})
    assert list(web) == []
    assert web.status() == grpc.StatusCode.INVALID_ARGUMENT.value[0]


def test_a_browser_watches_a_job_live(server, stub, queue):
    run = start(stub, queue)
    web = Web(server.address, stub, "JobService/WatchJob", {"job_id": run.job.id})
    events = iter(web)
    assert state(next(events).snapshot.job) == "RUNNING"
    stub.call("WorkerService/CompleteJob", lease(run))
    assert [event.update.status.state for event in events][-1] == 3
    assert web.status() == 0


def test_a_page_of_another_origin_is_not_let_in(server, stub, queue):
    job = create(stub, queue)
    origin = {"Origin": "http://elsewhere.example"}
    web = Web(server.address, stub, "JobService/GetJob", {"job_id": job.id}, origin.items())
    assert web.response.getheader("Access-Control-Allow-Origin") is None
    web.connection.close()


@pytest.fixture(params=["HTTP/1.1", "HTTP/2"])
def plain_http(server, request):
    """A client of plain HTTP; for HTTP/2 by prior knowledge, without TLS."""
    two = request.param == "HTTP/2"
    with httpx.Client(
        base_url=f"http://{server.address}", http1=not two, http2=two, trust_env=False, timeout=30
    ) as client:
        yield request.param, client


def test_health_and_readiness_are_told_over_plain_http(plain_http):
    version, client = plain_http
    for path in ("/healthz", "/readyz"):
        answer = client.get(path)
        assert (answer.status_code, answer.http_version) == (200, version), path
    assert client.get("/no-such-page").status_code == 404


def test_metrics_are_told_over_plain_http(plain_http, stub, queue):
    run = start(stub, queue)
    stub.call("WorkerService/CompleteJob", lease(run))
    version, client = plain_http
    answer = client.get("/metrics")
    assert (answer.status_code, answer.http_version) == (200, version)
    content_type = answer.headers["content-type"]
    assert content_type.startswith(("text/plain", "application/openmetrics-text"))
    lines = answer.text.splitlines()
    samples = [line for line in lines if line and not line.startswith("#")]
    assert all(float(sample.rsplit(" ", 1)[1]) is not None for sample in samples)
    names = {sample.split("{")[0].split(" ")[0] for sample in samples}
    assert names and all(name.startswith("jobplane_") for name in names), names
    text = answer.text
    for what in ('method="', 'type="blackbox"', 'state="', "commit"):
        assert what in text, f"no metric has {what}"


def test_methods_that_a_page_does_not_have_are_refused(server):
    with httpx.Client(base_url=f"http://{server.address}", trust_env=False) as client:
        assert client.post("/metrics").status_code == 405
