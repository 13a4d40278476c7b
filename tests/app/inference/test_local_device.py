import asyncio
import threading

import numpy as np
import pytest

from app.errors import InternalError, NotReady
from app.inference.local_device import LocalDevice
from app.observability.metrics import Metrics
from app.settings import Settings
from tests.app.inference.engines import make_engine
from tests.fakes import FakeEncoder, embed

pytestmark = pytest.mark.anyio


def make_device(encoder: FakeEncoder, metrics: Metrics) -> LocalDevice:
    return LocalDevice(lambda on_stage: encoder, Settings(max_batch=4, canary_s=600), metrics, lambda: None)


async def test_an_idle_device_gets_a_canary_and_a_failing_one_is_not_ready():
    works = True

    def before_batch() -> None:
        if not works:
            raise RuntimeError

    encoder = FakeEncoder(before_batch=before_batch)
    engine = make_engine(lambda: encoder, canary_s=0.01)
    await engine.load()
    while not (encoder.image_batches and engine.ready):
        await asyncio.sleep(0.001)
    works = False

    def reason() -> str:
        try:
            engine.check_ready()
        except NotReady as error:
            return error.detail
        return ""

    while reason() != "The service is not ready: a forward pass on the device has failed (RuntimeError).":
        await asyncio.sleep(0.001)
    works = True
    while not engine.ready:
        await asyncio.sleep(0.001)
    await engine.close()


async def test_if_the_device_thread_ends_the_engine_is_not_live():
    def end() -> None:
        raise SystemExit

    died = threading.Event()
    engine = make_engine(lambda: FakeEncoder(before_batch=end), on_death=died.set)
    await engine.load()
    with pytest.raises(InternalError):
        await engine.embedder.embed_texts(["cat"])
    await asyncio.get_running_loop().run_in_executor(None, died.wait)
    with pytest.raises(NotReady, match="The device thread has ended"):
        engine.check_live()
    await engine.close()


async def test_both_towers_run_on_the_devices_thread_and_the_device_stays_ready():
    encoder = FakeEncoder()
    device = make_device(encoder, Metrics())
    device.check_live()
    stages: list[str] = []
    _, (images, texts) = await device.load(stages.append)
    assert stages == ["loading", "compiling", "self-test"]
    futures = images.submit([np.zeros((8, 8, 3), np.uint8)] * 3) + texts.submit([np.zeros(16, np.int32)])
    results = await asyncio.gather(*futures)
    assert results[0].row == pytest.approx(embed(np.zeros((8, 8, 3), np.uint8)))
    assert encoder.threads == {"device"}
    device.check_ready()
    await device.close()


async def test_queue_waits_and_failed_forwards_are_counted():
    def before_batch() -> None:
        raise RuntimeError

    metrics = Metrics()
    device = make_device(FakeEncoder(before_batch), metrics)
    _, (images, _) = await device.load(lambda stage: None)
    await asyncio.gather(*images.submit([np.zeros((8, 8, 3), np.uint8)] * 2), return_exceptions=True)
    await device.close()
    shown = metrics.exposition("")[0].decode()
    assert 'siglip_queue_wait_seconds_count{tower="image"} 2.0' in shown
    assert float(shown.split('siglip_forward_failures_total{tower="image"} ')[1].split()[0]) >= 3


async def test_a_closed_engine_is_computing_until_the_devices_call_ends():
    entered, free = threading.Event(), threading.Event()
    engine = make_engine(lambda: FakeEncoder(lambda: None, lambda: (entered.set(), free.wait())))
    loading = asyncio.create_task(engine.load())
    await asyncio.get_running_loop().run_in_executor(None, entered.wait)
    await engine.close()
    assert engine.computing
    free.set()
    loading.cancel()
    while engine.computing:
        await asyncio.sleep(0.001)
