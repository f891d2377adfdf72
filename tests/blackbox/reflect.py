"""Speaks gRPC to a server that it knows by reflection alone: there is no generated code.

    stub = Stub("127.0.0.1:50051")
    job = stub.call("JobService/CreateJob", {"spec": {"type": "demo"}}).job
    for event in stub.watch("JobService/WatchJob", {"job_id": job.id}): ...
    conversation = stub.open("WorkerService/ReportProgress")

Requests are dicts in the proto JSON mapping (`"lease_ttl": "10s"`) or messages, answers are messages.
"""

import queue
import threading

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.message import Message
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

PACKAGE = "jobplane.v1"
TIMEOUT = 30.0


class Failed(Exception):
    """What a call or a report was refused with, its details taken apart."""

    def __init__(self, code, message, details):
        self.code = code
        self.message = message
        self.reason = ""
        self.domain = ""
        self.metadata = {}
        self.fields = []
        self.retry_info = False
        for detail in details:
            name = detail.DESCRIPTOR.full_name
            if name == "google.rpc.ErrorInfo":
                self.reason, self.domain = detail.reason, detail.domain
                self.metadata = dict(detail.metadata)
            elif name == "google.rpc.BadRequest":
                self.fields = [violation.field for violation in detail.field_violations]
            elif name == "google.rpc.RetryInfo":
                self.retry_info = True
        super().__init__(f"{code} {self.reason} {self.metadata} {self.fields}: {message}")


class Schema:
    """Message classes and method signatures, asked of a server once."""

    def __init__(self, channel):
        self._lock = threading.RLock()
        self._classes = {}
        self._methods = {}
        self.pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        # Asked now: when a failure is to be read, the server may be gone.
        self.message("google.rpc.Status")
        self.message("google.rpc.ErrorInfo")  # and with it every other detail of its file

    def message(self, full_name):
        """The class of a message, by its full name."""
        with self._lock:
            if full_name not in self._classes:
                descriptor = self.pool.FindMessageTypeByName(full_name)
                self._classes[full_name] = message_factory.GetMessageClass(descriptor)
            return self._classes[full_name]

    def method(self, name):
        """Path, request class and answer class of `Service/Method`."""
        with self._lock:
            if name not in self._methods:
                service, method = name.split("/")
                service = service if "." in service else f"{PACKAGE}.{service}"
                descriptor = self.pool.FindServiceByName(service).methods_by_name[method]
                self._methods[name] = (
                    f"/{service}/{method}",
                    self.message(descriptor.input_type.full_name),
                    self.message(descriptor.output_type.full_name),
                )
            return self._methods[name]

    def failure(self, status):
        """A `google.rpc.Status` as an exception."""
        details = []
        with self._lock:
            for packed in status.details:
                detail = self.message(packed.type_url.rsplit("/", 1)[-1])()
                packed.Unpack(detail)
                details.append(detail)
        code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
        return Failed(code, status.message, details)

    def failure_of_call(self, error):
        """A failed call as an exception."""
        for key, value in error.trailing_metadata() or ():
            if key == "grpc-status-details-bin":
                return self.failure(self.message("google.rpc.Status").FromString(value))
        return Failed(error.code(), error.details(), [])


class Stub:
    """One connection of its own to one server."""

    def __init__(self, address, like=None):
        self.address = address
        self.channel = grpc.insecure_channel(
            address,
            options=[
                ("grpc.use_local_subchannel_pool", 1),
                ("grpc.max_receive_message_length", 32 * 1024 * 1024),
                ("grpc.initial_reconnect_backoff_ms", 100),
                ("grpc.enable_http_proxy", 0),
            ],
        )
        self.schema = like or Schema(self.channel)

    def request(self, name, request):
        """The request of a method as a message."""
        if isinstance(request, Message):
            return request
        return json_format.ParseDict(request or {}, self.schema.method(name)[1]())

    def _callable(self, name, kind):
        path, asked, answered = self.schema.method(name)
        return getattr(self.channel, kind)(
            path,
            request_serializer=asked.SerializeToString,
            response_deserializer=answered.FromString,
        )

    def call(self, name, request=None, timeout=TIMEOUT):
        """A unary call. Raises `Failed`."""
        return self.start(name, request, timeout).result()

    def start(self, name, request=None, timeout=TIMEOUT):
        """A unary call under way: `result()` waits, `cancel()` gives up."""
        message = self.request(name, request)
        return Pending(self.schema, self._callable(name, "unary_unary").future(message, timeout))

    def watch(self, name, request=None, timeout=120.0):
        """A server stream: iterate, `cancel()` to leave. Raises `Failed`."""
        message = self.request(name, request)
        return Events(self.schema, self._callable(name, "unary_stream")(message, timeout))

    def open(self, name, *first):
        """A stream in both directions; what is to come `first` is there when it begins."""
        return Conversation(self, name, first)

    def close(self):
        """Ends the connection and every call on it."""
        self.channel.close()


class Pending:
    """A unary call under way."""

    def __init__(self, schema, future):
        self._schema, self._future = schema, future

    def result(self):
        """The answer. Raises `Failed`."""
        try:
            return self._future.result()
        except grpc.RpcError as error:
            raise self._schema.failure_of_call(error) from None

    def outcome(self):
        """The answer or the failure, whichever it is."""
        try:
            return self.result()
        except Failed as failed:
            return failed

    def cancel(self):
        """Gives up: the answer is thrown away."""
        self._future.cancel()


class Events:
    """The messages of a server stream."""

    def __init__(self, schema, call):
        self._schema, self._call = schema, call

    def __iter__(self):
        return self

    def __next__(self):
        try:
            return next(self._call)
        except grpc.RpcError as error:
            raise self._schema.failure_of_call(error) from None

    def cancel(self):
        """Leaves the stream."""
        self._call.cancel()


class Conversation:
    """A stream in both directions. Answers are read as they come and kept until `receive` asks for them."""

    def __init__(self, stub, name, first=()):
        self._stub, self._name = stub, name
        self._outbox, self._inbox = queue.SimpleQueue(), queue.SimpleQueue()
        for request in first:
            self.send(request)
        self._call = stub._callable(name, "stream_stream")(iter(self._outbox.get, None))
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            for message in self._call:
                self._inbox.put(message)
            self._inbox.put(EOFError("the server ended the stream with OK"))
        except grpc.RpcError as error:
            self._outbox.put(None)
            try:
                self._inbox.put(self._stub.schema.failure_of_call(error))
            except Exception as broken:  # the reader must not wait for ever
                self._inbox.put(broken)

    def send(self, request):
        """Sends a message."""
        self._outbox.put(self._stub.request(self._name, request))

    def receive(self, timeout=TIMEOUT):
        """The next message. Raises `Failed` or `EOFError` at the end, `TimeoutError` if nothing came."""
        try:
            message = self._inbox.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError(f"nothing came for {timeout} s") from None
        if isinstance(message, Exception):
            self._inbox.put(message)
            raise message
        return message

    def half_close(self):
        """Says that nothing more will be sent."""
        self._outbox.put(None)

    def cancel(self):
        """Resets the stream."""
        self._outbox.put(None)
        self._call.cancel()


def enum(message, field):
    """The short name of an enum field: `SUCCEEDED` for `JOB_STATE_SUCCEEDED`."""
    descriptor = message.DESCRIPTOR.fields_by_name[field].enum_type
    prefix = descriptor.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return descriptor.values_by_number[getattr(message, field)].name.removeprefix(prefix)


def state(job):
    """The state of a job, in short."""
    return enum(job.status, "state")


def plain(struct):
    """A Struct as a dict."""
    return json_format.MessageToDict(struct)
