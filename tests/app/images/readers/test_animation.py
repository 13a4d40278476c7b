"""The frames of APNG files. test_gif.py has those of GIF files."""

import struct
import zlib
from collections.abc import Iterable

import numpy as np
import pytest
from PIL import Image

from app.errors import InvalidImage
from app.images.raster import Header, ReadOptions
from app.images.readers.png import read, read_header
from tests.app.image_files import BLUE, RED, encoded
from tests.app.images.hostile import png_chunk
from tests.app.images.readers.png_files import (
    file_of,
    packed,
    pixels,
    samples_of,
    shown,
)

# APNG. A frame is its control (width, height, left, top, disposal, blend) and its pixels in RGBA.
Control = tuple[int, int, int, int, int, int]
KEEP, CLEAR, RESTORE = 0, 1, 2
SOURCE, OVER = 0, 1


def rgba(control: Control, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).choice([0, 60, 128, 255], (control[1], control[0], 4))


def apng_of(controls: Iterable[Control], default: np.ndarray | None = None) -> bytes:
    """Returns an APNG of 8-bit RGBA frames. If there is a default image, it is hidden."""
    controls, sequence, body = list(controls), 0, b""
    if default is not None:
        body += png_chunk(b"IDAT", zlib.compress(packed(default, 8)))
    for number, (width, height, left, top, disposal, blend) in enumerate(controls):
        fields = struct.pack(">IIIIIHHBB", sequence, width, height, left, top, 1, 10, disposal, blend)
        body += png_chunk(b"fcTL", fields)
        sequence += 1
        data = zlib.compress(packed(rgba(controls[number], number), 8))
        if number == 0 and default is None:
            body += png_chunk(b"IDAT", data)
        else:
            body += png_chunk(b"fdAT", struct.pack(">I", sequence) + data)
            sequence += 1
    header = struct.pack(">IIBBBBB", 6, 5, 8, 6, 0, 0, 0)
    animation = png_chunk(b"acTL", struct.pack(">II", len(controls), 0))
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + animation + body + png_chunk(b"IEND", b"")


def played(controls: list[Control], frame: int) -> np.ndarray:
    """Returns a frame on white, [5, 6, 3] float, composed in premultiplied floats."""
    canvas = np.zeros((5, 6, 4))
    for number, (width, height, left, top, disposal, blend) in enumerate(controls[: frame + 1]):
        place = np.s_[top : top + height, left : left + width]
        before = canvas.copy()
        drawn = rgba(controls[number], number) / 255.0
        drawn[..., :3] *= drawn[..., 3:]
        canvas[place] = drawn + (canvas[place] * (1 - drawn[..., 3:]) if blend == OVER else 0)
        if number < frame and disposal == CLEAR:
            canvas[place] = 0
        elif number < frame and disposal == RESTORE:
            canvas = before
    return 255 * (canvas[..., :3] + 1 - canvas[..., 3:])


WHOLE = (6, 5, 0, 0)
PLAYS = {
    f"disposal {first} {second}, blend {blend}": [
        (*WHOLE, first, SOURCE),
        (3, 2, 1, 2, second, blend),
        (4, 3, 2, 0, KEEP, blend),
        (*WHOLE, KEEP, OVER),
    ]
    for first in (KEEP, CLEAR, RESTORE)
    for second in (KEEP, CLEAR, RESTORE)
    for blend in (SOURCE, OVER)
}


@pytest.mark.parametrize("controls", PLAYS.values(), ids=PLAYS)
def test_every_frame_of_an_apng_is_composed_with_those_before_it(controls):
    data = apng_of(controls)
    assert read_header(data) == Header(6, 5, 4)
    for frame in range(4):
        assert np.abs(pixels(data, frame) - played(controls, frame)).max() <= 2


def test_a_hidden_default_image_is_not_a_frame():
    hidden = np.full((5, 6, 4), 77)
    controls = [(3, 2, 1, 2, KEEP, SOURCE), (*WHOLE, KEEP, SOURCE)]
    data = apng_of(controls, default=hidden)
    assert read_header(data).frames == 2
    for frame in range(2):
        assert np.abs(pixels(data, frame) - played(controls, frame)).max() <= 2


def test_an_apng_of_one_hidden_default_and_one_frame_shows_the_frame():
    controls = [(*WHOLE, KEEP, SOURCE)]
    data = apng_of(controls, default=np.full((5, 6, 4), 77))
    assert read_header(data).frames == 1
    assert np.abs(pixels(data) - played(controls, 0)).max() <= 1


def test_frames_after_a_fault_are_not_counted_and_those_before_it_are_read():
    controls = PLAYS["disposal 0 0, blend 1"]
    data = apng_of(controls)
    third = data.index(b"fcTL", data.index(b"fcTL", data.index(b"fcTL") + 1) + 1)
    for faulty in (data[: third - 4], data[:third] + bytes(8) + data[third + 8 :], data[: third + 60]):
        try:
            frames = read_header(faulty).frames
        except InvalidImage:
            continue
        assert 2 <= frames <= 3
        assert np.abs(pixels(faulty, 1) - played(controls, 1)).max() <= 2


def test_an_apng_that_pillow_writes_is_read():
    red, blue = (np.full((8, 8, 3), colour, np.uint8) for colour in (RED, BLUE))

    data = encoded(red, save_all=True, append_images=[Image.fromarray(blue)])
    assert (pixels(data) == RED).all()
    assert (pixels(data, 1) == BLUE).all()


@pytest.mark.parametrize("bits", [1, 4, 8, 16])
def test_grey_frames_stay_grey(bits):
    """A profile for grey can only be applied to a grey image."""
    samples = samples_of(0, bits, (6, 5))
    fields = (
        struct.pack(">IIIIIHHBB", 0, 6, 5, 0, 0, 1, 10, 0, 0),
        struct.pack(">IIIIIHHBB", 1, 2, 2, 1, 1, 1, 10, 0, 1),
    )
    second = png_chunk(b"fcTL", fields[1]) + png_chunk(
        b"fdAT", struct.pack(">I", 2) + zlib.compress(packed(samples[:2, :2], bits))
    )
    data = file_of(samples, 0, bits, png_chunk(b"acTL", struct.pack(">II", 2, 0)) + png_chunk(b"fcTL", fields[0]))
    data = data[:-12] + second + data[-12:]
    assert read(data, ReadOptions(1)).image.mode == "LA"
    expected = shown(samples, 0, bits)
    expected[1:3, 1:3] = expected[:2, :2].copy()
    assert (pixels(data, 1) == expected).all()
