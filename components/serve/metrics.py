"""What Prometheus is told at /metrics."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from components.serve.follow import Follower
from components.serve.limits import App, Message, Queue, Receive, Send

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)  # seconds


class Metrics:
    """One set for each application, so that two in one process do not add up."""

    def __init__(self, follower: Follower, queue: Queue) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("mmctr_requests", "Requests answered.", ["route", "status"], registry=self.registry)
        self.seconds = Histogram(
            "mmctr_request_seconds",
            "From the first byte of a request to the last of its answer.",
            ["route"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.candidates = Counter("mmctr_candidates", "Items scored.", registry=self.registry)
        self.unknown = Counter(
            "mmctr_unknown_candidates", "Items scored that it has never seen.", registry=self.registry
        )
        self.registry.register(_State(follower, queue))

    def text(self) -> bytes:
        return generate_latest(self.registry)


@dataclass(frozen=True, eq=False)
class _State:
    """Read when somebody asks."""

    follower: Follower
    queue: Queue

    def collect(self) -> Iterator[Metric]:
        current = self.follower.current
        yield GaugeMetricFamily(
            "mmctr_served_version", "The version served; 0: none.", current.number if current else 0
        )
        yield GaugeMetricFamily("mmctr_queue", "Requests that wait or are being scored.", self.queue.inside)
        problem = float(bool(self.follower.problem))
        yield GaugeMetricFamily("mmctr_registry_problem", "1: the newest version may not be served; /readyz.", problem)
        yield CounterMetricFamily("mmctr_version_swaps", "Versions that were put in service.", self.follower.swaps)
        yield CounterMetricFamily("mmctr_version_failures", "Versions not loaded.", self.follower.failures)


@dataclass
class Measured:
    """Counts and times every request of the application."""

    app: App
    metrics: Metrics

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def noting(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, receive, noting)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self.metrics.requests.labels(route, str(status)).inc()
            self.metrics.seconds.labels(route).observe(time.perf_counter() - started)
