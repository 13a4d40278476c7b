"""What Prometheus reads. Alone imports `prometheus_client`; the other rooms speak of it in plain values.

Every label value is from a closed set, so that no client can make a series. What is counted when it happens is pushed;
what simply is, such as the length of a queue, is read when somebody asks.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from app.errors import ImageTooLarge, InvalidImage, ServiceError, UnsupportedMediaType

# The service would not do the work, as opposed to work that cannot be done.
REFUSALS = frozenset(e.code for e in ServiceError.__subclasses__() if e.status in (401, 408, 413, 429, 503, 504))
DEPARTED = "departed"  # the client was gone before its answer
OTHER = "other"
UNDECODABLE = (InvalidImage.code, ImageTooLarge.code, UnsupportedMediaType.code)
MODEL = ("variant", "weights", "revision", "sha256", "dtype", "device", "engine")

Labels = Mapping[str, tuple[str, ...]]  # name -> the values that start at 0
TOWER: Labels = {"tower": ("image", "text")}
REASON: Labels = {"reason": (*sorted(REFUSALS), DEPARTED, OTHER)}
# As OpenTelemetry's http.server.request.duration.
REQUEST_S = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
STAGE_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Row(NamedTuple):
    """One metric, as the README shows it."""

    name: str
    type: Literal["counter", "histogram", "gauge", "info"]
    meaning: str
    labels: Labels = MappingProxyType({})
    buckets: tuple[float, ...] = ()


REQUEST: Labels = {"route": (), "method": ()}
PUSHED = (
    Row("siglip_http_requests_total", "counter", "answers; 499: the client had gone", {**REQUEST, "status": ()}),
    Row(
        "siglip_http_request_duration_seconds",
        "histogram",
        "from the headers to the last byte of the answer",
        REQUEST,
        REQUEST_S,
    ),
    Row("siglip_rejected_total", "counter", "refused, by `error_type`, or `departed`: the client had gone", REASON),
    Row("siglip_image_decode_failures_total", "counter", "by `error_type`", {"reason": (*UNDECODABLE, OTHER)}),
    Row("siglip_batch_size", "histogram", "rows computed together", TOWER, (1, 2, 4, 8, 16, 32, 64, 128)),
    Row("siglip_inference_seconds", "histogram", "one batch on the device", TOWER, STAGE_S),
    Row("siglip_forward_failures_total", "counter", "batches that failed on the device", TOWER),
    Row("siglip_dropped_rows_total", "counter", "rows not computed, since nobody waited for them any more", TOWER),
    Row("siglip_queue_wait_seconds", "histogram", "one row before the device took it", TOWER, STAGE_S),
    Row("siglip_preprocess_seconds", "histogram", "one image to the model's pixels", buckets=STAGE_S),
)


class Snapshot(NamedTuple):
    """The state at one moment; if nothing is said, as it is before anything has started."""

    queue_depth: int = 0
    queue_bytes: int = 0
    text_cache_bytes: int = 0
    text_cache_hits: int = 0
    text_cache_misses: int = 0
    text_cache_evictions: int = 0
    image_cache_bytes: int = 0
    image_cache_hits: int = 0
    image_cache_misses: int = 0
    image_cache_evictions: int = 0
    label_sets: int = 0
    ready: bool = False
    info: Mapping[str, str | None] | None = None  # the keys of MODEL, once a model is loaded


# In the order of Snapshot's fields; then what needs no asking.
READ = (
    Row("siglip_queue_depth", "gauge", "images waiting or being computed"),
    Row("siglip_queue_bytes", "gauge", "bytes of the request bodies that are here"),
    Row("siglip_text_cache_bytes", "gauge", "memory of the cached text embeddings"),
    Row("siglip_text_cache_hits_total", "counter", "texts whose embedding was known"),
    Row("siglip_text_cache_misses_total", "counter", "texts whose embedding had to be computed"),
    Row("siglip_text_cache_evictions_total", "counter", "embeddings dropped to make room"),
    Row("siglip_image_cache_bytes", "gauge", "memory of the cached image embeddings"),
    Row("siglip_image_cache_hits_total", "counter", "images whose embedding was known"),
    Row("siglip_image_cache_misses_total", "counter", "images whose embedding had to be computed"),
    Row("siglip_image_cache_evictions_total", "counter", "embeddings dropped to make room"),
    Row("siglip_label_sets", "gauge", "stored label sets"),
    Row("siglip_ready", "gauge", "1 while `/health/ready` is 200"),
    Row("siglip_model_info", "info", "always 1: what is loaded", dict.fromkeys(MODEL, ())),
    Row("siglip_threads", "gauge", "Python's threads"),
)


class Metrics:
    """The metrics of one app, with a registry of their own. Any thread may call any method."""

    def __init__(self) -> None:
        # A second series for each counter and histogram, which nobody draws.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no types
        self._registry = CollectorRegistry()
        self._pushed = {row.name: self._register(row) for row in PUSHED}
        self._state = _State()
        self._registry.register(self._state)
        ProcessCollector(registry=self._registry)

    def _register(self, row: Row) -> Any:
        metric: Counter | Histogram
        if row.type == "histogram":
            metric = Histogram(row.name, row.meaning, tuple(row.labels), buckets=row.buckets, registry=self._registry)
        else:
            metric = Counter(row.name, row.meaning, tuple(row.labels), registry=self._registry)
        for values in product(*row.labels.values()) if row.labels else ():
            metric.labels(*values)
        return metric

    def watch(self, snapshot: Callable[[], Snapshot]) -> None:
        """Makes `snapshot` what is asked for the state, at each scrape."""
        self._state.snapshot = snapshot

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Counts an answer. `route` is a template and `method` a known one: both are labels."""
        self._pushed["siglip_http_requests_total"].labels(route, method, status).inc()
        self._pushed["siglip_http_request_duration_seconds"].labels(route, method).observe(seconds)

    def rejected(self, reason: str) -> None:
        """Counts a request whose work was refused, by its error code, or one whose client had gone."""
        known = reason in REFUSALS or reason == DEPARTED
        self._pushed["siglip_rejected_total"].labels(reason if known else OTHER).inc()

    def decode_failed(self, reason: str) -> None:
        """Counts an image that could not be decoded, by its error code."""
        self._pushed["siglip_image_decode_failures_total"].labels(reason if reason in UNDECODABLE else OTHER).inc()

    def forward(self, tower: str, rows: int, seconds: float) -> None:
        """Counts a batch that the device has computed."""
        self._pushed["siglip_batch_size"].labels(tower).observe(rows)
        self._pushed["siglip_inference_seconds"].labels(tower).observe(seconds)

    def forward_failed(self, tower: str) -> None:
        """Counts a batch that the device could not compute."""
        self._pushed["siglip_forward_failures_total"].labels(tower).inc()

    def dropped(self, tower: str, rows: int) -> None:
        """Counts rows that were not computed, since nobody waited for them."""
        self._pushed["siglip_dropped_rows_total"].labels(tower).inc(rows)

    def queue_wait(self, tower: str, seconds: float) -> None:
        """Counts a row that the device has taken from its queue."""
        self._pushed["siglip_queue_wait_seconds"].labels(tower).observe(seconds)

    def preprocess(self, seconds: float) -> None:
        """Counts an image that has been resized."""
        self._pushed["siglip_preprocess_seconds"].observe(seconds)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Returns all metrics and their content type: OpenMetrics for who accepts it, else Prometheus' text.

        Not by prometheus_client's choose_encoder, which fails on a version that is no number and repeats the client's.
        """
        if "application/openmetrics-text" in accept:
            content: bytes = openmetrics.generate_latest(self._registry)  # type: ignore[no-untyped-call]  # no types
            return content, openmetrics.CONTENT_TYPE_LATEST
        return generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4


class _State(Collector):
    """Reads the state when Prometheus asks for it."""

    def __init__(self) -> None:
        self.snapshot: Callable[[], Snapshot] = Snapshot

    def collect(self) -> Iterator[Metric]:
        values: tuple[Any, ...] = (*self.snapshot(), threading.active_count())
        for row, value in zip(READ, values, strict=True):
            if row.type == "info":
                family = InfoMetricFamily(row.name.removesuffix("_info"), row.meaning)
                if value is not None:
                    family.add_metric((), {name: value[name] or "" for name in MODEL})
                yield family
            elif row.type == "counter":
                yield CounterMetricFamily(row.name, row.meaning, value=value)
            else:
                yield GaugeMetricFamily(row.name, row.meaning, value=value)
