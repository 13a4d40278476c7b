"""A stored image has the same scores as the upright 8-bit RGB original, over HTTP and with the real model.

Lossless files must give exactly the same logits, also if half-transparent pixels are composited on white. The logits of
lossy files may differ by about twice the difference that was measured on this image. The logits of this image have a
range of about 10. Reading it mirrored, the mistake with the smallest effect, changes one of them by 0.3. The last test
checks that such mistakes are detected.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np
import pytest
from PIL import ExifTags, Image

from app.images.colours.convert import UPRIGHT
from app.images.identify import FORMATS
from model.engines.load import load_encoder
from tests.app.conftest import serve
from tests.app.image_files import encoded
from tests.app.images.hostile import png

LABELS = ["cat", "dog", "car", "pizza", "guitar", "rainbow"]
EXACT = 0.0
JPEG = 0.02  # quality 95, full chroma: measured 0.006
LOSSY = 0.1  # WebP, whose chroma is always halved: measured 0.040; AVIF: 0.017

RGB = Image.open(Path(__file__).parents[3] / "samples/cat.png").convert("RGB")
GREY, BLACK_WHITE, PALETTE = RGB.convert("L"), RGB.convert("1"), RGB.quantize(64)
OTHER = Image.new("RGB", RGB.size, "blue")  # the second frame of an animation

HOLE = Image.new("L", RGB.size, 255)  # alpha: transparent in the middle, opaque around it
HOLE.paste(0, (96, 96, 160, 160))
RAMP = Image.linear_gradient("L").resize(RGB.size)  # alpha: all values from 0 to 255


class StoredImage(NamedTuple):
    """An image file, the image whose logits it must have, and by how much a logit may differ."""

    file: bytes
    original: Image.Image
    tolerance: float = EXACT


def on_white(image: Image.Image, alpha: Image.Image) -> Image.Image:
    """Returns the image composited on white, computed in float."""
    share = np.asarray(alpha)[..., None] / 255
    values = np.asarray(image.convert("RGB")) * share + 255 * (1 - share)
    return Image.fromarray(np.rint(values).astype(np.uint8))


def with_alpha(image: Image.Image, alpha: Image.Image) -> Image.Image:
    image = image.copy()
    image.putalpha(alpha)
    return image


def stored_rotated(image_format: str, orientation: int, **options: object) -> bytes:
    """Returns the image stored rotated or mirrored, with the EXIF orientation that makes it upright."""
    stored = RGB.transpose(UPRIGHT[{6: 8, 8: 6}.get(orientation, orientation)]) if orientation > 1 else RGB
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return encoded(stored, image_format, exif=exif, **options)


def as_16_bit(image: Image.Image) -> np.ndarray:
    """Returns 16-bit samples whose low byte is 200, so that rounding instead of truncating changes the result."""
    return np.asarray(image).astype(np.uint16) * 256 + 200


def rgb_16_png() -> bytes:
    return png(2, 16, b"".join(b"\0" + row.tobytes() for row in as_16_bit(RGB).astype(">u2")), RGB.size)


def rgb_16_tiff() -> bytes:
    """Returns a 16-bit RGB TIFF, which Pillow cannot write."""
    samples = as_16_bit(RGB).astype("<u2").tobytes()
    width, height = RGB.size
    tags = {256: width, 257: height, 258: 16, 259: 1, 262: 2, 273: 8, 277: 3, 278: height, 279: len(samples)}
    entries = b"".join(
        tag.to_bytes(2, "little") + b"\4\0\1\0\0\0" + value.to_bytes(4, "little") for tag, value in tags.items()
    )
    ifd = len(tags).to_bytes(2, "little") + entries + bytes(4)
    return b"II*\0" + (8 + len(samples)).to_bytes(4, "little") + samples + ifd


def one_colour_transparent() -> StoredImage:
    """Returns an RGB image whose most frequent colour is transparent."""
    pixels = np.asarray(RGB)
    colours, counts = np.unique(pixels.reshape(-1, 3), axis=0, return_counts=True)
    colour = colours[counts.argmax()]
    alpha = Image.fromarray(np.where((pixels == colour).all(axis=2), 0, 255).astype(np.uint8))
    return StoredImage(encoded(RGB, transparency=tuple(map(int, colour))), on_white(RGB, alpha))


def palette_alpha(alphas: bytes) -> StoredImage:
    """Returns a palette image with an alpha for each entry."""
    alpha = Image.fromarray(np.frombuffer(alphas, np.uint8)[np.asarray(PALETTE)])
    return StoredImage(encoded(PALETTE, transparency=alphas), on_white(PALETTE, alpha))


def negative(image: Image.Image) -> Image.Image:
    return Image.fromarray(255 - np.asarray(image))


STORED_IMAGES = {
    "PNG": StoredImage(encoded(RGB), RGB),
    "BMP": StoredImage(encoded(RGB, "BMP"), RGB),
    "TIFF": StoredImage(encoded(RGB, "TIFF"), RGB),
    "TIFF, deflate, tiles": StoredImage(encoded(RGB, "TIFF", compression="tiff_deflate", tile=(64, 64)), RGB),
    "WebP, lossless": StoredImage(encoded(RGB, "WEBP", lossless=True), RGB),
    "JPEG": StoredImage(encoded(RGB, "JPEG", quality=95, subsampling=0), RGB, JPEG),
    "JPEG, progressive": StoredImage(encoded(RGB, "JPEG", quality=95, subsampling=0, progressive=True), RGB, JPEG),
    "WebP": StoredImage(encoded(RGB, "WEBP", quality=95), RGB, LOSSY),
    **{f"PNG, EXIF {number}": StoredImage(stored_rotated("PNG", number), RGB) for number in range(1, 9)},
    **{f"TIFF, EXIF {number}": StoredImage(stored_rotated("TIFF", number), RGB) for number in range(1, 9)},
    **{
        f"WebP, EXIF {number}": StoredImage(stored_rotated("WEBP", number, lossless=True), RGB)
        for number in range(1, 9)
    },
    **{
        f"JPEG, EXIF {number}": StoredImage(stored_rotated("JPEG", number, quality=95, subsampling=0), RGB, JPEG)
        for number in range(1, 9)
    },
    "CMYK TIFF": StoredImage(encoded(RGB.convert("CMYK"), "TIFF"), RGB),
    "CMYK JPEG, Adobe's inverted inks": StoredImage(
        encoded(RGB.convert("CMYK"), "JPEG", quality=95, subsampling=0), RGB, JPEG
    ),
    "16-bit RGB PNG": StoredImage(rgb_16_png(), RGB),
    "16-bit RGB TIFF": StoredImage(rgb_16_tiff(), RGB),
    "grey PNG": StoredImage(encoded(GREY), GREY),
    "grey JPEG": StoredImage(encoded(GREY, "JPEG", quality=95), GREY, JPEG),
    "16-bit grey PNG": StoredImage(encoded(as_16_bit(GREY)), GREY),
    "16-bit grey TIFF": StoredImage(encoded(as_16_bit(GREY), "TIFF"), GREY),
    "16-bit grey TIFF, 0 is white": StoredImage(encoded(as_16_bit(negative(GREY)), "TIFF", tiffinfo={262: 0}), GREY),
    "float TIFF": StoredImage(encoded((np.asarray(GREY) / 255).astype(np.float32), "TIFF"), GREY),
    "1-bit PNG": StoredImage(encoded(BLACK_WHITE), BLACK_WHITE),
    "1-bit TIFF, CCITT": StoredImage(encoded(BLACK_WHITE, "TIFF", compression="group4"), BLACK_WHITE),
    "1-bit BMP": StoredImage(encoded(BLACK_WHITE, "BMP"), BLACK_WHITE),
    "P PNG": StoredImage(encoded(PALETTE), PALETTE),
    "P GIF": StoredImage(encoded(PALETTE, "GIF"), PALETTE),
    "P PNG, entries transparent or opaque": palette_alpha(bytes([0, 255] * 32)),
    "P PNG, an alpha for each entry": palette_alpha(bytes(range(0, 256, 4))),
    "PA TIFF": StoredImage(encoded(with_alpha(PALETTE, HOLE), "TIFF"), on_white(PALETTE, HOLE)),
    "LA PNG": StoredImage(encoded(with_alpha(GREY, HOLE)), on_white(GREY, HOLE)),
    "LA PNG, half transparent": StoredImage(encoded(with_alpha(GREY, RAMP)), on_white(GREY, RAMP)),
    "RGBA PNG": StoredImage(encoded(with_alpha(RGB, HOLE)), on_white(RGB, HOLE)),
    "RGBA PNG, half transparent": StoredImage(encoded(with_alpha(RGB, RAMP)), on_white(RGB, RAMP)),
    "RGBA WebP": StoredImage(encoded(with_alpha(RGB, HOLE), "WEBP", lossless=True), on_white(RGB, HOLE)),
    "RGBA TIFF": StoredImage(encoded(with_alpha(RGB, HOLE), "TIFF"), on_white(RGB, HOLE)),
    "RGB PNG, one colour transparent": one_colour_transparent(),
    "animated GIF": StoredImage(encoded(PALETTE, "GIF", save_all=True, append_images=[OTHER]), PALETTE),
    "animated PNG": StoredImage(encoded(RGB, save_all=True, append_images=[OTHER]), RGB),
    "animated WebP": StoredImage(encoded(RGB, "WEBP", save_all=True, append_images=[OTHER], lossless=True), RGB),
    "TIFF of two pages": StoredImage(encoded(RGB, "TIFF", save_all=True, append_images=[OTHER]), RGB),
}
if any(form.name == "AVIF" for form in FORMATS):  # Pillow can be built without AVIF
    STORED_IMAGES["AVIF"] = StoredImage(encoded(RGB, "AVIF", quality=95, subsampling="4:4:4"), RGB, LOSSY)
    for number in range(1, 9):
        STORED_IMAGES[f"AVIF, EXIF {number}"] = StoredImage(
            stored_rotated("AVIF", number, quality=95, subsampling="4:4:4"), RGB, LOSSY
        )

Logits = Callable[[bytes], np.ndarray]


@pytest.fixture(scope="module")
def logits() -> Iterator[Logits]:
    """Returns a function from a file to its logits, which a service with the embedded model computes."""
    with serve(load_encoder(device="cpu", dtype="float32")) as client:

        def classify(file: bytes) -> np.ndarray:
            response = client.post("/classify", files={"image": file}, data={"labels": LABELS})
            assert response.status_code == httpx.codes.OK, response.text
            by_label = {score["label"]: score["logit"] for score in response.json()["scores"]}
            return np.array([by_label[label] for label in LABELS])

        yield classify


@pytest.mark.parametrize("stored", STORED_IMAGES.values(), ids=STORED_IMAGES)
def test_a_stored_image_has_the_scores_of_the_original(logits: Logits, stored: StoredImage) -> None:
    original = logits(encoded(stored.original.convert("RGB")))
    assert np.abs(logits(stored.file) - original).max() <= stored.tolerance


@pytest.mark.parametrize(
    "wrong",
    [
        *(RGB.transpose(turn) for turn in UPRIGHT.values()),
        negative(RGB),
        GREY,
        Image.new("RGB", RGB.size, "white"),
        Image.merge("RGB", RGB.split()[::-1]),
    ],
)
def test_wrong_decoding_would_change_the_scores(logits: Logits, wrong: Image.Image) -> None:
    assert np.abs(logits(encoded(wrong.convert("RGB"))) - logits(encoded(RGB))).max() > 2 * LOSSY
