"""Measures what decoding JPEGs at a reduced scale saves, and how close the embeddings are to those of a full decode.

    python -m benchmarks.jpeg [CHECKPOINT]      writes benchmarks/results/jpeg.json; needs 3 GB of memory

CHECKPOINT is the directory of a full-size model. Its fidelity is measured, and the embedded checkpoint's. The images
are the samples, enlarged, with noise added at every scale, because a reduced decode drops exactly such detail. The
third size of each checkpoint keeps the least detail: the reduced image is exactly `OVERSAMPLING` times the tower's
side. In that size there are also drawn patterns, the worst case for a reduced decode.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from app.images.decode import DecodeOptions, decode
from app.images.prepare import OVERSAMPLING
from benchmarks.machine import machine, versions
from model.engines.encoder import Encoder
from model.engines.load import load_encoder
from model.preprocess import resize

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks/results/jpeg.json"
SIZES = [(4_000, 3_000), (2_000, 1_500), (640, 480)]
TOWER_SIDE = 224  # for the timings
ROUNDS = 31
TEXTURES = {"smooth": 4.0, "textured": 24.0}  # standard deviation of the noise, in pixel values from 0 to 255
MAX_PIXELS = 100_000_000
LABELS = [f"a photo of a {name}" for name in ("car", "cat", "dog", "guitar", "pizza", "rainbow", "house", "tree")]


def photo(sample: Path, size: tuple[int, int], texture: float) -> bytes:
    """Returns a JPEG of quality 90: the sample, enlarged, plus noise in octaves from the whole image to one pixel."""
    width, height = size
    rng = np.random.default_rng(list(sample.name.encode()))
    pixels = np.asarray(Image.open(sample).convert("RGB").resize(size), np.float32).copy()
    octaves = max(size).bit_length() - 1
    for octave in range(2, octaves + 1):
        cells = [max(2, side >> (octaves - octave)) for side in (height, width)]
        noise = Image.fromarray(rng.standard_normal(cells, np.float32)).resize(size, Image.Resampling.BICUBIC)
        pixels += (np.asarray(noise) * texture / octaves**0.5)[..., None]
    file = BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def stripes(side: int) -> Image.Image:
    """Returns black and white columns, each one pixel wide."""
    return Image.fromarray(np.tile(np.array([0, 255], np.uint8), (side, side // 2)))


def page(side: int) -> Image.Image:
    """Returns a page of tiny text."""
    image = Image.new("L", (side, side), 255)
    draw = ImageDraw.Draw(image)
    for top in range(0, side, 8):
        draw.text((0, top), f"{top} The quick brown fox jumps over the lazy dog. " * (side // 100), fill=0, font_size=7)
    return image


def drawn(image: Image.Image) -> bytes:
    """Returns a drawn image as a JPEG of quality 90."""
    file = BytesIO()
    image.convert("RGB").save(file, "JPEG", quality=90)
    return file.getvalue()


def full(data: bytes, side: int) -> np.ndarray:
    """Returns the tower's input, decoded at full scale."""
    return resize(decode(data, DecodeOptions(MAX_PIXELS)).rgb, (side, side))


def reduced(data: bytes, side: int) -> np.ndarray:
    """Returns the tower's input, decoded at a reduced scale as the service does with SIGLIP_REDUCE_JPEGS."""
    options = DecodeOptions(MAX_PIXELS, least_side=OVERSAMPLING * side)
    return resize(decode(data, options).rgb, (side, side))


def plain(data: bytes, side: int) -> np.ndarray:
    """Returns the tower's input, decoded and resized with plain Pillow."""
    return np.asarray(Image.open(BytesIO(data)).convert("RGB").resize((side, side), Image.Resampling.BICUBIC))


def timings(rounds: int) -> Iterator[dict]:
    """Yields for each size the quartiles of each contender's milliseconds. Each round runs every contender once."""
    contenders: list[Callable[[bytes, int], np.ndarray]] = [reduced, full, plain]
    for size in SIZES:
        data = photo(ROOT / "samples/cat.png", size, TEXTURES["textured"])
        seconds: dict[str, list[float]] = {contender.__name__: [] for contender in contenders}
        for _ in range(rounds):
            for contender in contenders:
                start_s = time.perf_counter()
                contender(data, TOWER_SIDE)
                seconds[contender.__name__].append(time.perf_counter() - start_s)
        quartiles = {name: [round(1000 * q, 2) for q in statistics.quantiles(s)] for name, s in seconds.items()}
        ratio = statistics.median(seconds["reduced"]) / statistics.median(seconds["plain"])
        yield {"size": size, "file_bytes": len(data), "quartiles_ms": quartiles, "reduced_over_plain": round(ratio, 3)}


def fidelity(encoder: Encoder) -> Iterator[dict]:
    """Yields for each size and texture how far the reduced decode is from the full one."""
    side = max(encoder.info.image_size)
    texts = encoder.encode_texts(encoder.prepare_text(LABELS))
    edge = (2 * OVERSAMPLING * side,) * 2
    contents = {
        (size, name): [photo(sample, size, texture) for sample in sorted((ROOT / "samples").glob("*.png"))]
        for size in [*SIZES[:2], edge]
        for name, texture in TEXTURES.items()
    }
    contents |= {(edge, draw.__name__): [drawn(draw(edge[0]))] for draw in (stripes, page)}
    for (size, name), files in contents.items():
        near, exact = (
            encoder.encode_images(np.stack([read(data, side) for data in files])) for read in (reduced, full)
        )
        cosines = (near * exact).sum(axis=1)
        logits = [encoder.scale * embeddings @ texts.T + encoder.bias for embeddings in (near, exact)]
        yield {
            "variant": encoder.info.variant,
            "tower_side": side,
            "size": size,
            "content": name,
            "images": len(files),
            "cosine_mean": round(float(cosines.mean()), 6),
            "cosine_worst": round(float(cosines.min()), 6),
            "logit_change_max": round(float(np.abs(logits[0] - logits[1]).max()), 4),
            "top1_agreement": float((logits[0].argmax(axis=1) == logits[1].argmax(axis=1)).mean()),
        }


def main(checkpoints: list[str]) -> None:
    """Measures, prints and saves."""
    report: dict = {
        "machine": machine(),
        "versions": versions("pillow"),
        "oversampling": OVERSAMPLING,
        "tower_side": TOWER_SIDE,
        "rounds": ROUNDS,
    }
    report["timings"] = list(timings(ROUNDS))
    report["fidelity"] = [row for weights in (None, *checkpoints) for row in fidelity(load_encoder(weights=weights))]
    print(json.dumps(report, indent=2))
    RESULTS.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
