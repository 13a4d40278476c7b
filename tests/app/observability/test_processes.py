import os
import subprocess
import sys

from prometheus_client import CollectorRegistry

from app.observability.processes import FOLDER, ProcessesCollector, shares_metrics

PROGRAM = """
import os, sys
from pathlib import Path
from app.observability.metrics import Metrics
from app.observability.processes import forget
metrics = Metrics(lambda: [os.getpid()])
metrics.worker_exit("crashed")
metrics.threads.set_function(lambda: 5)
metrics.request("/classify", "POST", 200, 0.1)
if sys.argv[1:]:
    forget(int(sys.argv[1]), Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]))
print(metrics.exposition("")[0].decode())
"""


def scrape(folder, *arguments: str) -> tuple[int, list[str]]:
    """Returns the id of a process that counts one event and is scraped, and its exposition."""
    command, variables = [sys.executable, "-c", PROGRAM, *arguments], os.environ | {FOLDER: str(folder)}
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        return process.pid, process.stdout.read().splitlines()


def test_counters_are_summed_over_all_processes_and_gauges_over_those_that_run(tmp_path):
    first, lines = scrape(tmp_path)
    assert 'siglip_decode_worker_exits_total{reason="crashed"} 1.0' in lines
    assert "siglip_threads 5.0" in lines
    _, lines = scrape(tmp_path)
    assert 'siglip_decode_worker_exits_total{reason="crashed"} 2.0' in lines
    assert "siglip_threads 10.0" in lines
    _, lines = scrape(tmp_path, str(first))
    assert 'siglip_http_requests_total{method="POST",route="/classify",status="200"} 3.0' in lines
    assert "siglip_threads 10.0" in lines  # the second's and its own: the first one was forgotten
    assert len(lines) == len(set(lines))


def test_a_single_process_does_not_share_metrics():
    assert not shares_metrics()


def test_cpu_time_and_memory_are_those_of_all_processes():
    def value(pids: list[int], name: str) -> float:
        registry = CollectorRegistry()
        registry.register(ProcessesCollector(lambda: pids))
        found = registry.get_sample_value(name)
        assert found is not None
        return found

    own = os.getpid()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        both = value([own, other.pid], "process_resident_memory_bytes")
        assert both > value([own], "process_resident_memory_bytes") * 0.9
        assert value([own, other.pid], "process_open_fds") > value([other.pid], "process_open_fds")
        start_s = "process_start_time_seconds"
        assert value([own, other.pid], start_s) == value([own], start_s) <= value([other.pid], start_s)
        other.communicate(b"\n")
    assert value([own, 2**22 + 1], start_s) == value([own], start_s)  # a process that has ended
