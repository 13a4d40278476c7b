import base64

import pytest

from app.errors import InvalidImage
from app.pictures import decode_base64, read_picture
from tests.app.pictures import GREEN, encoded, picture, quarters
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


def test_the_facts_of_a_jpeg_are_those_of_its_file_however_it_is_decoded():
    data = encoded(picture(GREEN, 400), "JPEG")
    read = read_picture(data, FakeEncoder(), MAX_PIXELS)
    assert (read.facts.width, read.facts.height, read.facts.notes) == (400, 400, [])
