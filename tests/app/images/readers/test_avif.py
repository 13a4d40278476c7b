import numpy as np
import pytest
from PIL import Image, features

from app.errors import ImageTooLarge, InvalidImage, UnsupportedMediaType
from app.images.raster import CICP, ColourSpace, Header, ReadOptions
from app.images.readers import avif
from app.images.readers.boxes import boxes
from tests.app.image_files import encoded
from tests.app.images.colours.icc_profiles import DISPLAY_P3, DISPLAY_P3_XYZ, shown, srgb_light
from tests.app.images.readers.expectations import (
    ALPHA,
    BLENDED,
    DEEP,
    LARGE,
    ON_WHITE,
    PIXELS,
    TURNED,
    assert_shows,
    read,
)
from tests.app.images.readers.heif_files import (
    Part,
    av1,
    box,
    cicp,
    coded,
    crop,
    grid,
    heif_file,
    hevc,
    mirroring,
    profile,
    rotation,
    size_box,
    turned,
)

pytestmark = pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")

BRANDS = (b"avif", b"mif1", b"miaf")
FRAMES = [PIXELS, 255 - PIXELS, PIXELS[:, ::-1]]
TEN_BITS = PIXELS.astype(np.uint16) * 4 + 2


def saved(pixels: np.ndarray, **options: object) -> bytes:
    return encoded(pixels, "AVIF", **{"quality": 95, "subsampling": "4:4:4", **options})


def sequence(**options: object) -> bytes:
    return saved(FRAMES[0], save_all=True, append_images=[Image.fromarray(frame) for frame in FRAMES[1:]], **options)


@pytest.mark.parametrize("options", [{}, {"range": "limited"}, {"speed": 10}])
def test_an_image_has_the_pixels_that_were_encoded(options):
    data = saved(PIXELS, **options)
    assert avif.read_header(data) == Header(128, 64)
    assert_shows(read(data), PIXELS)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (61, 31), (65, 127)])
def test_odd_sizes(width, height):
    pixels = LARGE[:height, 90 : 90 + width]
    assert_shows(read(saved(pixels)), pixels)


@pytest.mark.parametrize("bits", [10, 12])
def test_samples_of_10_and_12_bits_are_reduced(bits):
    imagecodecs = pytest.importorskip("imagecodecs", reason="Pillow writes 8 bits only")
    samples = TEN_BITS << (bits - 10)
    data = imagecodecs.avif_encode(samples, level=95, bitspersample=bits, pixelformat="444")
    assert_shows(read(data), PIXELS, DEEP)
    configuration, stream = coded(data)
    tile = Part(b"av01", stream, [configuration, size_box(128, 64)], hidden=True)
    assert_shows(read(heif_file(grid(1, 1, 128, 64), tile, brands=BRANDS)), PIXELS, DEEP)


def test_alpha_is_composited_on_white():
    assert_shows(read(saved(np.dstack([PIXELS, ALPHA]))), ON_WHITE, BLENDED)


@pytest.mark.parametrize("quarter_turns", [None, 0, 1, 2, 3])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_rotation_and_mirroring_are_applied_once(quarter_turns, axis):
    exif = Image.Exif()
    exif[274] = 6
    properties = [] if quarter_turns is None else [rotation(quarter_turns)]
    properties += [] if axis is None else [mirroring(axis)]
    parts = av1(PIXELS, *properties), Part(b"Exif", bytes(4) + exif.tobytes()[6:], references=[(b"cdsc", [1])])
    notes = [TURNED] if quarter_turns or axis is not None else []
    data = heif_file(*parts, brands=BRANDS)
    assert_shows(read(data), turned(PIXELS, quarter_turns, axis), *notes)


def test_an_orientation_as_pillow_writes_it_is_applied_once():
    exif = Image.Exif()
    exif[274] = 6
    assert_shows(read(saved(PIXELS, exif=exif.tobytes())), np.rot90(PIXELS, 3), TURNED)


def test_a_crop_is_applied_before_a_rotation():
    data = heif_file(av1(PIXELS, crop(100, 40, -6, 10), rotation(1)), brands=BRANDS)
    assert_shows(read(data), np.rot90(PIXELS[17:57, 11:111]), TURNED)


@pytest.mark.parametrize(
    "clap",
    [crop(129, 64, 0, 0), crop(100, 40, 100, 0), crop(0, 0, 0, 0), crop(99, 40, 0, 0), box(b"clap", bytes(32))],
)
def test_a_crop_that_is_not_inside_the_image_is_ignored(clap):
    kept = avif.cropped(Image.fromarray(PIXELS), list(boxes(memoryview(clap))))
    np.testing.assert_array_equal(np.asarray(kept), PIXELS)


def test_a_grid_is_put_together():
    tiles = [av1(LARGE[y : y + 64, x : x + 64], hidden=True) for y in (0, 64) for x in (0, 64, 128, 192)]
    assert_shows(read(heif_file(grid(2, 4, 250, 122), *tiles, brands=BRANDS)), LARGE[:122, :250])


@pytest.mark.parametrize(
    ("properties", "note"),
    [
        ([cicp(12, 13)], "converted_from_cicp"),
        ([profile(DISPLAY_P3)], "converted_from_icc"),
        ([cicp(1, 13), profile(DISPLAY_P3)], "converted_from_icc"),
    ],
)
def test_display_p3_becomes_srgb(properties, note):
    expected = shown(PIXELS, DISPLAY_P3_XYZ, srgb_light)
    assert_shows(read(heif_file(av1(PIXELS, *properties), brands=BRANDS)), expected, note, tolerance=6)


def test_a_profile_as_pillow_writes_it_is_used():
    data = saved(PIXELS, icc_profile=DISPLAY_P3)
    assert_shows(read(data), shown(PIXELS, DISPLAY_P3_XYZ, srgb_light), "converted_from_icc", tolerance=6)


def test_the_frames_of_a_sequence():
    data = sequence()
    assert avif.read_header(data) == Header(128, 64, 3)
    for number, frame in enumerate(FRAMES):
        note = f"frame_{number}_of_3" if number else "first_frame_of_3"
        assert_shows(read(data, frame=number), frame, note)
    with pytest.raises(InvalidImage, match="no frame 3"):
        read(data, frame=3)


def test_a_blank_frame_is_noted():
    blank = Image.new("RGB", (64, 64))
    data = encoded(blank, "AVIF", save_all=True, append_images=[Image.fromarray(PIXELS[:, :64])])
    assert read(data).notes == ["first_frame_of_2", "blank_frame"]


def test_the_still_image_of_a_sequence_is_read_if_the_brand_says_so():
    data = sequence().replace(b"ftypavis", b"ftypavif", 1)
    assert avif.read_header(data) == Header(128, 64, 1)
    assert_shows(read(data), PIXELS)


def test_the_colours_of_a_sequence_are_those_of_its_track():
    data = sequence()
    track = data.index(b"colrnclx", data.index(b"moov"))
    data = data[: track + 8] + b"\0\x0c\0\x0d" + data[track + 12 :]
    assert avif.read(data, ReadOptions()).colour_space == ColourSpace(cicp=CICP(12, 13))


@pytest.mark.parametrize("kind", [b"Exif", b"mime"])
@pytest.mark.parametrize("data", [b"", b"\xff" * 9, b"\0\0\0\0MM\0*\xff\xff\xff\xff"])
def test_broken_metadata_do_not_matter(kind, data):
    metadata = Part(kind, data, references=[(b"cdsc", [1])])
    whole = heif_file(av1(PIXELS), metadata, brands=BRANDS)
    assert_shows(read(whole), PIXELS)
    assert_shows(read(whole[: -len(data) or None]), PIXELS)


def test_other_codecs_are_named():
    with pytest.raises(
        UnsupportedMediaType, match=r"AVIF with images of the kind hvc1 is not supported. Send JPEG or PNG"
    ):
        read(heif_file(hevc(PIXELS), brands=BRANDS))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (heif_file(av1(PIXELS), primary=7, brands=BRANDS), "contains no image"),
        (box(b"ftyp", b"avif", bytes(4), b"mif1"), "contains no image"),
        (heif_file(Part(b"av01", b"\xff" * 99, av1(PIXELS).properties), brands=BRANDS), "damaged"),
        (heif_file(av1(PIXELS)._replace(properties=[size_box(128, 64)]), brands=BRANDS), "damaged"),
    ],
)
def test_damaged_files_are_invalid(data, message):
    with pytest.raises(InvalidImage, match=message):
        read(data)


@pytest.mark.parametrize("data", [saved(PIXELS), sequence()], ids=["image", "sequence"])
def test_every_truncated_file_is_invalid(data):
    frame = 2 if b"moov" in data else 0
    for length in range(36, len(data), 7):
        with pytest.raises(InvalidImage):
            read(data[:length], frame=frame)


def test_the_declared_size_is_limited_before_decoding():
    image = av1(PIXELS)
    with pytest.raises(ImageTooLarge):
        read(heif_file(image._replace(properties=[image.properties[0], size_box(50_000, 1_000)]), brands=BRANDS))
