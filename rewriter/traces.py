"""Spans of a run for OpenTelemetry: the run, its files, their passages, each try at one, each call of the model.

`recording` sends them by OTLP where the standard variables ask for that. An application with a tracer of its own sets
`tracer`. Without one nothing is loaded and no span is made. No text of a transcript and no secret is in a span: errors
are named by their kind only.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rewriter.records import Answer, Outcome, Request

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Tracer

tracer: Tracer | None = None

# Seconds that the end of a run waits for the last spans to be taken: 2,000 at most, which a receiver far away takes in
# one, and looks whether they are.
LAST_SECONDS, LOOK = 2.0, 0.02

Tell = Callable[[str], None]


class Span:
    """A span while a block runs. `apart`: at the top of a trace of its own that is linked to the one around it."""

    def __init__(self, name: str, facts: dict[str, Any], *, client: bool = False, apart: bool = False) -> None:
        self._name, self._facts, self._client, self._apart = name, facts, client, apart
        self._open: Any = None
        self._span: Any = None

    def __enter__(self) -> Span:
        if tracer is not None and self._name:
            self._open = self._opened(tracer)
            self._span = self._open.__enter__()
        return self

    def _opened(self, tracer: Tracer) -> Any:
        from opentelemetry.context import Context
        from opentelemetry.trace import Link, SpanKind, get_current_span

        return tracer.start_as_current_span(
            self._name,
            context=Context() if self._apart else None,
            links=[Link(get_current_span().get_span_context())] if self._apart else None,
            kind=SpanKind.CLIENT if self._client else SpanKind.INTERNAL,
            attributes=_clean(self._facts),
            record_exception=False,  # its words and its trace may hold what was said
            set_status_on_exception=False,
        )

    def note(self, **facts: Any) -> None:
        """Facts of ours that are known now; None is left out."""
        if self._span is not None:
            self._set(_own(facts))

    def answered(self, answer: Answer) -> None:
        """What a model's answer took."""
        if self._span is not None:
            self._set(
                {
                    "gen_ai.response.model": answer.model or None,
                    "gen_ai.response.finish_reasons": (answer.finish,),
                    "gen_ai.usage.input_tokens": answer.usage.input,
                    "gen_ai.usage.output_tokens": answer.usage.output,
                    "gen_ai.usage.cache_read.input_tokens": answer.usage.cached or None,
                }
            )

    def became(self, outcomes: Sequence[Outcome]) -> None:
        """What became of a passage; of one that was cut in two, the worse."""
        if self._span is not None:
            worst = min(outcomes, key=lambda outcome: (outcome.status != "kept", outcome.score))
            self.note(status=worst.status, score=worst.score, parts=len(outcomes))

    def ended(self, report: Mapping[str, Any]) -> None:
        """How a file or a run ended: counts of its entry in the summary, or the summary's own."""
        known = {name: report.get(name) for name in ("files", "exit", "cost", "resumed")}
        self.note(**known, failed=bool(report.get("failed")), **report.get("passages", {}))

    def _set(self, facts: dict[str, Any]) -> None:
        self._span.set_attributes(_clean(facts))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open is None:
            return
        if kind is not None:
            from opentelemetry.trace import StatusCode

            self._set({"error.type": kind.__name__})
            self._span.set_status(StatusCode.ERROR)
        self._open.__exit__(None, None, None)


_NOTHING = Span("", {})  # stands for every span where none is made


def span(name: str, *, apart: bool = False, **facts: Any) -> Span:
    """A span of ours; the attributes that its facts become begin with "rewriter."."""
    return _NOTHING if tracer is None else Span(name, _own(facts), apart=apart)


def _own(facts: dict[str, Any]) -> dict[str, Any]:
    return {f"rewriter.{name}": value for name, value in facts.items()}


def _clean(facts: dict[str, Any]) -> dict[str, Any]:
    """Facts without those that are not known; a file's name that is no UTF-8 would cost all spans sent with it."""
    known = {name: value for name, value in facts.items() if value is not None}
    return {k: v.encode("utf-8", "backslashreplace").decode() if isinstance(v, str) else v for k, v in known.items()}


def call(url: str, request: Request) -> Span:
    """The span of a model call with all its retries, by OpenTelemetry's conventions for generative AI."""
    if tracer is None:
        return _NOTHING
    address = urlsplit(url)
    facts = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",  # whose interface it is: the conventions' word for compatible endpoints
        "gen_ai.request.model": request.model,
        "gen_ai.request.max_tokens": request.parameters.get("max_tokens"),
        "gen_ai.request.temperature": request.parameters.get("temperature"),
        "server.address": address.hostname,
        "server.port": address.port or (443 if address.scheme == "https" else 80),
    }
    return Span(f"chat {request.model}", facts, client=True)


def place() -> dict[str, str]:
    """Where a span made now would stand, for another machine; nothing where none is made."""
    found: dict[str, str] = {}
    if tracer is not None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        TraceContextTextMapPropagator().inject(found)
    return found


@contextmanager
def under(place: Mapping[str, str]) -> Iterator[None]:
    """Let spans made in the block stand where `place` was asked for."""
    if tracer is None or not place:
        yield
        return
    from opentelemetry.context import attach, detach
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    token = attach(TraceContextTextMapPropagator().extract(place))
    try:
        yield
    finally:
        detach(token)


def variables() -> dict[str, str]:
    """What another machine needs to send spans as this one does; nothing where this one sends none."""
    return {name: value for name, value in os.environ.items() if name.startswith("OTEL_")} if tracer else {}


# --- sending ---------------------------------------------------------------------------------------------------------


@contextmanager
def recording(tell: Tell) -> Iterator[None]:
    """Send spans while the block runs, where OTEL_* variables ask for that; `tell` hears why they cannot be had.

    A receiver that is down, or slow, neither stops nor delays the block; its end waits LAST_SECONDS at most.
    """
    global tracer  # noqa: PLW0603  (as the standard library's logging has its root)
    if not _wanted():
        yield
        return
    with _complaints() as complaints:
        try:
            provider, exporter, receiver = _made()
        except _Unusable as error:
            tell(f"No spans are sent: {error}.")
            yield
            return
        if complaints.count:
            tell("OpenTelemetry cannot use one of the OTEL_* variables, and takes its default.")
        before, tracer, complaints.count = tracer, provider.get_tracer("rewriter"), 0
        try:
            yield
        finally:
            tracer = before
            if not _closed(provider, exporter, complaints) or complaints.count:
                tell(f"Not all spans could be sent to {receiver} (OTEL_EXPORTER_OTLP_ENDPOINT).")


def _wanted() -> bool:
    """Whether the environment asks for spans; OpenTelemetry's own variables, in its own meaning."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporters = os.environ.get("OTEL_TRACES_EXPORTER", "").lower()
    if exporters.strip():
        return "otlp" in (name.strip() for name in exporters.split(","))
    return _variable("ENDPOINT") is not None


def _variable(name: str) -> str | None:
    """A setting of the exporter: the one for spans, or the one for everything."""
    return os.environ.get(f"OTEL_EXPORTER_OTLP_TRACES_{name}") or os.environ.get(f"OTEL_EXPORTER_OTLP_{name}") or None


class _Unusable(Exception):
    """Why there are no spans. It never has a variable's value in it that may be a secret."""


def _made() -> tuple[TracerProvider, SpanExporter, str]:
    """What makes spans, what sends them, and the receiver's name. Raises _Unusable."""
    if (spoken := _variable("PROTOCOL") or "http/protobuf") != "http/protobuf":
        raise _Unusable(f"OTEL_EXPORTER_OTLP_PROTOCOL is {spoken}, and only http/protobuf is spoken here")
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise _Unusable("OTEL_* variables ask for them, but not pip install 'transcript-rewriter[otel]'") from None
    try:
        receiver = urlsplit(_variable("ENDPOINT") or "http://localhost:4318")
        if receiver.scheme not in {"http", "https"} or not receiver.hostname:
            raise ValueError
        where = f"{receiver.hostname}:{receiver.port or receiver.scheme}"
        exporter = OTLPSpanExporter()
        named = Resource.create({SERVICE_VERSION: version("transcript-rewriter")})
        if str(named.attributes[SERVICE_NAME]).startswith("unknown_service"):
            named = named.merge(Resource({SERVICE_NAME: "rewriter"}))
        provider = TracerProvider(resource=named, shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(exporter))
    except ValueError:
        raise _Unusable("one of the OTEL_* variables cannot be used; look at OTEL_EXPORTER_OTLP_ENDPOINT") from None
    return provider, exporter, where


class _Complaints(logging.Handler):
    """How often OpenTelemetry had something to complain of. It would print every time, headers and all."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1


@contextmanager
def _complaints() -> Iterator[_Complaints]:
    theirs, ours = logging.getLogger("opentelemetry"), _Complaints(logging.WARNING)
    before, theirs.propagate = theirs.propagate, False
    theirs.addHandler(ours)
    try:
        yield ours
    finally:
        theirs.removeHandler(ours)
        theirs.propagate = before


def _closed(provider: TracerProvider, exporter: SpanExporter, complaints: _Complaints) -> bool:
    """Send what is left; whether that was done in time. At the first complaint nothing more is tried."""
    ending = threading.Thread(target=provider.shutdown, daemon=True)
    until, before = time.monotonic() + LAST_SECONDS, complaints.count
    ending.start()
    while ending.is_alive() and complaints.count == before and time.monotonic() < until:
        ending.join(LOOK)
    if not ending.is_alive():
        return True
    exporter.shutdown()  # wakes it where it waits to try again
    ending.join(5 * LOOK)
    return False
