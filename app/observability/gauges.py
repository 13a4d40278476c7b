"""Gauges whose value a function returns, for a service of one process or of several."""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector


class WholeGauge(Collector):
    """A value that every process knows for the whole service; the process that is scraped reports it.

    Args:
        name: The metric's name.
        meaning: Its help.
        registry: Where it is registered.
    """

    def __init__(self, name: str, meaning: str, registry: CollectorRegistry) -> None:
        self._name = name
        self._meaning = meaning
        self._function: Callable[[], float] = lambda: 0.0
        registry.register(self)

    def set_function(self, function: Callable[[], float]) -> None:
        """Sets the function that returns the value at each scrape."""
        self._function = function

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Returns the current value."""
        return [GaugeMetricFamily(self._name, self._meaning, value=float(self._function()))]


class SummedGauge:
    """A value of each process; a scrape reports the sum of what each process reported last.

    Args:
        name: The metric's name.
        meaning: Its help.
        registry: Where it is registered.
    """

    def __init__(self, name: str, meaning: str, registry: CollectorRegistry) -> None:
        self._gauge = Gauge(name, meaning, multiprocess_mode="livesum", registry=registry)
        self._function: Callable[[], float] = lambda: 0.0

    def set_function(self, function: Callable[[], float]) -> None:
        """Sets the function that returns the value of this process."""
        self._function = function

    def update(self) -> None:
        """Reports the value of this process."""
        self._gauge.set(self._function())
