"""All metrics, as attributes.

Every label value comes from a closed set, so that no client can create a series; of label sets, only the first
`MAX_NAMES` names are values. Counters and histograms are updated
when something happens; gauges call a function at each scrape, which the engine and `main` set.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from itertools import product
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram, Info, ProcessCollector
from prometheus_client import disable_created_metrics as disable_created
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from app.errors import IMAGE_ERRORS, ServiceError
from app.observability.gauges import SummedGauge, WholeGauge
from app.observability.logs import dropped_lines
from app.observability.processes import ProcessesCollector, shares_metrics, summed_registry

# Errors by which the service refuses a request, as opposed to errors in the request's content.
REFUSALS = frozenset(e.code for e in ServiceError.__subclasses__() if e.status in (401, 403, 408, 413, 429, 503, 504))
DEPARTED = "departed"  # the client disconnected before its response
OTHER = "other"
MAX_NAMES = 100  # of label sets; the others are counted together, as `OTHER`
UNDECODABLE = tuple(error.code for error in IMAGE_ERRORS)
WORKER_EXITS = ("crashed", "out_of_time")
TOWERS = ("image", "text")
MODEL = ("variant", "weights", "revision", "sha256", "dtype", "device", "engine")
# The same as OpenTelemetry's http.server.request.duration.
REQUEST_S = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
STAGE_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128)

M = TypeVar("M", Counter, Histogram)


def started(metric: M, *values: Iterable[str]) -> M:
    """Returns a metric whose series for these label values exist from the start, with the value 0."""
    for labels in product(*values):
        metric.labels(*labels)
    return metric


class Metrics:
    """The metrics of one app, in a separate registry. Thread-safe.

    Args:
        pids: Returns the ids of the service's processes, if it has several.
    """

    def __init__(self, pids: Callable[[], Iterable[int]] | None = None) -> None:
        disable_created()  # type: ignore[no-untyped-call]  # a second series for each counter and histogram
        self.registry = r = CollectorRegistry()
        # What is scraped: what this process counts, or of several processes the sum. Metrics whose values are of the
        # whole service are registered there.
        self._scraped = whole = summed_registry() if shares_metrics() else r
        if pids:
            whole.register(ProcessesCollector(pids))
        else:
            ProcessCollector(registry=whole)
        answered = "responses; 499: the client had disconnected"
        self.requests = Counter("siglip_http_requests_total", answered, ["route", "method", "status"], registry=r)
        self.request_s = Histogram(
            "siglip_http_request_duration_seconds",
            "from the headers to the last byte of the response",
            ["route", "method"],
            buckets=REQUEST_S,
            registry=r,
        )
        refused = "refused requests, by `error_type`, or `departed`: the client had disconnected"
        self.rejections = started(
            Counter("siglip_rejected_total", refused, ["reason"], registry=r), [*sorted(REFUSALS), DEPARTED]
        )
        self.decode_failures = started(
            Counter("siglip_image_decode_failures_total", "by `error_type`", ["reason"], registry=r), UNDECODABLE
        )
        ended = "decode workers that crashed, or were ended because an image took too much time"
        self.worker_exits = started(
            Counter("siglip_decode_worker_exits_total", ended, ["reason"], registry=r), WORKER_EXITS
        )
        self.batch_size = started(
            Histogram("siglip_batch_size", "rows computed together", ["tower"], buckets=ROWS, registry=r), TOWERS
        )
        self.inference_s = started(
            Histogram("siglip_inference_seconds", "one batch on the device", ["tower"], buckets=STAGE_S, registry=r),
            TOWERS,
        )
        self.forward_failures = started(
            Counter("siglip_forward_failures_total", "batches that failed on the device", ["tower"], registry=r), TOWERS
        )
        dropped = "rows that were not computed, because their requests had ended"
        self.dropped_rows = started(Counter("siglip_dropped_rows_total", dropped, ["tower"], registry=r), TOWERS)
        self.queue_wait_s = started(
            Histogram(
                "siglip_queue_wait_seconds", "one row before its batch started", ["tower"], buckets=STAGE_S, registry=r
            ),
            TOWERS,
        )
        self.preprocess_s = Histogram(
            "siglip_preprocess_seconds", "decoding and resizing one image", buckets=STAGE_S, registry=r
        )
        self.text_cache = CacheMetrics("text", r)
        self.image_cache = CacheMetrics("image", r)
        self.queue_depth = WholeGauge("siglip_queue_depth", "images that wait or are computed", whole)
        self.queue_bytes = WholeGauge("siglip_queue_bytes", "bytes of the request bodies in memory", whole)
        self.label_sets = WholeGauge("siglip_label_sets", "stored label sets", whole)
        up = "1 while the store of label sets answers"
        self.store_up = WholeGauge("siglip_store_up", up, whole)
        unanswered = "calls of the store of label sets that failed"
        self.store_failures = Counter("siglip_store_failures_total", unanswered, registry=r)
        none = "images for which no label of a set with thresholds was accepted"
        self.none_accepted = started(Counter("siglip_none_accepted_total", none, ["label_set"], registry=r), [OTHER])
        stale = "requests to a label set whose thresholds or calibration are not in force"
        self.not_in_force = started(Counter("siglip_not_in_force_total", stale, ["label_set"], registry=r), [OTHER])
        self._names: set[str] = set()
        self._names_lock = threading.Lock()
        self.ready = WholeGauge("siglip_ready", "1 while `/health/ready` is 200", whole)
        self.threads = SummedGauge("siglip_threads", "Python's threads", r)
        self.threads.set_function(threading.active_count)
        dropped = "log lines that were dropped, because the log was not read fast enough"
        self._dropped_lines = Counter("siglip_dropped_log_lines_total", dropped, registry=r)
        self._counted_lines = 0

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Counts a response. `route` is a template and `method` a known one: both are labels."""
        self.requests.labels(route, method, status).inc()
        self.request_s.labels(route, method).observe(seconds)
        if self.registry is not self._scraped:  # another process may be scraped next
            self._update()

    def label_set(self, name: str) -> str:
        """Returns a label set's name as a label value."""
        with self._names_lock:
            if name not in self._names and len(self._names) < MAX_NAMES:
                self._names.add(name)
            return name if name in self._names else OTHER

    def worker_exit(self, reason: str) -> None:
        """Counts a decode worker that has ended, by a reason of `WORKER_EXITS`."""
        self.worker_exits.labels(reason).inc()

    def model(self, facts: Mapping[str, str | None]) -> None:
        """Reports the loaded model, by the names in `MODEL`."""
        model = Info("siglip_model", "the loaded model; the value is always 1", registry=self._scraped)
        model.info({name: value or "" for name, value in facts.items()})

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Returns all metrics and their content type: OpenMetrics if `accept` names it, else Prometheus' text format.

        It does not use prometheus_client's choose_encoder, which fails on a version that is not a number.
        """
        self._update()
        if "application/openmetrics-text" in accept:
            content: bytes = openmetrics.generate_latest(self._scraped)  # type: ignore[no-untyped-call]  # no types
            return content, openmetrics.CONTENT_TYPE_LATEST
        return generate_latest(self._scraped), CONTENT_TYPE_PLAIN_0_0_4

    def _update(self) -> None:
        """Reads what is not counted when it happens."""
        for gauge in (self.threads, self.text_cache.bytes, self.image_cache.bytes):
            gauge.update()
        dropped = dropped_lines()
        self._dropped_lines.inc(dropped - self._counted_lines)
        self._counted_lines = dropped


class CacheMetrics:
    """The metrics of one embedding cache.

    Args:
        name: "text" or "image".
        registry: The app's registry.
    """

    def __init__(self, name: str, registry: CollectorRegistry) -> None:
        prefix = f"siglip_{name}_cache"
        self.bytes = SummedGauge(f"{prefix}_bytes", f"memory of the cached {name} embeddings", registry)
        self.hits = Counter(f"{prefix}_hits_total", f"{name}s whose embedding was cached", registry=registry)
        self.misses = Counter(f"{prefix}_misses_total", f"{name}s whose embedding was computed", registry=registry)
        self.evictions = Counter(f"{prefix}_evictions_total", "embeddings removed from a full cache", registry=registry)
