"""An engine without a service around it."""

from collections.abc import Callable

from app.inference.admission import Admission
from app.inference.encoder import Encoder
from app.inference.engine import Engine
from app.inference.local_device import LocalDevice
from app.observability.metrics import Metrics
from app.settings import Settings
from tests.fakes import FakeEncoder


def make_engine(
    load: Callable[[], Encoder] = FakeEncoder, *, canary_s: float = 600, on_death: Callable[[], None] = lambda: None
) -> Engine:
    """Returns an engine that is not loaded, with small batches. The default of `canary_s` is longer than any test."""
    settings = Settings(max_batch=4, text_cache_bytes=1_000_000, image_cache_bytes=1_000_000, canary_s=canary_s)
    metrics = Metrics()
    device = LocalDevice(lambda on_stage: load(), settings, metrics, on_death)
    return Engine(settings, Admission(100, 1_000_000), metrics, device)
