import asyncio
import threading

import pytest

from app.errors import NotReady
from app.inference.embedder import Embedder
from tests.app.inference.engines import make_engine
from tests.fakes import FakeEncoder

pytestmark = pytest.mark.anyio


async def test_while_label_sets_are_loaded_the_engine_is_not_ready():
    encoder = FakeEncoder()
    engine = make_engine(lambda: encoder)

    async def load_label_sets(embedder: Embedder) -> None:
        assert (await embedder.embed_prompts([["a cat"]])).shape == (1, encoder.info.embed_dim)
        with pytest.raises(NotReady, match="label sets"):
            engine.check_ready()

    await engine.load(load_label_sets)
    engine.check_ready()
    await engine.close()


async def test_before_it_is_loaded_the_engine_is_live_but_not_ready():
    engine = make_engine()
    with pytest.raises(NotReady, match="starting"):
        engine.check_ready()
    engine.check_live()
    await engine.close()


async def test_a_failed_load_is_raised_and_the_engine_stays_unready():
    def load() -> FakeEncoder:
        raise OSError("no such directory")

    engine = make_engine(load)
    with pytest.raises(OSError, match="no such directory"):
        await engine.load()
    with pytest.raises(NotReady, match="failed"):
        engine.check_ready()
    await engine.close()


async def test_closing_during_a_load_does_not_wait_for_it():
    free = threading.Event()
    engine = make_engine(lambda: FakeEncoder(before_warm_up=free.wait))
    loading = asyncio.create_task(engine.load())
    await asyncio.sleep(0)
    await engine.close()
    free.set()
    loading.cancel()


async def test_long_work_runs_one_at_a_time_and_short_work_does_not_wait_for_it():
    free, started = threading.Event(), threading.Event()
    running: list[int] = []

    def work() -> int:
        running.append(1)
        started.set()
        free.wait()
        return len(running)

    engine = make_engine()
    long = [asyncio.create_task(engine.in_long_thread(work)) for _ in range(3)]
    assert await engine.in_thread(started.wait)
    assert [await engine.in_thread(divmod, 7, 2) for _ in range(8)] == [(3, 1)] * 8
    assert len(running) == 1
    free.set()
    assert await asyncio.gather(*long) == [1, 2, 3]
    await engine.close()
