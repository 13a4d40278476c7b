"""An engine without a service around it."""

from collections.abc import Callable

from app.inference.admission import Admission
from app.inference.engine import Engine
from app.observability.metrics import Metrics


def make_engine(canary_s: float = 600, on_death: Callable[[], None] = lambda: None) -> Engine:
    """Returns an engine that is not loaded, with small batches and a canary that does not come."""
    return Engine(
        admission=Admission(100, 1_000_000),
        metrics=Metrics(),
        max_batch=4,
        text_cache_bytes=1_000_000,
        image_cache_bytes=1_000_000,
        canary_s=canary_s,
        on_death=on_death,
    )
