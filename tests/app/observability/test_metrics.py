"""The metrics, read with the parsers of the Prometheus client."""

import threading

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from app.errors import ServiceError
from app.observability.metrics import MAX_NAMES, MODEL, OTHER, REFUSALS, Metrics


def scrape(metrics: Metrics) -> dict[str, Metric]:
    """Returns the metric families by name."""
    text, _ = metrics.exposition("")
    return {family.name: family for family in parse_text(text.decode())}


def value(metrics: Metrics, name: str, **labels: str) -> float:
    """Returns the value of one series. Fails if the series does not exist."""
    text, _ = metrics.exposition("")
    (found,) = [
        sample.value
        for family in parse_text(text.decode())
        for sample in family.samples
        if (sample.name, sample.labels) == (name, labels)
    ]
    return float(found)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def test_two_apps_in_one_process_have_separate_metrics(metrics):
    metrics.forward_failures.labels("image").inc()
    assert value(metrics, "siglip_forward_failures_total", tower="image") == 1
    assert value(Metrics(), "siglip_forward_failures_total", tower="image") == 0


def test_counted_events_are_exposed(metrics):
    metrics.request("/classify", "POST", 200, 0.3)
    metrics.rejections.labels("overloaded").inc()
    metrics.text_cache.hits.inc(3)
    metrics.image_cache.evictions.inc()
    labels = {"method": "POST", "route": "/classify"}
    read = [
        value(metrics, "siglip_http_requests_total", **labels, status="200"),
        value(metrics, "siglip_http_request_duration_seconds_sum", **labels),
        value(metrics, "siglip_http_request_duration_seconds_bucket", **labels, le="0.25"),
        value(metrics, "siglip_http_request_duration_seconds_bucket", **labels, le="0.5"),
        value(metrics, "siglip_rejected_total", reason="overloaded"),
        value(metrics, "siglip_text_cache_hits_total"),
        value(metrics, "siglip_image_cache_evictions_total"),
    ]
    assert read == [1, 0.3, 0, 1, 1, 3, 1]


def test_refusals_do_not_include_invalid_requests_and_internal_errors():
    codes = {error.code: error.status for error in ServiceError.__subclasses__()}
    assert {"overloaded", "body_too_large", "image_too_large", "not_ready"} <= REFUSALS <= set(codes)
    assert not REFUSALS & {"invalid_request", "not_found", "method_not_allowed", "invalid_image", "internal_error"}


def test_known_series_are_0_from_the_start(metrics):
    assert value(metrics, "siglip_rejected_total", reason="departed") == 0
    assert value(metrics, "siglip_image_decode_failures_total", reason="invalid_image") == 0
    assert value(metrics, "siglip_batch_size_count", tower="text") == 0
    assert value(metrics, "siglip_preprocess_seconds_count") == 0


def test_gauges_are_read_at_each_scrape(metrics):
    assert value(metrics, "siglip_ready") == 0
    depth = 7
    metrics.queue_depth.set_function(lambda: depth)
    assert value(metrics, "siglip_queue_depth") == 7
    depth = 8
    assert value(metrics, "siglip_queue_depth") == 8
    assert value(metrics, "siglip_threads") == threading.active_count()


def test_the_model_is_reported_once_it_is_loaded(metrics):
    assert "siglip_model" not in scrape(metrics)
    metrics.model(dict.fromkeys(MODEL, "x") | {"revision": None, "device": 'GPU "0"\n'})
    (sample,) = scrape(metrics)["siglip_model_info"].samples
    assert (sample.name, sample.value) == ("siglip_model_info", 1)
    assert sample.labels == dict.fromkeys(MODEL, "x") | {"revision": "", "device": 'GPU "0"\n'}


@pytest.mark.parametrize(("accept", "parse"), [("", parse_text), ("application/openmetrics-text", parse_openmetrics)])
def test_every_series_is_exposed_once_in_both_formats(metrics, accept, parse):
    metrics.request("/classify", "POST", 200, 0.3)
    metrics.model(dict.fromkeys(MODEL, "x"))
    text, _ = metrics.exposition(accept)
    families = list(parse(text.decode()))
    assert len({family.name for family in families}) == len(families)
    series = [(sample.name, *sample.labels.items()) for family in families for sample in family.samples]
    assert len(set(series)) == len(series)
    assert not [name for name, *_ in series if name.endswith("_created")]


def test_names_follow_the_conventions_of_prometheus(metrics):
    metrics.model(dict.fromkeys(MODEL, "x"))
    for family in metrics.registry.collect():
        assert family.name.startswith(("siglip_", "process_"))
        assert family.documentation
        assert not family.name.endswith(("_ms", "_milliseconds", "_kb", "_mb"))


def test_memory_and_open_files_of_the_process_are_exposed(metrics):
    names = set(scrape(metrics))
    assert {"process_resident_memory_bytes", "process_cpu_seconds", "process_open_fds"} <= names


def test_threads_may_count_at_the_same_time(metrics):
    def count() -> None:
        for _ in range(500):
            metrics.request("/info", "GET", 200, 0.1)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert value(metrics, "siglip_http_requests_total", route="/info", method="GET", status="200") == 2000


def test_only_the_first_label_sets_are_counted_by_name(metrics):
    names = [f"set-{index}" for index in range(MAX_NAMES + 5)]
    for name in [*names, *names]:
        metrics.none_accepted.labels(metrics.label_set(name)).inc()
    read = [value(metrics, "siglip_none_accepted_total", label_set=name) for name in (names[0], names[99], OTHER)]
    assert read == [2, 2, 10]
    assert len(scrape(metrics)["siglip_none_accepted"].samples) == MAX_NAMES + 1
