import pytest

from app.errors import ImageTooLarge, InvalidImage, UnsupportedMediaType
from app.images.formats import FORMATS, MAX_READS, Metered, decoder_errors, identify
from tests.app.images.hostile import noise


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_a_format_is_identified_by_its_content(form):
    assert identify(noise(form.name)) is form


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_our_header_reader_finds_the_same_size_as_pillow(form):
    header = form.read_header(noise(form.name))
    assert (header.width, header.height) == form.open(Metered(noise(form.name))).size == (48, 48)
    assert header.frames == 1


@pytest.mark.parametrize("data", [b"\x89PNG\n", b"RIFF1234WAVE", b"II*", b"GIF88a", b"\0\0\0\x18ftypmp42avi"])
def test_an_incomplete_or_similar_signature_is_refused(data):
    with pytest.raises(UnsupportedMediaType):
        identify(data)


def test_the_number_of_reads_of_a_file_is_limited():
    file = Metered(b"a")
    for _ in range(MAX_READS):
        file.read(0)
    with pytest.raises(InvalidImage, match="too many tiny pieces"):
        file.read(0)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (EOFError(), "is truncated"),
        (OSError("image file is truncated (3 bytes not processed)"), "is truncated"),
        (SyntaxError("broken PNG file"), "is damaged"),
        (MemoryError(), "is damaged"),
        (ZeroDivisionError(), "is damaged"),
    ],
)
def test_every_error_of_a_decoder_becomes_invalid_image(error, message):
    with pytest.raises(InvalidImage, match=f"The PNG {message}"), decoder_errors("PNG"):
        raise error


def test_our_own_errors_are_raised_unchanged():
    with pytest.raises(ImageTooLarge, match=r"^too wide$"), decoder_errors("PNG"):
        raise ImageTooLarge("too wide")
