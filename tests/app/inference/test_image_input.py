import base64
from typing import ClassVar

import numpy as np
import pytest

from app.errors import InvalidImage
from app.inference.image_input import file_bytes, prepare_image
from app.settings import Settings
from tests.app.image_files import GREEN, encoded, plain_image, quarters
from tests.fakes import FakeEncoder

SETTINGS = Settings()


@pytest.mark.parametrize("data", [encoded(quarters()), base64.b64encode(encoded(quarters())).decode()])
def test_a_image_is_read_from_its_bytes_or_their_base64(data):
    encoder = FakeEncoder()
    read = prepare_image(data, encoder, SETTINGS)
    assert (read.pixels == encoder.prepare_image(quarters())).all()
    assert read.facts.model_dump() == {"width": 32, "height": 16, "format": "PNG", "notes": []}
    assert read.decode_s > 0


@pytest.mark.parametrize("text", ["https://example.org/cat.png", "data:image/png;base64,AAAA", "AAA", "A\nAAA", "é"])
def test_what_is_not_base64_is_refused_without_being_followed(text):
    with pytest.raises(InvalidImage, match="image is not base64"):
        file_bytes(text)


class ShapeKeeper(FakeEncoder):
    """Remembers the shapes of what it was to prepare."""

    shapes: ClassVar[list[tuple[int, ...]]] = []

    def prepare_image(self, rgb):
        self.shapes.append(np.asarray(rgb).shape)
        return super().prepare_image(rgb)


def test_a_large_jpeg_is_decoded_smaller_where_that_is_asked_for_and_its_facts_are_the_file_s():
    data, encoder = encoded(plain_image(GREEN, 400), "JPEG"), ShapeKeeper()
    images = [prepare_image(data, encoder, Settings(reduce_jpegs=on)) for on in (False, True)]
    assert encoder.shapes == [(400, 400, 3), (50, 50, 3)]
    for read in images:
        assert (read.facts.width, read.facts.height, read.facts.notes) == (400, 400, [])
