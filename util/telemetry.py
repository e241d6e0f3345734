"""Traces by OpenTelemetry, sent by OTLP over HTTP; without an endpoint nothing is imported.

FastAPI itself makes a span of each request. The updater makes one trace of each sync. No
query and no address of a client leaves the process.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

from util.errors import SettingsError

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
    from opentelemetry.trace import Link, Tracer
    from opentelemetry.trace import Span as OpenSpan

PRIVATE: Final = frozenset(
    {"url.query", "url.full", "client.address", "client.port", "network.peer.address"}
)
"""Attributes that are never sent: parameters name rooms and users, addresses people."""

EXPORT_TIMEOUT_SECONDS: Final = 5.0
MOST_LINKS: Final = 64
"""Per span: a drain after an outage takes the events of thousands of requests."""

_tracers: list["Tracer"] = []
_shutdowns: list[Callable[[], None]] = []


def configure(endpoint: str | None, service: str, version: str) -> None:
    """Send the spans of this process to *endpoint*, the base URL of an OTLP receiver.

    Does nothing without one, and when called again. Raises SettingsError if the packages
    are not installed, or if the endpoint is no HTTP address.
    """
    if not endpoint or _tracers:
        return
    if not endpoint.startswith(("http://", "https://")):
        raise SettingsError(
            "OTEL_EXPORTER_OTLP_ENDPOINT is malformed: use the http(s) address of an "
            "OTLP receiver, such as http://127.0.0.1:4318"
        )
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise SettingsError(
            "OTEL_EXPORTER_OTLP_ENDPOINT needs packages that are not installed: "
            "install fpp-analytics[telemetry]"
        ) from None
    exporter = OTLPSpanExporter(
        f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_TIMEOUT_SECONDS
    )
    provider = TracerProvider(
        resource=Resource.create({"service.name": service, "service.version": version}),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(_without_private(BatchSpanProcessor(exporter)))
    trace.set_tracer_provider(provider)
    _tracers.append(provider.get_tracer(service, version))
    _shutdowns.append(provider.shutdown)


def is_enabled() -> bool:
    """True if spans are sent."""
    return bool(_tracers)


def shutdown() -> None:
    """Send what is left, for a few seconds at most. Later spans are not sent."""
    while _shutdowns:
        _shutdowns.pop()()


def _without_private(inner: "SpanProcessor") -> "SpanProcessor":
    """A processor that removes PRIVATE attributes before *inner* sees a span."""
    from opentelemetry.sdk.trace import SpanProcessor

    class WithoutPrivate(SpanProcessor):
        """See above; a class of its own, since its base is imported late."""

        def on_start(
            self, span: "Span", parent_context: "Context | None" = None
        ) -> None:
            inner.on_start(span, parent_context)

        def on_end(self, span: "ReadableSpan") -> None:
            inner.on_end(_cleared(span))

        def shutdown(self) -> None:
            inner.shutdown()

        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            return inner.force_flush(timeout_millis)

    return WithoutPrivate()


def _cleared(span: "ReadableSpan") -> "ReadableSpan":
    """A copy of *span* without PRIVATE attributes; itself if it has none of them."""
    attributes = span.attributes or {}
    if not PRIVATE & attributes.keys():
        return span
    from opentelemetry.sdk.trace import ReadableSpan

    return ReadableSpan(
        name=span.name,
        context=span.get_span_context(),
        parent=span.parent,
        resource=span.resource,
        attributes={k: v for k, v in attributes.items() if k not in PRIVATE},
        events=span.events,
        links=span.links,
        kind=span.kind,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


@contextmanager
def span(
    name: str, attributes: Mapping[str, str | int | float] | None = None
) -> Iterator[Callable[[Collection[str]], None]]:
    """Make a span of the block, inside of the current one.

    The class of an error of the block is its status: its message may name a person.
    Yields a function that links the span to requests by their `traceparent` headers.
    """
    if not _tracers:
        yield _ignore
        return
    with _tracers[0].start_as_current_span(
        name,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as current:

        def link(parents: Collection[str]) -> None:
            for parent in sorted(set(parents))[:MOST_LINKS]:
                if found := _link(parent):
                    current.add_link(found.context, found.attributes)

        with ExitStack() as stack:
            stack.push(partial(_note_error, current))
            yield link


def _note_error(
    current: "OpenSpan", kind: type[BaseException] | None, *_: object
) -> None:
    """Give *current* the class of the error by which its block ends as its status.

    A request to stop, which is no Exception, is no error of the block.
    """
    from opentelemetry.trace import StatusCode

    if kind is not None and issubclass(kind, Exception):
        current.set_status(StatusCode.ERROR, kind.__name__)


def _ignore(_: Collection[str]) -> None:
    """Link nothing."""


def _link(traceparent: str) -> "Link | None":
    """A link to the span that *traceparent* names; None if it is malformed."""
    from opentelemetry import trace
    from opentelemetry.trace.propagation.tracecontext import (
        TraceContextTextMapPropagator,
    )

    found = TraceContextTextMapPropagator().extract({"traceparent": traceparent})
    context = trace.get_current_span(found).get_span_context()
    return trace.Link(context) if context.is_valid else None


def traceparent() -> str | None:
    """The `traceparent` header of the current span; None outside of one."""
    if not _tracers:
        return None
    from opentelemetry.trace.propagation.tracecontext import (
        TraceContextTextMapPropagator,
    )

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent")


def trace_ids() -> dict[str, str]:
    """`trace_id` and `span_id` of the current span in hex; empty outside of one."""
    if not _tracers:
        return {}
    from opentelemetry import trace

    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {
        "trace_id": trace.format_trace_id(context.trace_id),
        "span_id": trace.format_span_id(context.span_id),
    }
