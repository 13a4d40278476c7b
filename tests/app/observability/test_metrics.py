"""The metrics as Prometheus would read them: through its own parsers."""

import threading

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from app.errors import ServiceError
from app.observability.metrics import MODEL, PUSHED, READ, REFUSALS, Metrics, Snapshot


def scrape(metrics: Metrics) -> dict[str, Metric]:
    """Returns each family by its name in the table."""
    text, _ = metrics.exposition("")
    return {family.name: family for family in parse_text(text.decode())}


def value(metrics: Metrics, name: str, **labels: str) -> float:
    """Returns the value of one series; it is an error if there is none."""
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


def test_two_apps_in_one_process_count_for_themselves(metrics):
    metrics.forward_failed("image")
    assert value(metrics, "siglip_forward_failures_total", tower="image") == 1
    assert value(Metrics(), "siglip_forward_failures_total", tower="image") == 0


def test_what_is_pushed_is_what_is_read(metrics):
    metrics.request("/classify", "POST", 200, 0.3)
    metrics.rejected("overloaded")
    metrics.decode_failed("invalid_image")
    metrics.forward("image", 5, 0.02)
    metrics.forward_failed("text")
    metrics.dropped("image", 3)
    metrics.queue_wait("text", 0.004)
    metrics.preprocess(0.002)
    asked = {"method": "POST", "route": "/classify"}
    read = [
        value(metrics, "siglip_http_requests_total", **asked, status="200"),
        value(metrics, "siglip_http_request_duration_seconds_sum", **asked),
        value(metrics, "siglip_http_request_duration_seconds_bucket", **asked, le="0.25"),
        value(metrics, "siglip_http_request_duration_seconds_bucket", **asked, le="0.5"),
        value(metrics, "siglip_rejected_total", reason="overloaded"),
        value(metrics, "siglip_image_decode_failures_total", reason="invalid_image"),
        value(metrics, "siglip_batch_size_bucket", tower="image", le="4.0"),
        value(metrics, "siglip_batch_size_bucket", tower="image", le="8.0"),
        value(metrics, "siglip_inference_seconds_sum", tower="image"),
        value(metrics, "siglip_forward_failures_total", tower="text"),
        value(metrics, "siglip_dropped_rows_total", tower="image"),
        value(metrics, "siglip_queue_wait_seconds_sum", tower="text"),
        value(metrics, "siglip_preprocess_seconds_sum"),
    ]
    assert read == [1, 0.3, 0, 1, 1, 1, 0, 1, 0.02, 1, 3, 0.004, 0.002]


def test_a_reason_that_nobody_knows_is_another(metrics):
    metrics.rejected("sesame")
    metrics.rejected("invalid_labels")
    metrics.decode_failed("sesame")
    assert value(metrics, "siglip_rejected_total", reason="other") == 2
    assert value(metrics, "siglip_image_decode_failures_total", reason="other") == 1
    assert b"sesame" not in metrics.exposition("")[0]


def test_refusals_are_errors_that_are_not_about_what_was_sent():
    codes = {error.code: error.status for error in ServiceError.__subclasses__()}
    assert {"overloaded", "body_too_large", "image_too_large", "not_ready"} <= REFUSALS <= set(codes)
    assert not REFUSALS & {"invalid_request", "not_found", "method_not_allowed", "invalid_image", "internal_error"}


def test_a_known_label_value_is_0_from_the_start(metrics):
    assert value(metrics, "siglip_rejected_total", reason="departed") == 0
    assert value(metrics, "siglip_image_decode_failures_total", reason="invalid_image") == 0
    assert value(metrics, "siglip_batch_size_count", tower="text") == 0
    assert value(metrics, "siglip_preprocess_seconds_count") == 0


def test_the_state_is_read_at_each_scrape(metrics):
    assert value(metrics, "siglip_ready") == 0
    assert scrape(metrics)["siglip_model_info"].samples == []
    depths = iter([7, 8])
    info = dict.fromkeys(MODEL, "x") | {"revision": None, "device": 'GPU "0"\n'}
    metrics.watch(lambda: Snapshot(next(depths), *range(1, 11), ready=True, info=info))
    families = scrape(metrics)
    read = {row.name: families[row.name.removesuffix("_total")].samples[0] for row in READ}
    assert [read[row.name].value for row in READ[:-2]] == [7, *range(1, 11), 1]
    assert read["siglip_model_info"].labels == dict.fromkeys(MODEL, "x") | {"revision": "", "device": 'GPU "0"\n'}
    assert read["siglip_threads"].value == threading.active_count()
    assert value(metrics, "siglip_queue_depth") == 8


@pytest.mark.parametrize(("accept", "parse"), [("", parse_text), ("application/openmetrics-text", parse_openmetrics)])
def test_every_metric_of_the_table_is_there_as_it_says_and_no_other(metrics, accept, parse):
    metrics.watch(lambda: Snapshot(info=dict.fromkeys(MODEL, "x")))
    metrics.request("/classify", "POST", 200, 0.3)
    text, _ = metrics.exposition(accept)
    families = list(parse(text.decode()))
    assert len({family.name for family in families}) == len(families)
    series = [(sample.name, *sample.labels.items()) for family in families for sample in family.samples]
    assert len(set(series)) == len(series)
    told = {}
    for family in families:
        if family.name.startswith("siglip_"):
            name = {"counter": "_total", "info": "_info"}.get(family.type, "")
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            told[family.name + name] = (family.documentation, labels)
    assert told == {row.name: (row.meaning, set(row.labels)) for row in PUSHED + READ}


@pytest.mark.parametrize("row", PUSHED + READ, ids=lambda row: row.name)
def test_a_name_follows_prometheus_naming(row):
    assert row.name.startswith("siglip_")
    assert row.name.endswith("_total") == (row.type == "counter")
    assert row.name.endswith("_info") == (row.type == "info")
    assert not row.name.endswith(("_ms", "_milliseconds", "_kb", "_mb"))
    assert list(row.buckets) == sorted(set(row.buckets))
    assert bool(row.buckets) == (row.type == "histogram")


def test_the_processes_memory_and_files_are_there(metrics):
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
