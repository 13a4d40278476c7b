from prometheus_client import CollectorRegistry, generate_latest

from app.observability.gauges import SummedGauge, WholeGauge


def test_a_whole_gauge_reads_its_function_at_each_scrape():
    registry, values = CollectorRegistry(), iter([3, 4])
    WholeGauge("depth", "the depth", registry).set_function(lambda: next(values))
    assert [b"\ndepth %d.0\n" % value in generate_latest(registry) for value in (3, 4)] == [True, True]


def test_a_whole_gauge_has_its_help_and_type_and_is_zero_before_it_has_a_function():
    registry = CollectorRegistry()
    WholeGauge("depth", "the depth", registry)
    assert generate_latest(registry) == b"# HELP depth the depth\n# TYPE depth gauge\ndepth 0.0\n"


def test_a_summed_gauge_reports_what_it_was_at_the_last_update():
    registry, size = CollectorRegistry(), 5
    gauge = SummedGauge("size", "the size", registry)
    gauge.set_function(lambda: size)
    gauge.update()
    size = 7
    assert b"\nsize 5.0\n" in generate_latest(registry)
    gauge.update()
    assert b"\nsize 7.0\n" in generate_latest(registry)
