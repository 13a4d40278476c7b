"""However an image is stored, it gets the scores of the upright 8-bit RGB original: over HTTP, by the real model.

What is lossless must give the very same logits, also where half-clear pixels are laid on white. What is lossy may
differ by about twice what was measured on this image. Its logits lie 10 apart, and reading it mirrored, the mildest
mistake, moves one by 0.3: the last test holds that mistakes would be seen.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np
import pytest
from PIL import ExifTags, Image

from app.images.colours import UPRIGHT
from app.images.formats import FORMATS
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

HOLE = Image.new("L", RGB.size, 255)  # alpha: wholly clear in the middle, wholly opaque around it
HOLE.paste(0, (96, 96, 160, 160))
RAMP = Image.linear_gradient("L").resize(RGB.size)  # alpha: every value


class Form(NamedTuple):
    """An image as a file, the image that it must score like, and by how much a logit may differ."""

    file: bytes
    original: Image.Image
    tolerance: float = EXACT


def on_white(image: Image.Image, alpha: Image.Image) -> Image.Image:
    """Returns the image on white, computed in float."""
    share = np.asarray(alpha)[..., None] / 255
    values = np.asarray(image.convert("RGB")) * share + 255 * (1 - share)
    return Image.fromarray(np.rint(values).astype(np.uint8))


def with_alpha(image: Image.Image, alpha: Image.Image) -> Image.Image:
    image = image.copy()
    image.putalpha(alpha)
    return image


def turned(image_format: str, orientation: int, **options: object) -> bytes:
    """Returns the image stored the other way round, with the tag that makes it upright."""
    stored = RGB.transpose(UPRIGHT[{6: 8, 8: 6}.get(orientation, orientation)]) if orientation > 1 else RGB
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return encoded(stored, image_format, exif=exif, **options)


def sixteen(image: Image.Image) -> np.ndarray:
    """Returns 16 bits a sample, the low eight unlike the high ones: rounding up would show."""
    return np.asarray(image).astype(np.uint16) * 256 + 200


def rgb_16_png() -> bytes:
    return png(2, 16, b"".join(b"\0" + row.tobytes() for row in sixteen(RGB).astype(">u2")), RGB.size)


def rgb_16_tiff() -> bytes:
    """Returns what Pillow cannot write: an 8-bit TIFF of three times the bytes, whose tags then say 16 bits."""
    samples = sixteen(RGB).astype("<u2").tobytes()
    width, height = RGB.size
    tags = {256: width, 257: height, 258: 16, 259: 1, 262: 2, 273: 8, 277: 3, 278: height, 279: len(samples)}
    entries = b"".join(
        tag.to_bytes(2, "little") + b"\4\0\1\0\0\0" + value.to_bytes(4, "little") for tag, value in tags.items()
    )
    ifd = len(tags).to_bytes(2, "little") + entries + bytes(4)
    return b"II*\0" + (8 + len(samples)).to_bytes(4, "little") + samples + ifd


def one_colour_clear() -> Form:
    """Returns an RGB image whose most frequent colour is transparent."""
    pixels = np.asarray(RGB)
    colours, counts = np.unique(pixels.reshape(-1, 3), axis=0, return_counts=True)
    colour = colours[counts.argmax()]
    clear = Image.fromarray(np.where((pixels == colour).all(axis=2), 0, 255).astype(np.uint8))
    return Form(encoded(RGB, transparency=tuple(map(int, colour))), on_white(RGB, clear))


def palette_alpha(alphas: bytes) -> Form:
    """Returns a palette image with an alpha for each entry."""
    alpha = Image.fromarray(np.frombuffer(alphas, np.uint8)[np.asarray(PALETTE)])
    return Form(encoded(PALETTE, transparency=alphas), on_white(PALETTE, alpha))


def negative(image: Image.Image) -> Image.Image:
    return Image.fromarray(255 - np.asarray(image))


FORMS = {
    "PNG": Form(encoded(RGB), RGB),
    "BMP": Form(encoded(RGB, "BMP"), RGB),
    "TIFF": Form(encoded(RGB, "TIFF"), RGB),
    "TIFF, deflate, tiles": Form(encoded(RGB, "TIFF", compression="tiff_deflate", tile=(64, 64)), RGB),
    "WebP, lossless": Form(encoded(RGB, "WEBP", lossless=True), RGB),
    "JPEG": Form(encoded(RGB, "JPEG", quality=95, subsampling=0), RGB, JPEG),
    "JPEG, progressive": Form(encoded(RGB, "JPEG", quality=95, subsampling=0, progressive=True), RGB, JPEG),
    "WebP": Form(encoded(RGB, "WEBP", quality=95), RGB, LOSSY),
    **{f"PNG, EXIF {number}": Form(turned("PNG", number), RGB) for number in range(1, 9)},
    **{f"TIFF, EXIF {number}": Form(turned("TIFF", number), RGB) for number in range(1, 9)},
    **{f"WebP, EXIF {number}": Form(turned("WEBP", number, lossless=True), RGB) for number in range(1, 9)},
    **{
        f"JPEG, EXIF {number}": Form(turned("JPEG", number, quality=95, subsampling=0), RGB, JPEG)
        for number in range(1, 9)
    },
    "CMYK TIFF": Form(encoded(RGB.convert("CMYK"), "TIFF"), RGB),
    "CMYK JPEG, Adobe's inverted inks": Form(
        encoded(RGB.convert("CMYK"), "JPEG", quality=95, subsampling=0), RGB, JPEG
    ),
    "16-bit RGB PNG": Form(rgb_16_png(), RGB),
    "16-bit RGB TIFF": Form(rgb_16_tiff(), RGB),
    "grey PNG": Form(encoded(GREY), GREY),
    "grey JPEG": Form(encoded(GREY, "JPEG", quality=95), GREY, JPEG),
    "16-bit grey PNG": Form(encoded(sixteen(GREY)), GREY),
    "16-bit grey TIFF": Form(encoded(sixteen(GREY), "TIFF"), GREY),
    "16-bit grey TIFF, 0 is white": Form(encoded(sixteen(negative(GREY)), "TIFF", tiffinfo={262: 0}), GREY),
    "float TIFF": Form(encoded((np.asarray(GREY) / 255).astype(np.float32), "TIFF"), GREY),
    "1-bit PNG": Form(encoded(BLACK_WHITE), BLACK_WHITE),
    "1-bit TIFF, CCITT": Form(encoded(BLACK_WHITE, "TIFF", compression="group4"), BLACK_WHITE),
    "1-bit BMP": Form(encoded(BLACK_WHITE, "BMP"), BLACK_WHITE),
    "P PNG": Form(encoded(PALETTE), PALETTE),
    "P GIF": Form(encoded(PALETTE, "GIF"), PALETTE),
    "P PNG, an alpha for each entry, clear or not": palette_alpha(bytes([0, 255] * 32)),
    "P PNG, an alpha for each entry": palette_alpha(bytes(range(0, 256, 4))),
    "PA TIFF": Form(encoded(with_alpha(PALETTE, HOLE), "TIFF"), on_white(PALETTE, HOLE)),
    "LA PNG": Form(encoded(with_alpha(GREY, HOLE)), on_white(GREY, HOLE)),
    "LA PNG, half clear": Form(encoded(with_alpha(GREY, RAMP)), on_white(GREY, RAMP)),
    "RGBA PNG": Form(encoded(with_alpha(RGB, HOLE)), on_white(RGB, HOLE)),
    "RGBA PNG, half clear": Form(encoded(with_alpha(RGB, RAMP)), on_white(RGB, RAMP)),
    "RGBA WebP": Form(encoded(with_alpha(RGB, HOLE), "WEBP", lossless=True), on_white(RGB, HOLE)),
    "RGBA TIFF": Form(encoded(with_alpha(RGB, HOLE), "TIFF"), on_white(RGB, HOLE)),
    "RGB PNG, one colour clear": one_colour_clear(),
    "animated GIF": Form(encoded(PALETTE, "GIF", save_all=True, append_images=[OTHER]), PALETTE),
    "animated PNG": Form(encoded(RGB, save_all=True, append_images=[OTHER]), RGB),
    "animated WebP": Form(encoded(RGB, "WEBP", save_all=True, append_images=[OTHER], lossless=True), RGB),
    "TIFF of two pages": Form(encoded(RGB, "TIFF", save_all=True, append_images=[OTHER]), RGB),
}
if any(form.name == "AVIF" for form in FORMATS):  # Pillow can be built without it
    FORMS["AVIF"] = Form(encoded(RGB, "AVIF", quality=95, subsampling="4:4:4"), RGB, LOSSY)
    for number in range(1, 9):
        FORMS[f"AVIF, EXIF {number}"] = Form(turned("AVIF", number, quality=95, subsampling="4:4:4"), RGB, LOSSY)

Logits = Callable[[bytes], np.ndarray]


@pytest.fixture(scope="module")
def logits() -> Iterator[Logits]:
    """Asks a running service with the embedded model."""
    with serve(load_encoder(device="cpu", dtype="float32")) as client:

        def ask(file: bytes) -> np.ndarray:
            answer = client.post("/classify", files={"image": file}, data={"labels": LABELS})
            assert answer.status_code == httpx.codes.OK, answer.text
            by_label = {score["label"]: score["logit"] for score in answer.json()["scores"]}
            return np.array([by_label[label] for label in LABELS])

        yield ask


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_image_scores_the_same_however_it_is_stored(logits: Logits, form: Form) -> None:
    original = logits(encoded(form.original.convert("RGB")))
    assert np.abs(logits(form.file) - original).max() <= form.tolerance


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
def test_a_wrong_reading_would_be_seen(logits: Logits, wrong: Image.Image) -> None:
    assert np.abs(logits(encoded(wrong.convert("RGB"))) - logits(encoded(RGB))).max() > 2 * LOSSY
