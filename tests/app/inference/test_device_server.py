import asyncio
import socket

import numpy as np
import pytest

from app.inference.batcher import Result
from app.inference.device import Loaded, Queues
from app.inference.device_server import DeviceServer
from app.inference.messages import Connection
from tests.fakes import INFO, FakeEncoder

pytestmark = pytest.mark.anyio


class OneByOne:
    """A queue that computes a sum at once."""

    def submit(self, rows):
        futures = []
        for row in rows:
            futures.append(asyncio.get_running_loop().create_future())
            futures[-1].set_result(Result(np.full(2, row.sum(), np.float64), 0.25, 0.5))
        return futures


class FrontEnd(Connection):
    """Keeps the messages of the device process."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: asyncio.Queue[list[object]] = asyncio.Queue()

    def receive(self, message: list[object]) -> None:
        self.messages.put_nowait(message)


async def test_a_front_end_gets_the_last_stage_the_facts_and_the_results_of_its_rows(tmp_path):
    path = str(tmp_path / "device")
    server = DeviceServer()
    front_end = FrontEnd()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        await server.listen(listener)
        server.set_stage("downloading 10 %")
        server.set_stage("downloading 20 %")
        await asyncio.sleep(0)
        await asyncio.get_running_loop().create_unix_connection(lambda: front_end, path)
        assert await front_end.messages.get() == ["stage", "downloading 20 %"]
        server.set_loaded(Loaded(FakeEncoder(), Queues(OneByOne(), OneByOne())))
        kind, facts = await front_end.messages.get()
        assert (kind, facts["info"]["variant"], facts["image_shape"]) == ("ready", INFO.variant, [8, 8, 3])
        front_end.send("rows", "image", 7, [b"\x01" * 192, b"\x02" * 192])
        front_end.send("cancel", 99)  # a row that has had its result
        kind, results = await front_end.messages.get()
        sums = [[number, np.frombuffer(row, np.float32).tolist(), *times] for number, row, *times in results]
        assert (kind, sums) == ("results", [[7, [192.0, 192.0], 0.25, 0.5], [8, [384.0, 384.0], 0.25, 0.5]])
        front_end.close()
