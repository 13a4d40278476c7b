import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from tests.app.pictures import RED, encoded, picture
from tests.fakes import FakeEncoder


@dataclass
class CountingEncoder(FakeEncoder):
    """Counts how many pictures are decoded and not yet resized to the model's pixels at once."""

    def __post_init__(self) -> None:
        self.lock = threading.Lock()
        self.now = self.most = 0

    def prepare_image(self, rgb: np.ndarray) -> np.ndarray:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        prepared = super().prepare_image(rgb)
        with self.lock:
            self.now -= 1
        return prepared


def test_of_many_pictures_only_as_many_are_held_decoded_as_there_are_processors(running):
    encoder = CountingEncoder()
    images = [encoded(picture(RED, side)) for side in range(100, 120)]

    def send(files: Sequence[bytes]) -> int:
        form = [("images", image) for image in files]
        return client.post("/classify/batch", files=form, data={"labels": "cat"}).status_code

    with running(encoder) as client, ThreadPoolExecutor(8) as others:
        assert set(others.map(send, [images] * 8)) == {200}
    assert encoder.most <= (os.cpu_count() or 1)
