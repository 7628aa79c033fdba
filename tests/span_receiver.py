"""A receiver of spans by OTLP over HTTP on loopback, which keeps what it gets."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue


class Got(NamedTuple):
    """A span as it arrived."""

    name: str
    id: bytes
    parent: bytes
    trace: bytes
    links: list[bytes]
    kind: int
    failed: bool
    seconds: float
    facts: dict[str, Any]


class SpanReceiver:
    """Use it as a context manager; `delay` is how long it takes to answer, `status` what it answers."""

    def __init__(self, *, delay: float = 0.0, status: int = 200) -> None:
        self.delay, self.status = delay, status
        self.spans: list[Got] = []
        self.resource: dict[str, Any] = {}
        self.bodies: list[bytes] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                time.sleep(receiver.delay)
                if receiver.status == 200:
                    receiver._take(body)
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> SpanReceiver:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _take(self, body: bytes) -> None:
        self.bodies.append(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resource = {a.key: value_of(a.value) for a in resource.resource.attributes}
            self.spans += [
                Got(
                    span.name,
                    span.span_id,
                    span.parent_span_id,
                    span.trace_id,
                    [link.span_id for link in span.links],
                    span.kind,
                    span.status.code == span.status.STATUS_CODE_ERROR,
                    (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                    {a.key: value_of(a.value) for a in span.attributes},
                )
                for scope in resource.scope_spans
                for span in scope.spans
            ]

    def named(self, name: str) -> list[Got]:
        """The spans of a name, in the order they came."""
        return [span for span in self.spans if span.name == name]


def value_of(value: AnyValue) -> Any:
    """A value out of its wrapping."""
    kind = value.WhichOneof("value")
    return [value_of(v) for v in value.array_value.values] if kind == "array_value" else getattr(value, str(kind))
