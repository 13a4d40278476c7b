"""Metrics of several processes of one service, summed at each scrape. Nothing here is used by a single process.

prometheus_client then keeps counters and histograms in files of a folder that all processes share, and sums them. It
does so if the variable `PROMETHEUS_MULTIPROC_DIR` is set when it is imported.
"""

import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
SMALLEST = {"process_start_time_seconds", "process_max_fds"}


def shares_metrics() -> bool:
    """Returns whether this process is one of several."""
    return FOLDER in os.environ


def summed_registry() -> CollectorRegistry:
    """Returns a registry with the counters and histograms of all processes, also of those that have ended."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # no types
    return registry


def forget(pid: int, folder: Path) -> None:
    """Removes the gauges of a process that has ended."""
    mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]  # no types


class ProcessesCollector(Collector):
    """CPU time, memory and files of all processes together.

    Args:
        pids: Returns the processes' ids.
    """

    def __init__(self, pids: Callable[[], Iterable[int]]) -> None:
        self._pids = pids

    def collect(self) -> Iterable[Metric]:
        """Returns the sums; of the start time and of the limit for files, the smallest."""
        summed: dict[str, Metric] = {}
        for pid in self._pids():
            for metric in ProcessCollector(pid=partial(int, pid), registry=None).collect():
                known = summed.setdefault(metric.name, metric)
                if known is metric:
                    continue
                (sample,), (more,) = known.samples, metric.samples
                values = sample.value, more.value
                known.samples = [sample._replace(value=min(values) if sample.name in SMALLEST else sum(values))]
        return summed.values()
