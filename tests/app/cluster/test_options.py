import pytest
from pydantic import ValidationError

from app.cluster.options import Scale, deployment_options, replica_settings, unused_settings
from app.settings import Settings, SettingsError


def test_the_defaults_are_those_of_serve_for_our_default_settings():
    assert deployment_options(Settings(), Scale()) == {
        "num_replicas": 1,
        "ray_actor_options": {"num_cpus": 1, "num_gpus": 0},
        "max_ongoing_requests": 64,
        "max_queued_requests": 256,
        "backpressure_config": {"status_code": 429, "retry_after_s": 5},
        "graceful_shutdown_timeout_s": 70,
        "health_check_period_s": 10,
        "health_check_timeout_s": 30,
        "max_constructor_retry_count": 3,
        "max_surge_percent": 0,
        "logging_config": {"enable_access_log": False},
    }


@pytest.mark.parametrize(
    ("settings", "option", "value"),
    [
        ({"max_batch": 1}, "max_ongoing_requests", 2),
        ({"max_queue_items": 9}, "max_queued_requests", 9),
        ({"drain_s": 5, "request_timeout_s": 20}, "graceful_shutdown_timeout_s", 25),
        ({"request_timeout_s": float("inf")}, "graceful_shutdown_timeout_s", 3600),
        ({"canary_s": 0.1}, "health_check_period_s", 1),
        ({"canary_s": 12}, "health_check_period_s", 4),
        ({"canary_s": 86400}, "health_check_period_s", 10),
        ({"canary_s": 0.1}, "health_check_timeout_s", 5),
        ({"canary_s": 12}, "health_check_timeout_s", 12),
        ({"canary_s": 86400}, "health_check_timeout_s", 30),
        ({"device": "gpu"}, "ray_actor_options", {"num_cpus": 1, "num_gpus": 1}),
    ],
)
def test_an_option_follows_from_the_settings(settings, option, value):
    assert deployment_options(Settings(**settings), Scale())[option] == value


def test_with_more_replicas_at_most_than_at_least_serve_scales_by_a_quarter_of_a_batch():
    options = deployment_options(Settings(max_batch=40), Scale(min_replicas=2, max_replicas=5))
    assert "num_replicas" not in options
    assert options["autoscaling_config"] == {
        "min_replicas": 2,
        "max_replicas": 5,
        "target_ongoing_requests": 10,
        "upscale_delay_s": 10,
        "downscale_delay_s": 600,
    }
    assert options["autoscaling_config"]["target_ongoing_requests"] < options["max_ongoing_requests"]


def test_a_scale_may_share_a_gpu_and_add_replicas_before_an_update():
    options = deployment_options(Settings(), Scale(num_cpus=4, num_gpus=0.5, max_surge_percent=50))
    assert options["ray_actor_options"] == {"num_cpus": 4, "num_gpus": 0.5}
    assert options["max_surge_percent"] == 50


@pytest.mark.parametrize("wrong", [{"replicas": 2}, {"min_replicas": 3, "max_replicas": 2}, {"num_cpus": 0}])
def test_a_scale_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValidationError):
        Scale(**wrong)


def test_several_processes_are_refused_because_replicas_are_the_processes():
    with pytest.raises(SettingsError, match="SIGLIP_PROCESSES must be 1 on Ray Serve: set min_replicas instead"):
        deployment_options(Settings(processes=2), Scale())


@pytest.mark.parametrize(("given", "cpus", "workers"), [(None, 1, 1), (None, 2.5, 3), (7, 1, 7)])
def test_a_replica_decodes_on_the_cpus_that_ray_reserves_for_it(given, cpus, workers):
    assert replica_settings(Settings(decode_workers=given), Scale(num_cpus=cpus)).decode_workers == workers


def test_settings_of_the_server_that_serve_replaces_are_found():
    assert unused_settings(Settings()) == []
    assert unused_settings(Settings(host=["0.0.0.0"], keep_alive_s=9)) == ["SIGLIP_HOST", "SIGLIP_KEEP_ALIVE_S"]
