import resource
import subprocess
import sys

import pytest

from app.errors import ImageTooExpensive, ImageTooLarge, InvalidImage
from app.images.decoder_errors import decoder_errors, memory_left_bytes


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (EOFError(), InvalidImage, "is truncated"),
        (OSError("image file is truncated (3 bytes not processed)"), InvalidImage, "is truncated"),
        (SyntaxError("broken PNG file"), InvalidImage, "is damaged"),
        (ZeroDivisionError(), InvalidImage, "is damaged"),
        (MemoryError(), ImageTooExpensive, "needs more memory"),
        (OSError("out of memory error when reading image file"), ImageTooExpensive, "needs more memory"),
    ],
)
def test_every_error_of_a_decoder_becomes_one_of_ours(error, kind, message):
    with pytest.raises(kind, match=f"The PNG {message}"), decoder_errors("PNG"):
        raise error


def test_our_own_errors_are_raised_unchanged():
    with pytest.raises(ImageTooLarge, match=r"^too wide$"), decoder_errors("PNG"):
        raise ImageTooLarge("too wide")


LIMITED = """
import resource
from app.images.decoder_errors import address_space_bytes, decoder_errors

limit_bytes = address_space_bytes() + 100_000_000
resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))
for pixels in (100, 10_000_000):
    try:
        with decoder_errors("PNG", pixels):
            raise OSError("decoder error -9")
    except Exception as error:
        print(type(error).__name__)
"""


def test_a_large_image_is_only_called_damaged_if_there_was_enough_memory_for_it():
    done = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["InvalidImage", "ImageTooExpensive"]


def test_without_a_limit_there_is_always_enough_memory():
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY
    assert memory_left_bytes() == float("inf")
