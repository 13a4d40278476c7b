import numpy as np
import pytest
from PIL import ExifTags, Image, features

from app.errors import ImageTooLarge, InvalidImage
from app.images.colours.convert import UPRIGHT
from app.images.decode import DecodeOptions, decode
from app.images.raster import MAX_FRAMES
from tests.app.image_files import BLUE, GREEN, RED, encoded, pixels_of, plain_image, quarters
from tests.app.images.hostile import announced_jpeg, gif, png

OPTIONS = DecodeOptions(1_000_000)
LOSSLESS = [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("WEBP", {"lossless": True})]


@pytest.mark.parametrize(("image_format", "options"), LOSSLESS)
def test_a_lossless_file_is_decoded_exactly(image_format, options):
    image = decode(encoded(quarters(), image_format, **options), OPTIONS)
    assert (pixels_of(image) == quarters()).all()
    assert (image.format, image.notes) == (image_format, [])
    assert pixels_of(image).dtype == np.uint8


@pytest.mark.parametrize("image_format", ["JPEG", "WEBP", "GIF", "AVIF"])
def test_a_lossy_file_is_decoded_approximately(image_format):
    if image_format == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    image = decode(encoded(plain_image(GREEN), image_format), OPTIONS)
    assert np.abs(pixels_of(image).astype(int) - GREEN).max() <= 4
    assert image.format == image_format


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(image_format, orientation):
    if image_format == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    stored = Image.fromarray(quarters())
    if orientation in UPRIGHT:  # store it rotated or mirrored, so that the tag makes it upright
        inverse = {6: UPRIGHT[8], 8: UPRIGHT[6]}.get(orientation, UPRIGHT[orientation])
        stored = stored.transpose(inverse)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    image = decode(encoded(stored, image_format, exif=exif, quality=95), OPTIONS)
    assert pixels_of(image).shape == quarters().shape == (image.height, image.width, 3)
    centres = np.ix_([4, 12], [8, 24])  # of the quarters, away from the edges that a lossy format blurs
    assert np.abs(pixels_of(image)[centres].astype(int) - quarters()[centres]).max() <= 12
    assert ("exif_orientation_applied" in image.notes) == (orientation > 1)


@pytest.mark.parametrize(
    ("image_format", "options"), [("GIF", {}), ("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})]
)
def test_the_first_of_several_frames_is_used(image_format, options):
    others = [Image.fromarray(plain_image(colour)) for colour in (GREEN, BLUE)]
    data = encoded(plain_image(RED), image_format, save_all=True, append_images=others, **options)
    image = decode(data, OPTIONS)
    assert np.abs(pixels_of(image).astype(int) - RED).max() <= 2
    assert image.notes == ["first_frame_of_3", "blank_frame"]


def test_the_pixel_limit_is_exact():
    assert pixels_of(decode(encoded(plain_image(side=1000)), OPTIONS)).shape == (1000, 1000, 3)
    with pytest.raises(ImageTooLarge, match=r"1001 x 1000 pixels\. At most 1,000,000"):
        decode(png(0, 1, b"", (1001, 1000)), OPTIONS)


def test_the_frame_limit_is_exact():
    assert decode(gif(MAX_FRAMES), OPTIONS).notes[0] == f"first_frame_of_{MAX_FRAMES}"
    with pytest.raises(ImageTooLarge, match="more than 1,000 frames"):
        decode(gif(MAX_FRAMES + 1), OPTIONS)


def test_a_frame_is_chosen_and_noted():
    colours = [RED, GREEN, BLUE]
    data = encoded(
        plain_image(RED), save_all=True, append_images=[Image.fromarray(plain_image(c)) for c in colours[1:]]
    )
    for frame, colour in enumerate(colours):
        image = decode(data, OPTIONS._replace(frame=frame))
        assert (pixels_of(image) == colour).all()
        assert image.notes == [f"frame_{frame}_of_3" if frame else "first_frame_of_3", "blank_frame"]


@pytest.mark.parametrize(("frames", "message"), [(1, "one frame, so there is no frame 1"), (3, "3 frames or pages")])
def test_a_missing_frame_is_an_error(frames, message):
    with pytest.raises(InvalidImage, match=message):
        decode(gif(frames), OPTIONS._replace(frame=frames))


def test_decoding_does_not_change_the_settings_of_pillow_and_warnings():
    import warnings

    from PIL import ImageFile

    def state():
        return Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters)

    before = state()
    decode(encoded(quarters()), OPTIONS)
    assert state() == before


def waves(width: int, height: int) -> np.ndarray:
    """Returns a smooth image with different corners and fine noise, [height, width, 3] uint8."""
    down, across = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j].astype(np.float32)
    grain = np.random.default_rng(0).normal(0, 8, (height, width)).astype(np.float32)
    channels = [200 * across + 20, 200 * down + 20, 120 + 80 * np.sin(9 * across) * down]
    return np.stack([channel + grain for channel in channels], axis=-1).clip(0, 255).astype(np.uint8)


def resized(rgb: np.ndarray, side: int) -> np.ndarray:
    return np.asarray(Image.fromarray(rgb).resize((side, side), Image.Resampling.BICUBIC)).astype(int)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_a_large_jpeg_is_decoded_smaller_and_looks_the_same_after_resizing(options):
    data = encoded(waves(4000, 3000), "JPEG", quality=90, **options)
    image = decode(data, DecodeOptions(12_000_000, least_side=448))
    assert (image.width, image.height) == (4000, 3000)
    assert pixels_of(image).shape == (750, 1000, 3)
    # The tolerance is 4 of 255, for images resized to half of `least_side`.
    assert (
        np.abs(resized(pixels_of(image), 224) - resized(pixels_of(decode(data, DecodeOptions(12_000_000))), 224)).max()
        <= 4
    )


@pytest.mark.parametrize(
    ("size", "shape"),
    [((128, 128), (64, 64, 3)), ((127, 200), (200, 127, 3)), ((2000, 80), (80, 2000, 3)), ((260, 130), (65, 130, 3))],
)
def test_no_side_of_a_jpeg_is_decoded_smaller_than_least_side(size, shape):
    image = decode(encoded(waves(*size), "JPEG"), OPTIONS._replace(least_side=64))
    assert pixels_of(image).shape == shape
    assert (image.width, image.height) == size


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_decoded_smaller_is_upright_and_so_is_its_reported_size(orientation):
    stored = Image.fromarray(quarters(160))
    if orientation in UPRIGHT:
        stored = stored.transpose({6: UPRIGHT[8], 8: UPRIGHT[6]}.get(orientation, UPRIGHT[orientation]))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    image = decode(encoded(stored, "JPEG", exif=exif, quality=95), OPTIONS._replace(least_side=16))
    assert (image.width, image.height) == (320, 160)
    assert pixels_of(image).shape == (20, 40, 3)
    centres = np.ix_([5, 15], [10, 30])
    assert np.abs(pixels_of(image)[centres].astype(int) - quarters(20)[centres]).max() <= 12


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_a_jpeg_decoded_smaller_keeps_its_colours(mode):
    data = encoded(Image.fromarray(waves(400, 400)).convert(mode), "JPEG", quality=90)
    small, whole = decode(data, OPTIONS._replace(least_side=100)), decode(data, OPTIONS)
    assert small.notes == whole.notes
    assert pixels_of(small).shape == (100, 100, 3)
    assert np.abs(resized(pixels_of(small), 50) - resized(pixels_of(whole), 50)).max() <= 6


def test_a_jpeg_decoded_smaller_is_refused_by_its_full_size():
    with pytest.raises(ImageTooLarge, match="1001 x 1000 pixels"):
        decode(announced_jpeg(1001, 1000), OPTIONS._replace(least_side=8))


def test_a_truncated_jpeg_is_refused_at_any_scale():
    data = encoded(waves(400, 400), "JPEG", quality=90)
    with pytest.raises(InvalidImage, match="truncated"):
        decode(data[: len(data) // 2], OPTIONS._replace(least_side=50))


def test_other_formats_are_decoded_at_full_size():
    assert pixels_of(decode(encoded(quarters(160)), OPTIONS._replace(least_side=16))).shape == (160, 320, 3)
