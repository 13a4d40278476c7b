import numpy as np
import pytest
from PIL import ExifTags, Image, features

from app.errors import ImageTooLarge
from app.images import decode
from app.images.colours import UPRIGHT
from app.images.headers import MAX_FRAMES
from tests.app.images.hostile import gif, jpeg, png
from tests.app.pictures import BLUE, GREEN, RED, encoded, picture, quarters

MAX_PIXELS = 1_000_000
LOSSLESS = [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("WEBP", {"lossless": True})]


@pytest.mark.parametrize(("image_format", "options"), LOSSLESS)
def test_a_lossless_file_gives_back_its_pixels(image_format, options):
    image = decode(encoded(quarters(), image_format, **options), MAX_PIXELS)
    assert (image.rgb == quarters()).all()
    assert (image.format, image.notes) == (image_format, [])
    assert image.rgb.dtype == np.uint8


@pytest.mark.parametrize("image_format", ["JPEG", "WEBP", "GIF", "AVIF"])
def test_a_lossy_file_gives_back_about_its_pixels(image_format):
    if image_format == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    image = decode(encoded(picture(GREEN), image_format), MAX_PIXELS)
    assert np.abs(image.rgb.astype(int) - GREEN).max() <= 4
    assert image.format == image_format


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(image_format, orientation):
    if image_format == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    stored = Image.fromarray(quarters())
    if orientation in UPRIGHT:  # store it turned, so that the tag makes it upright
        inverse = {6: UPRIGHT[8], 8: UPRIGHT[6]}.get(orientation, UPRIGHT[orientation])
        stored = stored.transpose(inverse)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    image = decode(encoded(stored, image_format, exif=exif, quality=95), MAX_PIXELS)
    assert image.rgb.shape == quarters().shape
    centres = np.ix_([4, 12], [8, 24])  # of the quarters, far from what a lossy format smears
    assert np.abs(image.rgb[centres].astype(int) - quarters()[centres]).max() <= 12
    assert ("exif_orientation_applied" in image.notes) == (orientation > 1)


@pytest.mark.parametrize(
    ("image_format", "options"), [("GIF", {}), ("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})]
)
def test_of_several_frames_the_first_is_used(image_format, options):
    others = [Image.fromarray(picture(colour)) for colour in (GREEN, BLUE)]
    data = encoded(picture(RED), image_format, save_all=True, append_images=others, **options)
    image = decode(data, MAX_PIXELS)
    assert np.abs(image.rgb.astype(int) - RED).max() <= 2
    assert image.notes == ["first_frame_of_3"]


def test_the_limit_of_pixels_holds_to_the_pixel():
    assert decode(encoded(picture(side=1000)), MAX_PIXELS).rgb.shape == (1000, 1000, 3)
    with pytest.raises(ImageTooLarge, match=r"1001 x 1000 pixels\. At most 1,000,000"):
        decode(png(0, 1, b"", (1001, 1000)), MAX_PIXELS)


def test_the_limit_of_frames_holds_to_the_frame():
    assert decode(gif(MAX_FRAMES), MAX_PIXELS).notes == [f"first_frame_of_{MAX_FRAMES}"]
    with pytest.raises(ImageTooLarge, match="more than 1,000 frames"):
        decode(gif(MAX_FRAMES + 1), MAX_PIXELS)


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0garbage", b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\x63\0\0\0\0\0\0"]
)
def test_exif_that_is_damaged_or_says_nonsense_does_not_cost_the_picture(exif):
    image = decode(encoded(picture(GREEN), "JPEG", exif=exif), MAX_PIXELS)
    assert np.abs(image.rgb.astype(int) - GREEN).max() <= 4
    assert image.notes == []


def test_the_second_picture_of_a_pair_is_passed_over():
    pair = encoded(picture(RED), "MPO", save_all=True, append_images=[Image.fromarray(picture(BLUE))])
    image = decode(pair, MAX_PIXELS)
    assert np.abs(image.rgb.astype(int) - RED).max() <= 4
    assert (image.format, image.notes) == ("JPEG", [])


def test_a_progressive_jpeg_with_the_scans_of_an_encoder_is_accepted():
    assert decode(jpeg(progressive=True, scans=20), MAX_PIXELS).rgb.shape == (64, 64, 3)


def test_decoding_leaves_pillow_and_the_warnings_as_they_were():
    import warnings

    from PIL import ImageFile

    def state():
        return Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters)

    before = state()
    decode(encoded(quarters()), MAX_PIXELS)
    assert state() == before
