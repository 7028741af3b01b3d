"""The metrics in Prometheus' text form: what all processes counted, and what the rows say at this moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from autotrader.core.ops import value_files
from autotrader.core.ops.figures import Figure

PREFIX = "autotrader_"
CONTENT_TYPE = CONTENT_TYPE_LATEST
Source = Callable[[datetime], Iterable[Figure]]
_sources: list[Source] = []


def register(source: Source) -> None:
    """Let a room tell its figures; called once each, where the packages are joined."""
    _sources.append(source)


def figures(now: datetime) -> Iterator[Figure]:
    """Every figure of every room."""
    for source in _sources:
        yield from source(now)


def rendered(now: datetime) -> bytes:
    """The whole page. Raises DatabaseError or OSError where rows or files cannot be read: no figure is ever left
    out or told as 0.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Page([*value_files.collected(), *map(_family, figures(now))]))
    return generate_latest(registry)


class _Page(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _family(figure: Figure) -> Metric:
    kind = CounterMetricFamily if figure.kind == "counter" else GaugeMetricFamily
    family = kind(PREFIX + figure.name, figure.doc, labels=figure.labels)
    for labels, value in sorted(figure.samples.items()):
        family.add_metric([str(label) for label in labels], float(value))
    return family
