"""Every expected pixel is computed from the samples that the file was made of. The files are lossless."""

import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from app.errors import InvalidImage
from app.images.decode import DecodeOptions, decode
from app.images.raster import ColourSpace, Header, ReadOptions
from app.images.readers.webp import read, read_header
from tests.app.image_files import encoded
from tests.app.images.hostile import webp

WIDTH, HEIGHT = 12, 10
OPTIONS = DecodeOptions(1_000_000)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
KEEP, CLEAR = 0, 1
OVER, SOURCE = 0, 1
# Width, height, left, top, disposal and blending of a frame; left and top are even.
Control = tuple[int, int, int, int, int, int]


def rgba(width: int, height: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).choice(np.array([0, 60, 128, 255], np.uint8), (height, width, 4))


def lossless(pixels: np.ndarray, **options: object) -> bytes:
    return encoded(pixels, "WEBP", lossless=True, exact=True, **options)


def chunk(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def riff(*chunks: bytes) -> bytes:
    return chunk(b"RIFF", b"WEBP" + b"".join(chunks))


def size_bytes(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(3, "little") for number in numbers)


def vp8x(flags: int = 0) -> bytes:
    return chunk(b"VP8X", bytes([flags, 0, 0, 0]) + size_bytes(WIDTH - 1, HEIGHT - 1))


def image_chunk(file: bytes) -> bytes:
    """Returns the chunk with the pixels of a file that has nothing else."""
    return file[12:]


def animation(controls: list[Control]) -> bytes:
    frames = []
    for seed, (width, height, left, top, disposal, blending) in enumerate(controls):
        head = size_bytes(left // 2, top // 2, width - 1, height - 1, 100) + bytes([blending << 1 | disposal])
        frames.append(chunk(b"ANMF", head + image_chunk(lossless(rgba(width, height, seed)))))
    return riff(vp8x(0x12), chunk(b"ANIM", bytes([255, 0, 0, 255, 0, 0])), *frames)


def played(controls: list[Control], number: int) -> np.ndarray:
    """Returns a frame on white, [H, W, 3] float, composed in premultiplied floats."""
    canvas = np.zeros((HEIGHT, WIDTH, 4))
    for seed, (width, height, left, top, disposal, blending) in enumerate(controls[: number + 1]):
        place = np.s_[top : top + height, left : left + width]
        drawn = rgba(width, height, seed) / 255.0
        drawn[..., :3] *= drawn[..., 3:]
        canvas[place] = drawn + (canvas[place] * (1 - drawn[..., 3:]) if blending == OVER else 0)
        if seed < number and disposal == CLEAR:
            canvas[place] = 0
    return 255 * (canvas[..., :3] + 1 - canvas[..., 3:])


def pixels(data: bytes, frame: int = 0) -> np.ndarray:
    return np.asarray(decode(data, DecodeOptions(1_000_000, frame=frame)).rgb).astype(int)


WHOLE = (WIDTH, HEIGHT, 0, 0)
PLAYS = {
    f"disposal {first} {second}, blending {blending}": [
        (*WHOLE, first, SOURCE),
        (5, 4, 2, 4, second, blending),
        (6, 6, 4, 0, KEEP, blending),
        (*WHOLE, KEEP, OVER),
    ]
    for first in (KEEP, CLEAR)
    for second in (KEEP, CLEAR)
    for blending in (OVER, SOURCE)
}


@pytest.mark.parametrize("controls", PLAYS.values(), ids=PLAYS)
def test_every_frame_is_composed_with_those_before_it(controls):
    data = animation(controls)
    assert read_header(data) == Header(WIDTH, HEIGHT, 4)
    for number in range(4):
        assert np.abs(pixels(data, number) - played(controls, number)).max() <= 3


def test_a_first_frame_that_is_smaller_than_the_canvas_is_transparent_around_it():
    controls = [(5, 4, 2, 4, KEEP, OVER), (*WHOLE, KEEP, OVER)]
    assert np.abs(pixels(animation(controls)) - played(controls, 0)).max() <= 1


def test_frames_that_are_missing_or_damaged_do_not_matter_for_those_before_them():
    controls = PLAYS["disposal 1 0, blending 0"]
    data = animation(controls)
    third = data.rindex(b"ANMF", 0, data.rindex(b"ANMF"))
    damaged = data[: third + 40] + bytes(len(data) - third - 40)
    for file in (data[:third], data[: third + 4], data[: third + 60], damaged):
        for number in range(2):
            assert np.abs(pixels(file, number) - played(controls, number)).max() <= 3
    with pytest.raises(InvalidImage, match="there is no frame 2"):
        pixels(data[: third + 60], 2)
    with pytest.raises(InvalidImage, match="damaged"):
        pixels(damaged, 2)


def test_an_animation_without_its_first_frame_is_truncated():
    data = animation(PLAYS["disposal 0 0, blending 0"])
    first = data.index(b"ANMF")
    for end in (first, first + 4, first + 30, first + 60):
        with pytest.raises(InvalidImage, match="The WEBP is truncated"):
            decode(data[:end], OPTIONS)


@pytest.mark.parametrize("channels", [3, 4])
def test_a_still_image_shows_its_samples(channels):
    samples = rgba(WIDTH, HEIGHT, 0)[..., :channels]
    alpha = samples[..., 3:] if channels == 4 else 255
    expected = (samples[..., :3] * (alpha / 255.0)) + 255 - np.asarray(alpha, float)
    data = lossless(samples)
    assert np.abs(pixels(data) - expected).max() <= 1
    assert decode(data, OPTIONS).notes == (["alpha_composited_on_white"] if channels == 4 else [])


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"quality": 50, "exif": b"MM\0*"}])
def test_a_still_image_is_truncated_if_any_byte_of_its_pixels_is_missing(options):
    data = encoded(rgba(40, 30, 0)[..., :3], "WEBP", **options)
    start = data.index(b"VP8", 16 if data[12:16] != b"VP8X" else 30) if "exif" in options else 12
    end = start + 8 + int.from_bytes(data[start + 4 : start + 8], "little")
    for length in (*range(12, 40), *range(40, end, 37), end - 1):
        with pytest.raises(InvalidImage, match="The WEBP is truncated"):
            decode(data[:length], OPTIONS)
    assert (pixels(data[:end]) == pixels(data)).all()


RGB = rgba(WIDTH, HEIGHT, 0)[..., :3]
STILL = image_chunk(lossless(RGB))
EXIF = b"II" + struct.pack("<HIHHHIHHI", 42, 8, 1, 274, 3, 1, 6, 0, 0)
XMP = b"<rdf:Description><tiff:Orientation>6</tiff:Orientation></rdf:Description>"
METADATA = {
    "none": ([], [], None, 1),
    "ICCP": ([chunk(b"ICCP", PROFILE)], [], PROFILE, 1),
    "empty ICCP": ([chunk(b"ICCP", b"")], [], None, 1),
    "EXIF": ([], [chunk(b"EXIF", EXIF)], None, 6),
    "EXIF after its name": ([], [chunk(b"EXIF", b"Exif\0\0" + EXIF)], None, 6),
    "broken EXIF": ([], [chunk(b"EXIF", b"II*\0\xff\xff\xff\xff")], None, 1),
    "XMP": ([], [chunk(b"XMP ", XMP)], None, 6),
    "broken XMP": ([], [chunk(b"XMP ", b"\xff\xfe<")], None, 1),
    "metadata cut short": ([], [chunk(b"EXIF", EXIF)[:-10]], None, 1),
    "unknown chunks": ([chunk(b"abcd", b"123")], [chunk(b"efgh", b"")], None, 1),
}


@pytest.mark.parametrize(("before", "after", "icc", "orientation"), METADATA.values(), ids=METADATA)
def test_metadata_is_read_and_never_costs_the_image(before, after, icc, orientation):
    raster = read(riff(vp8x(0x2C), *before, STILL, *after), ReadOptions())
    assert (np.asarray(raster.image) == RGB).all()
    assert (raster.colour_space, raster.orientation) == (ColourSpace(icc=icc), orientation)


def test_bytes_after_the_image_are_ignored():
    assert (pixels(riff(STILL) + b"PK\3\4") == RGB).all()
    assert (pixels(riff(STILL, b"garbage")) == RGB).all()


NO_IMAGE = {
    "another chunk": riff(chunk(b"JUNK", bytes(20))),
    "no start code": riff(chunk(b"VP8 ", bytes(20))),
    "no signature": riff(chunk(b"VP8L", bytes(20))),
    "a short VP8X": riff(chunk(b"VP8X", bytes(5)), chunk(b"JUNK", bytes(20))),
    "a canvas alone": riff(vp8x()),
}


@pytest.mark.parametrize("data", NO_IMAGE.values(), ids=NO_IMAGE)
def test_numbers_are_only_read_where_an_image_begins(data):
    with pytest.raises(InvalidImage, match="The WEBP is damaged"):
        decode(data, OPTIONS)


def test_the_header_is_read():
    assert read_header(encoded(Image.new("RGB", (40, 30)), "WEBP")) == Header(40, 30)
    assert read_header(lossless(RGB)) == Header(WIDTH, HEIGHT)
    assert read_header(webp(2, (16_384, 300))) == Header(16_384, 300, 2)
    assert read_header(webp(1_200)).frames == 1_001
