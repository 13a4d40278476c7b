import numpy as np
import pi_heif
import pillow_heif
import pytest
from PIL import Image

from app.errors import ImageTooExpensive, ImageTooLarge, InvalidImage, UnsupportedMediaType
from app.images.raster import CICP, ColourSpace, Header, ReadOptions
from app.images.readers import heif
from tests.app.image_files import encoded
from tests.app.images.colours.icc_profiles import DISPLAY_P3, DISPLAY_P3_XYZ, shown, srgb_light
from tests.app.images.readers.expectations import (
    ALPHA,
    BLENDED,
    DEEP,
    LARGE,
    LOSSY,
    ON_WHITE,
    PIXELS,
    RAMP,
    TEN_BITS,
    TURNED,
    assert_shows,
    read,
    upright,
)
from tests.app.images.readers.heif_files import (
    Part,
    av1,
    box,
    cicp,
    crop,
    grid,
    heic,
    heif_file,
    hevc,
    mirroring,
    profile,
    rotation,
    saved,
    size_box,
    turned,
)
from tests.app.images.readers.test_containers import movie, track


def deep(samples: np.ndarray, mode: str, **options: object) -> bytes:
    """Returns an HEIC file of 10-bit or, if `mode` is RGBa, of 8-bit samples."""
    samples = samples << 6 if samples.dtype == np.uint16 else samples
    return saved(pillow_heif.from_bytes(mode, samples.shape[1::-1], samples.tobytes()), **options)


@pytest.mark.parametrize("options", [{}, {"chroma": 420}, {"chroma": 422}, {"full_range_flag": 0}])
def test_a_photo_has_the_pixels_that_were_encoded(options):
    assert_shows(read(heic(PIXELS, **options)), PIXELS)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (61, 31), (33, 64), (65, 127)])
def test_odd_sizes_are_cropped_to(width, height):
    pixels = LARGE[:height, 90 : 90 + width]
    assert_shows(read(heic(pixels)), pixels)


@pytest.mark.parametrize("twelve", [False, True])
def test_samples_of_10_and_12_bits_are_reduced(twelve, monkeypatch):
    monkeypatch.setattr(pillow_heif.options, "SAVE_HDR_TO_12_BIT", twelve)
    assert_shows(read(deep(TEN_BITS, "RGB;16")), TEN_BITS >> 2, DEEP)


def test_the_lowest_bits_are_cut_off():
    data = deep(TEN_BITS, "RGB;16", quality=-1, matrix_coefficients=0)  # lossless
    assert_shows(read(data), TEN_BITS >> 2, DEEP, tolerance=0)


def test_grey_images():
    grey = np.asarray(Image.fromarray(PIXELS).convert("L"))
    assert_shows(read(heic(grey)), np.dstack([grey] * 3))
    assert_shows(read(deep(RAMP, "I;16")), np.dstack([RAMP >> 2] * 3), DEEP)
    grey_with_alpha = Image.merge("LA", [Image.fromarray(grey), Image.fromarray(ALPHA)])
    expected = np.rint(grey * (ALPHA / 255) + 255 - ALPHA)
    assert_shows(read(heic(grey_with_alpha)), np.dstack([expected] * 3), BLENDED)


def test_alpha_is_composited_on_white():
    assert_shows(read(heic(np.dstack([PIXELS, ALPHA]))), ON_WHITE, BLENDED)
    deep_alpha = np.dstack([PIXELS, ALPHA]).astype(np.uint16) << 2
    assert_shows(read(deep(deep_alpha, "RGBA;16")), ON_WHITE, DEEP, BLENDED)


def test_premultiplied_alpha_is_composited_on_white():
    premultiplied = np.rint(PIXELS * (ALPHA[..., None] / 255)).astype(np.uint8)
    assert_shows(read(deep(np.dstack([premultiplied, ALPHA]), "RGBa")), ON_WHITE, BLENDED)


@pytest.mark.parametrize("quarter_turns", [None, 0, 1, 2, 3])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_rotation_and_mirroring_are_applied_once(quarter_turns, axis):
    exif = Image.Exif()
    exif[274] = 6  # phones store the orientation in EXIF too
    properties = [] if quarter_turns is None else [rotation(quarter_turns)]
    properties += [] if axis is None else [mirroring(axis)]
    parts = hevc(PIXELS, *properties), Part(b"Exif", bytes(4) + exif.tobytes()[6:], references=[(b"cdsc", [1])])
    notes = [TURNED] if quarter_turns or axis is not None else []
    assert_shows(read(heif_file(*parts)), turned(PIXELS, quarter_turns, axis), *notes)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations_as_libheif_writes_them(orientation):
    exif = Image.Exif()
    exif[274] = orientation
    data = heic(PIXELS, exif=exif.tobytes())
    assert_shows(read(data), upright(PIXELS, orientation), *([TURNED] if orientation > 1 else []))


def test_a_crop_is_applied_before_a_rotation():
    data = heif_file(hevc(PIXELS, crop(100, 40, -6, 10), rotation(1)))
    assert_shows(read(data), np.rot90(PIXELS[17:57, 11:111]), TURNED)


@pytest.mark.parametrize("hidden", [True, False])
def test_a_grid_is_put_together_and_cropped(hidden):
    tiles = [hevc(LARGE[y : y + 64, x : x + 64], hidden=hidden) for y in (0, 64) for x in (0, 64, 128, 192)]
    data = heif_file(grid(2, 4, 250, 121, rotation(3)), *tiles)
    assert heif.read_header(data) == Header(250, 121, 1)
    assert_shows(read(data), np.rot90(LARGE[:121, :250], 3), TURNED)


def test_a_grid_of_which_a_tile_is_missing_is_truncated():
    data = heif_file(grid(1, 2, 128, 64), hevc(PIXELS[:, :64]), hevc(PIXELS[:, 64:]))
    with pytest.raises(InvalidImage, match="truncated"):
        read(data[:-3])


@pytest.mark.parametrize(
    ("properties", "note"),
    [
        ([cicp(12, 13)], "converted_from_cicp"),
        ([profile(DISPLAY_P3)], "converted_from_icc"),
        ([cicp(1, 13), profile(DISPLAY_P3, b"rICC")], "converted_from_icc"),
    ],
)
def test_display_p3_becomes_srgb(properties, note):
    expected = shown(PIXELS, DISPLAY_P3_XYZ, srgb_light)
    assert np.abs(expected - PIXELS).max() > 20
    assert_shows(read(heif_file(hevc(PIXELS, *properties))), expected, note, tolerance=5)
    tiles = [hevc(half, *properties) for half in (PIXELS[:, :64], PIXELS[:, 64:])]
    assert_shows(read(heif_file(grid(1, 2, 128, 64), *tiles)), expected, note, tolerance=5)


def test_the_matrix_is_applied_by_the_decoder():
    data = heic(PIXELS, matrix_coefficients=9, color_primaries=9, transfer_characteristics=16)
    assert heif.read(data, ReadOptions()).colour_space == ColourSpace(cicp=CICP(9, 16))
    np.testing.assert_allclose(np.asarray(heif.read(data, ReadOptions()).image).astype(int), PIXELS, atol=LOSSY)


def test_the_images_of_a_file_are_its_frames_the_primary_one_first():
    file = pillow_heif.from_pillow(Image.fromarray(PIXELS))
    for more in (255 - PIXELS, PIXELS[:, :64]):
        file.add_from_pillow(Image.fromarray(more))
    for image in file:
        image.info["thumbnails"] = [64]
    data = saved(file, primary_index=1)
    assert heif.read_header(data).frames == 3
    assert_shows(read(data), 255 - PIXELS, "first_frame_of_3")
    assert_shows(read(data, frame=1), PIXELS, "frame_1_of_3")
    assert_shows(read(data, frame=2), PIXELS[:, :64], "frame_2_of_3")
    with pytest.raises(InvalidImage, match="no frame 3"):
        read(data, frame=3)


@pytest.mark.parametrize("kind", [b"Exif", b"mime"])
@pytest.mark.parametrize("data", [b"", b"\xff" * 9, b"\0\0\0\0MM\0*\xff\xff\xff\xff"])
def test_broken_metadata_do_not_matter(kind, data):
    metadata = Part(kind, data, references=[(b"cdsc", [1])])
    assert_shows(read(heif_file(hevc(PIXELS), metadata)), PIXELS)
    assert_shows(read(heif_file(hevc(PIXELS), metadata)[: -len(data) or None]), PIXELS)


def test_av1_in_a_file_without_the_brand_of_avif_is_read():
    data = heif_file(av1(PIXELS), brands=(b"mif1", b"miaf"))
    assert_shows(read(data), PIXELS)
    assert read(data).format == "HEIF"


@pytest.mark.parametrize(
    ("kind", "name"), [(b"jpeg", "JPEG"), (b"j2k1", "JPEG 2000"), (b"vvc1", "VVC"), (b"xyz1", "xyz1")]
)
def test_other_codecs_are_named(kind, name):
    data = heif_file(Part(kind, encoded(PIXELS, "JPEG"), [size_box(128, 64)]), brands=(b"mif1", b"miaf"))
    with pytest.raises(UnsupportedMediaType, match=f"HEIF with images of the kind {name} is not supported. Send JPEG"):
        read(data)


def test_an_image_sequence_without_a_still_image_is_not_supported():
    data = movie(track(b"hvc1"), brand=b"hevc")
    with pytest.raises(
        UnsupportedMediaType, match=r"HEIC image sequence is not supported. Send one frame as JPEG or PNG"
    ):
        read(data)


def test_the_still_image_of_an_image_sequence_is_read():
    still, sequence = heif_file(hevc(PIXELS), brands=(b"hevc", b"msf1")), movie(track(b"hvc1", samples=9))
    data = still + sequence[sequence.index(b"moov") - 4 :]
    assert_shows(read(data), PIXELS, "first_frame_of_9")
    with pytest.raises(UnsupportedMediaType, match="Only the still images of a HEIC image sequence"):
        read(data, frame=4)


def test_a_still_image_may_have_the_brand_of_image_sequences():
    assert_shows(read(heif_file(hevc(PIXELS), brands=(b"msf1", b"hevc", b"mif1"))), PIXELS)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (heif_file(hevc(PIXELS), primary=7), "does not contain the image that it declares"),
        (box(b"ftyp", b"heic", bytes(4), b"mif1"), "contains no image"),
        (heif_file(Part(b"hvc1", b"\xff" * 99, hevc(PIXELS).properties)), "damaged|truncated"),
        (heif_file(hevc(PIXELS)._replace(properties=[size_box(128, 64)])), "damaged"),
    ],
)
def test_damaged_files_are_invalid(data, message):
    with pytest.raises(InvalidImage, match=message):
        read(data)


def test_every_truncated_file_is_invalid():
    data = heic(PIXELS)
    for length in range(28, len(data)):
        with pytest.raises(InvalidImage, match=r"truncated|no image"):
            read(data[:length])


def test_the_declared_size_is_limited_before_decoding():
    image = hevc(PIXELS)
    with pytest.raises(ImageTooLarge):
        read(heif_file(image._replace(properties=[image.properties[0], size_box(50_000, 1_000)])))


def test_files_of_too_many_parts_are_refused():
    with pytest.raises(ImageTooExpensive):
        read(heif_file(*[Part(b"mime", b"")] * 30_000))


def test_both_packages_of_libheif_decode_alike_in_one_process():
    data = heic(PIXELS)
    ours, others = (np.asarray(package.open_heif(data).to_pillow()) for package in (pi_heif, pillow_heif))
    np.testing.assert_array_equal(ours, others)
