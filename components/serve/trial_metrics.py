"""What Prometheus is told of the challenger and of the request log."""

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from components.serve.trial import Trial


@dataclass(frozen=True, eq=False)
class TrialMetrics:
    """Read when somebody asks. A part that is not in use has no metrics."""

    trial: Trial

    def collect(self) -> Iterator[Metric]:
        trial = self.trial
        if trial.challenger is not None:
            current = trial.challenger.current
            yield GaugeMetricFamily("mmctr_challenger_version", "0: none.", current.number if current else 0)
            yield _counter("mmctr_canary_requests", "Requests of users in the canary's share.", trial.counts)
        if trial.shadow is not None:
            yield _counter("mmctr_shadow_requests", "Requests to be scored by the challenger too.", trial.shadow.counts)
        if trial.log is not None:
            counts = trial.log.counts
            outcomes = {name: getattr(counts, name) for name in ("written", "dropped", "lost")}
            yield _family("mmctr_log_requests", "Requests chosen for the log.", outcomes)
            yield CounterMetricFamily("mmctr_log_files", "Files of the log that were written.", counts.files)
            yield CounterMetricFamily("mmctr_log_failures", "Attempts at a file that failed.", counts.failures)


def _counter(name: str, help_text: str, counts: object) -> CounterMetricFamily:
    return _family(name, help_text, vars(counts))


def _family(name: str, help_text: str, outcomes: dict[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, help_text, labels=["outcome"])
    for outcome, count in outcomes.items():
        family.add_metric([outcome], count)
    return family
