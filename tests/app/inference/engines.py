"""An engine without a service around it."""

from collections.abc import Callable

from app.inference.admission import Admission
from app.inference.engine import Engine
from app.observability.metrics import Metrics
from app.settings import Settings


def make_engine(canary_s: float = 600, on_death: Callable[[], None] = lambda: None) -> Engine:
    """Returns an engine that is not loaded, with small batches. The default of `canary_s` is longer than any test."""
    settings = Settings(max_batch=4, text_cache_bytes=1_000_000, image_cache_bytes=1_000_000, canary_s=canary_s)
    return Engine(settings, Admission(100, 1_000_000), Metrics(), on_death)
