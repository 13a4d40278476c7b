import pytest

from app.errors import InvalidImage, UnsupportedMediaType
from app.images.identify import FORMATS, identify
from tests.app.images.hostile import NAMES, noise

ACCEPTED = [image_format for image_format in FORMATS if image_format.name in NAMES]


@pytest.mark.parametrize("image_format", ACCEPTED, ids=lambda image_format: image_format.name)
def test_a_format_is_identified_by_its_content(image_format):
    assert identify(noise(image_format.name)) is image_format


@pytest.mark.parametrize("image_format", ACCEPTED, ids=lambda image_format: image_format.name)
def test_the_header_has_the_size_and_the_number_of_frames(image_format):
    header = image_format.reader.read_header(noise(image_format.name), 0)
    coded = 64 if image_format.name == "HEIF" else 48  # HEVC codes blocks of 64 pixels
    assert (header.width, header.height, header.frames) == (coded, coded, 1)


@pytest.mark.parametrize("data", [b"\x89PNG\n", b"RIFF1234WAVE", b"II*", b"GIF88a", b"\0\0\0\x18ftypmp42avi", b"BM"])
def test_an_incomplete_or_similar_signature_is_refused(data):
    with pytest.raises(UnsupportedMediaType):
        identify(data)


def test_an_empty_file_is_not_an_unsupported_one():
    with pytest.raises(InvalidImage, match="0 bytes"):
        identify(b"")
