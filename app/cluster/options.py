"""What a Ray Serve deployment needs to know, derived from the service's settings. Imports no Ray."""

import math
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.settings import PREFIX, Settings, SettingsError, variable

RETRY_AFTER_S = 5.0  # Serve does not know how long its queue takes
MAX_STARTS = 3  # of a replica that fails. Serve's default of 20 hides a wrong setting for many minutes.
UP_AFTER_S, DOWN_AFTER_S = 10.0, 600.0  # up soon, because a queue exists; down late, because a start takes long
LONGEST_S = 3600.0  # that a replica may take to stop, if requests have no time limit
# Serve listens, and its replicas are the processes.
UNUSED = ("host", "port", "keep_alive_s", "aip_http_port")


class Scale(BaseModel):
    """What `serve run app.cluster.serve:app NAME=VALUE` and `args` in Serve's configuration may set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_replicas: int = Field(default=1, ge=1, description="fewest replicas")
    max_replicas: int | None = Field(default=None, ge=1, description="most replicas; default: as many as min_replicas")
    num_cpus: float = Field(default=1, gt=0, description="CPUs that Ray reserves for each replica")
    num_gpus: float | None = Field(
        default=None, ge=0, description="GPUs that Ray reserves for each replica; default: 1 if SIGLIP_DEVICE is gpu"
    )
    max_surge_percent: int = Field(
        default=0, ge=0, le=100, description="replicas that an update may start before it stops old ones, in percent"
    )

    @model_validator(mode="after")
    def check_order(self) -> "Scale":
        """Refuses fewer replicas at most than at least."""
        if self.max_replicas is not None and self.max_replicas < self.min_replicas:
            raise ValueError(f"max_replicas must be at least min_replicas, which is {self.min_replicas}")
        return self


def deployment_options(settings: Settings, scale: Scale) -> dict[str, Any]:
    """Returns the arguments of `ray.serve.deployment`. docs/ray.md has them as a table.

    Raises:
        SettingsError: The service is to have several processes.
    """
    if settings.processes > 1:
        raise SettingsError(f"{PREFIX}PROCESSES must be 1 on Ray Serve: set min_replicas instead")
    gpus = scale.num_gpus if scale.num_gpus is not None else float(settings.device == "gpu")
    most = scale.max_replicas or scale.min_replicas
    automatic = {
        "min_replicas": scale.min_replicas,
        "max_replicas": most,
        "target_ongoing_requests": max(1.0, settings.max_batch / 4),  # so replicas are added before requests wait
        "upscale_delay_s": UP_AFTER_S,
        "downscale_delay_s": DOWN_AFTER_S,
    }
    replicas = {"autoscaling_config": automatic} if most > scale.min_replicas else {"num_replicas": most}
    return replicas | {
        "ray_actor_options": {"num_cpus": scale.num_cpus, "num_gpus": gpus},
        "max_ongoing_requests": 2 * settings.max_batch,  # the next batch is prepared while one is computed
        "max_queued_requests": settings.max_queue_items,
        "backpressure_config": {"status_code": 429, "retry_after_s": RETRY_AFTER_S},
        "graceful_shutdown_timeout_s": min(settings.drain_s + settings.request_timeout_s, LONGEST_S),
        "health_check_period_s": min(max(settings.canary_s / 3, 1.0), 10.0),
        "health_check_timeout_s": min(max(settings.canary_s, 5.0), 30.0),
        "max_constructor_retry_count": MAX_STARTS,
        "max_surge_percent": scale.max_surge_percent,
        "logging_config": {"enable_access_log": False},  # the service logs each request itself
    }


def replica_settings(settings: Settings, scale: Scale) -> Settings:
    """Returns the settings of a replica: it decodes images on the CPUs that Ray reserves for it, and not on all."""
    if settings.decode_workers is not None:
        return settings
    return settings.model_copy(update={"decode_workers": math.ceil(scale.num_cpus)})


def unused_settings(settings: Settings) -> list[str]:
    """Returns the variables that are set, and that have no effect on Ray Serve."""
    return [variable(name) for name in UNUSED if name in settings.model_fields_set]
