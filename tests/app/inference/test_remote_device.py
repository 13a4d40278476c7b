import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from app.errors import NotReady
from app.inference.batcher import BatchFailed, QueueFull, Result
from app.inference.device import Loaded, Queues
from app.inference.device_server import DeviceServer
from app.inference.local_device import LocalDevice
from app.inference.remote_device import RemoteDevice
from app.observability.metrics import Metrics
from app.settings import Settings
from tests.fakes import FakeEncoder, embed

pytestmark = pytest.mark.anyio

SETTINGS = Settings(max_batch=4, canary_s=600)


def images(count: int) -> list[np.ndarray]:
    return [np.full((8, 8, 3), shade, np.uint8) for shade in range(count)]


class Gate:
    """What runs before a batch: waits until the test opens it."""

    def __init__(self) -> None:
        self.entered, self.free = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.entered.set()
        self.free.wait()


class Server:
    """A device process's half, in this process, and its front ends."""

    def __init__(self, path: Path, encoder: FakeEncoder) -> None:
        self.path = str(path / "device")
        self.device = LocalDevice(lambda on_stage: encoder, SETTINGS, Metrics(), lambda: None)
        self.server = DeviceServer()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.devices: list[RemoteDevice] = []

    def front_end(self, settings: Settings = SETTINGS, on_death: Callable[[], None] = lambda: None) -> RemoteDevice:
        self.devices.append(RemoteDevice(self.path, lambda facts: FakeEncoder(), settings, on_death))
        return self.devices[-1]

    async def load(self) -> None:
        self.server.set_loaded(await self.device.load(self.server.set_stage))

    def pending(self) -> int:
        """Returns how many rows have arrived and are not computed yet."""
        return sum(len(front_end.rows) for front_end in self.server.front_ends)

    def hang_up(self) -> None:
        """Closes the connections, as the end of the device process does."""
        for front_end in list(self.server.front_ends):
            front_end.close()


@asynccontextmanager
async def served(path: Path, encoder: FakeEncoder) -> AsyncIterator[Server]:
    server = Server(path, encoder)
    await server.server.listen(server.listener)
    yield server
    for device in (*server.devices, server.device):
        await device.close()
    server.listener.close()


async def loaded(device: RemoteDevice) -> Loaded:
    return await device.load(lambda stage: None)


async def test_front_ends_get_the_stages_and_then_the_model(tmp_path):
    async with served(tmp_path, FakeEncoder()) as server:
        stages: list[str] = []
        loading = asyncio.create_task(server.front_end().load(stages.append))
        while not stages:
            await asyncio.sleep(0.001)
        await server.load()
        processor, _ = await loading
        assert stages == ["starting", "loading", "compiling", "self-test"]
        assert processor.info == FakeEncoder().info
        late = await loaded(server.front_end())
        assert late.processor.scale == FakeEncoder().scale


async def test_rows_of_two_front_ends_share_a_batch_and_each_gets_its_own_results(tmp_path):
    gate = Gate()
    encoder = FakeEncoder(gate)
    async with served(tmp_path, encoder) as server:
        await server.load()
        first, second = [(await loaded(server.front_end())).queues for _ in range(2)]
        rows = images(3)
        blocked = first.images.submit(rows[:1])
        await asyncio.to_thread(gate.entered.wait)
        one, two = first.images.submit(rows[1:2]), second.images.submit(rows[2:])
        texts = second.texts.submit([np.arange(16, dtype=np.int32)])
        while server.pending() < 3:  # both have arrived
            await asyncio.sleep(0.001)
        gate.free.set()
        results = await asyncio.gather(*blocked, *one, *two, *texts)
        expected = [embed(row) for row in (*rows, np.arange(16, dtype=np.int32))]
        assert np.array_equal([result.row for result in results], expected)
        assert encoder.image_batches == [1, 2]
        assert all(result.queue_s >= 0 and result.compute_s > 0 for result in results)


async def test_a_row_whose_caller_is_gone_is_not_computed(tmp_path):
    gate = Gate()
    encoder = FakeEncoder(gate)
    async with served(tmp_path, encoder) as server:
        await server.load()
        _, (queue, _) = await loaded(server.front_end())
        (blocked,) = queue.submit(images(1))
        await asyncio.to_thread(gate.entered.wait)
        gone, last = queue.submit(images(2))
        while server.pending() < 3:
            await asyncio.sleep(0.001)
        gone.cancel()
        while server.pending() > 2:
            await asyncio.sleep(0.001)
        gate.free.set()
        await asyncio.gather(blocked, last)
        assert sum(encoder.image_batches) == 2


async def test_a_failed_row_is_an_error_and_tests_the_device(tmp_path):
    works = False

    def before_batch() -> None:
        if not works:
            raise RuntimeError("out of memory")

    async with served(tmp_path, FakeEncoder(before_batch)) as server:
        await server.load()
        device = server.front_end(Settings(canary_s=0.01))
        _, (queue, _) = await loaded(device)
        (future,) = queue.submit(images(1))
        with pytest.raises(BatchFailed, match=r"RuntimeError\('out of memory'\)"):
            await future
        while True:
            try:
                device.check_ready()
            except NotReady:
                break
            await asyncio.sleep(0.001)
        works = True
        while True:
            try:
                device.check_ready()
            except NotReady:
                await asyncio.sleep(0.001)
            else:
                break


class Full:
    """A queue without a place."""

    def submit(self, rows: Sequence[np.ndarray]) -> list[asyncio.Future[Result]]:
        raise QueueFull


async def test_if_there_is_no_place_for_rows_all_are_refused(tmp_path):
    async with served(tmp_path, FakeEncoder()) as server:
        server.server.set_loaded(Loaded(FakeEncoder(), Queues(Full(), Full())))
        _, (_, queue) = await loaded(server.front_end())
        refused = queue.submit([np.zeros(16, np.int32)] * 2)
        results = await asyncio.gather(*refused, return_exceptions=True)
        assert [type(result) for result in results] == [QueueFull] * 2


async def test_if_the_device_process_ends_all_callers_get_an_error_and_the_front_end_is_not_live(tmp_path):
    free, died = threading.Event(), asyncio.Event()
    async with served(tmp_path, FakeEncoder(free.wait)) as server:
        await server.load()
        device = server.front_end(on_death=died.set)
        _, (queue, _) = await loaded(device)
        device.check_live()
        futures = queue.submit(images(2))
        server.hang_up()
        await died.wait()
        results = await asyncio.gather(*futures, return_exceptions=True)
        assert [type(result) for result in results] == [BatchFailed] * 2
        with pytest.raises(NotReady, match="The device process has ended"):
            device.check_live()
        with pytest.raises(BatchFailed):
            await queue.submit(images(1))[0]
        free.set()


async def test_rows_of_a_front_end_that_has_ended_are_not_computed(tmp_path):
    gate = Gate()
    encoder = FakeEncoder(gate)
    async with served(tmp_path, encoder) as server:
        await server.load()
        device = server.front_end()
        _, (queue, _) = await loaded(device)
        futures = queue.submit(images(1))
        await asyncio.to_thread(gate.entered.wait)
        futures += queue.submit(images(2))
        while server.pending() < 3:
            await asyncio.sleep(0.001)
        await device.close()
        while server.server.front_ends:
            await asyncio.sleep(0.001)
        gate.free.set()
        await asyncio.gather(*futures, return_exceptions=True)
        _, (other, _) = await loaded(server.front_end())
        await other.submit(images(1))[0]
        assert sum(encoder.image_batches) == 2


async def test_closing_a_front_end_is_not_the_death_of_its_device(tmp_path):
    died = threading.Event()
    async with served(tmp_path, FakeEncoder()) as server:
        await server.load()
        device = server.front_end(on_death=died.set)
        await loaded(device)
        await device.close()
        while server.server.front_ends:
            await asyncio.sleep(0.001)
        assert not died.is_set()
