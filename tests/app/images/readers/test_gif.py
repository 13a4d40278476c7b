"""Every expected pixel is computed from the indices that the file was made of."""

import struct
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from app.errors import InvalidImage
from app.images.decode import DecodeOptions, decode
from app.images.raster import MAX_FRAMES, Header, ReadOptions
from app.images.readers.gif import read, read_header
from tests.app.image_files import BLUE, GREEN, RED, encoded, plain_image
from tests.app.images.hostile import gif

WIDTH, HEIGHT = 9, 7
PALETTE = np.random.default_rng(0).integers(0, 256, (8, 3))
OTHER_PALETTE = np.random.default_rng(1).integers(0, 256, (8, 3))
OPTIONS = DecodeOptions(1_000_000)
KEEP, CLEAR, RESTORE = 1, 2, 3


class MadeFrame(NamedTuple):
    """A frame to be written: its place, and how it is drawn. Its indices are random."""

    left: int = 0
    top: int = 0
    width: int = WIDTH
    height: int = HEIGHT
    disposal: int = 0
    transparent: int | None = None
    own_palette: bool = False
    interlaced: bool = False

    def indices(self, seed: int) -> np.ndarray:
        return np.random.default_rng(seed).integers(0, 8, (self.height, self.width))

    def colours(self) -> np.ndarray:
        return OTHER_PALETTE if self.own_palette else PALETTE


def lzw(indices: np.ndarray, end: bool = True) -> bytes:
    """Returns indices of 3 bits as blocks. The code table is cleared so often that all codes have 4 bits."""
    codes = []
    for number, index in enumerate(indices.ravel().tolist()):
        if number % 4 == 0:
            codes.append(8)
        codes.append(index)
    codes += [9] if end else []
    codes += [0] * (len(codes) % 2)
    body = bytes(low | high << 4 for low, high in zip(codes[::2], codes[1::2], strict=True))
    blocks = [body[at : at + 50] for at in range(0, len(body), 50)]
    return b"\3" + b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"


def frame_bytes(frame: MadeFrame, indices: np.ndarray) -> bytes:
    control = frame.disposal << 2 | (frame.transparent is not None)
    extension = struct.pack("<4BHBB", 0x21, 0xF9, 4, control, 10, frame.transparent or 0, 0)
    flags = (0x82 if frame.own_palette else 0) | (0x40 if frame.interlaced else 0)
    descriptor = b"," + struct.pack("<4HB", frame.left, frame.top, frame.width, frame.height, flags)
    if frame.interlaced:
        indices = np.vstack([indices[0::8], indices[4::8], indices[2::4], indices[1::2]])
    palette = OTHER_PALETTE.astype(np.uint8).tobytes() if frame.own_palette else b""
    return extension + descriptor + palette + lzw(indices)


def gif_of(*frames: MadeFrame, size: tuple[int, int] = (WIDTH, HEIGHT)) -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", *size, 0x82, 3, 0) + PALETTE.astype(np.uint8).tobytes()
    return head + b"".join(frame_bytes(frame, frame.indices(seed)) for seed, frame in enumerate(frames)) + b";"


def played(frames: tuple[MadeFrame, ...], number: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> np.ndarray:
    """Returns a frame on white, [H, W, 3]. The canvas, with -1 where it is transparent, is larger than any frame."""
    canvas = np.full((3 * HEIGHT, 3 * WIDTH, 3), -1)
    for seed, frame in enumerate(frames[: number + 1]):
        place = np.s_[frame.top : frame.top + frame.height, frame.left : frame.left + frame.width]
        before, indices = canvas.copy(), frame.indices(seed)
        opaque = indices != (-1 if frame.transparent is None else frame.transparent)
        canvas[place][opaque] = frame.colours()[indices][opaque]
        if seed < number and frame.disposal == CLEAR:
            canvas[place] = -1
        elif seed < number and frame.disposal == RESTORE:
            canvas = before
    return np.where(canvas < 0, 255, canvas)[: size[1], : size[0]]


def pixels(data: bytes, frame: int = 0) -> np.ndarray:
    return np.asarray(decode(data, DecodeOptions(1_000_000, frame=frame)).rgb).astype(int)


SINGLE = {
    "plain": MadeFrame(),
    "interlaced": MadeFrame(interlaced=True),
    "own palette": MadeFrame(own_palette=True),
    "transparent": MadeFrame(transparent=3),
    "transparent, own palette, interlaced": MadeFrame(transparent=3, own_palette=True, interlaced=True),
    "smaller than the canvas": MadeFrame(2, 1, 4, 3),
    "smaller than the canvas, transparent": MadeFrame(2, 1, 4, 3, transparent=3),
}


@pytest.mark.parametrize("frame", SINGLE.values(), ids=SINGLE)
def test_a_frame_shows_its_colours_and_is_transparent_elsewhere(frame):
    data = gif_of(frame)
    assert (pixels(data) == played((frame,), 0)).all()
    transparent = frame.transparent is not None or frame.width < WIDTH
    assert decode(data, OPTIONS).notes == (["alpha_composited_on_white"] if transparent else [])


PLAYS = {
    f"disposal {first} {second}, transparent {transparent}, own palettes {own}": (
        MadeFrame(disposal=first, transparent=transparent),
        MadeFrame(1, 2, 4, 3, second, transparent, own_palette=own),
        MadeFrame(3, 0, 5, 4, 0, transparent),
        MadeFrame(transparent=5, own_palette=own),
    )
    for first in (0, KEEP, CLEAR, RESTORE)
    for second in (0, KEEP, CLEAR, RESTORE)
    for transparent in (None, 3)
    for own in (False, True)
}


@pytest.mark.parametrize("frames", PLAYS.values(), ids=PLAYS)
def test_every_frame_is_composed_with_those_before_it(frames):
    data = gif_of(*frames)
    assert read_header(data) == Header(WIDTH, HEIGHT, 4)
    for number in range(4):
        assert (pixels(data, number) == played(frames, number)).all()


def test_only_the_first_frame_enlarges_the_canvas():
    frames = (MadeFrame(2, 1), MadeFrame(6, 4, transparent=3))
    data = gif_of(*frames)
    size = (WIDTH + 2, HEIGHT + 1)
    assert read_header(data) == Header(*size, 2)
    for number in range(2):
        assert (pixels(data, number) == played(frames, number, size)).all()


@pytest.mark.parametrize("frames", [(MadeFrame(),), PLAYS["disposal 0 0, transparent 3, own palettes True"]])
def test_a_gif_without_its_trailer_is_read_and_noted(frames):
    data = gif_of(*frames)
    last = len(frames) - 1
    for cut in (1, 2):  # the trailer, and the end of the blocks
        assert (pixels(data[:-cut], last) == played(frames, last)).all()
        assert read(data[:-cut], ReadOptions()).notes == ("end_marker_missing",)


def test_frames_that_are_missing_or_damaged_do_not_matter_for_those_before_them():
    frames = PLAYS["disposal 2 0, transparent 3, own palettes True"]
    data = gif_of(*frames)
    second = len(gif_of(*frames[:2])) - 1
    for end in range(second + 1, len(data), 5):
        for number in range(2):
            assert (pixels(data[:end], number) == played(frames, number)).all()
    with pytest.raises(InvalidImage, match="2 frames or pages, so there is no frame 2"):
        pixels(data[: second + 5], 2)
    with pytest.raises(InvalidImage, match="truncated"):
        pixels(data[: second + 28], 2)


def test_a_gif_is_truncated_if_its_pixels_are_missing():
    data = gif_of(MadeFrame())
    end_code_bytes = 4  # the last code, its byte, the end of the blocks and the trailer
    for end in range(6, len(data) - end_code_bytes):
        with pytest.raises(InvalidImage, match="truncated"):
            decode(data[:end], OPTIONS)


@pytest.mark.parametrize("interlaced", [False, True])
def test_too_few_pixels_are_damage(interlaced):
    frame = MadeFrame(interlaced=interlaced)
    indices = frame.indices(0)
    whole = gif_of(frame)
    for missing in range(1, indices.size, 3):
        head = whole[: 13 + 24 + 8 + 10]
        with pytest.raises(InvalidImage, match="a frame has too few pixels"):
            decode(head + lzw(indices.ravel()[:-missing]) + b";", OPTIONS)
    for rows in range(1, HEIGHT):
        with pytest.raises(InvalidImage, match="a frame has too few pixels"):
            decode(head + lzw(indices[:rows]) + b";", OPTIONS)


def test_a_gif_without_frames_is_damaged():
    with pytest.raises(InvalidImage, match="The GIF is damaged: it has no pixels"):
        decode(gif_of(), OPTIONS)
    with pytest.raises(InvalidImage, match="The GIF is damaged: a frame has 0 x 7 pixels"):
        decode(gif_of(MadeFrame(width=0)), OPTIONS)


def test_other_extensions_and_bytes_after_the_trailer_are_ignored():
    data = gif_of(MadeFrame())
    start = 13 + 24
    extensions = b"!\xff\x0bNETSCAPE2.0\3\1\0\0\0" + b"!\xfe\3abc\0" + b"!\1\0" + b"!\xf9\1\xff\0"
    assert (pixels(data[:start] + extensions + data[start:] + b"PK\3\4") == pixels(data)).all()


def test_frames_are_counted_up_to_the_limit():
    assert read_header(gif(MAX_FRAMES)).frames == MAX_FRAMES
    assert read_header(gif(MAX_FRAMES + 50)).frames == MAX_FRAMES + 1


def test_what_pillow_writes_is_read():
    others = [Image.fromarray(plain_image(colour)) for colour in (GREEN, BLUE)]
    data = encoded(plain_image(RED), "GIF", save_all=True, append_images=others)
    for number, colour in enumerate((RED, GREEN, BLUE)):
        assert np.abs(pixels(data, number) - colour).max() <= 2


def test_a_gif_without_a_palette_is_grey():
    data = gif_of(MadeFrame())
    plain = data[:10] + b"\0" + data[11:13] + data[13 + 24 :]
    assert (pixels(plain) == MadeFrame().indices(0)[..., None]).all()
