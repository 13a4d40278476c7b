import base64
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest

from app.errors import InvalidImage
from app.routes.pictures import decode_base64, read_picture
from tests.app.pictures import RED, encoded, picture, quarters
from tests.fakes import FakeEncoder

MAX_PIXELS = 1_000_000


@pytest.mark.parametrize("data", [encoded(quarters()), base64.b64encode(encoded(quarters())).decode()])
def test_a_picture_is_read_from_its_bytes_or_their_base64(data):
    encoder = FakeEncoder()
    read = read_picture(data, encoder, MAX_PIXELS)
    assert (read.pixels == encoder.prepare_image(quarters())).all()
    assert read.facts.model_dump() == {"width": 32, "height": 16, "format": "PNG", "notes": []}
    assert read.decode_s > 0


@pytest.mark.parametrize("text", ["https://example.org/cat.png", "data:image/png;base64,AAAA", "AAA", "A\nAAA", "é"])
def test_what_is_not_base64_is_refused_without_being_followed(text):
    with pytest.raises(InvalidImage, match="image is not base64"):
        decode_base64(text)


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
