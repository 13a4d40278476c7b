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
def test_an_image_is_read_from_bytes_or_base64(data):
    encoder = FakeEncoder()
    read = prepare_image(data, encoder, SETTINGS)
    assert (read.pixels == encoder.prepare_image(quarters())).all()
    assert read.facts.model_dump() == {"width": 32, "height": 16, "format": "PNG", "notes": []}
    assert read.decode_s > 0


@pytest.mark.parametrize("text", ["https://example.org/cat.png", "data:image/png;base64,AAAA", "AAA", "A\nAAA", "é"])
def test_urls_and_other_text_that_is_not_base64_are_refused(text):
    with pytest.raises(InvalidImage, match="image is not base64"):
        file_bytes(text)


class ShapeRecorder(FakeEncoder):
    """An encoder that records the shapes of the images it prepares."""

    shapes: ClassVar[list[tuple[int, ...]]] = []

    def prepare_image(self, rgb):
        self.shapes.append(np.asarray(rgb).shape)
        return super().prepare_image(rgb)


def test_reduce_jpegs_decodes_a_large_jpeg_smaller_and_reports_the_size_of_the_file():
    data, encoder = encoded(plain_image(GREEN, 400), "JPEG"), ShapeRecorder()
    images = [prepare_image(data, encoder, Settings(reduce_jpegs=on)) for on in (False, True)]
    assert encoder.shapes == [(400, 400, 3), (50, 50, 3)]
    for read in images:
        assert (read.facts.width, read.facts.height, read.facts.notes) == (400, 400, [])
