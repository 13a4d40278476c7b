"""Measures the cost of converting an image of 640 x 480 pixels to sRGB, for each kind of colour description.

    python -m benchmarks.colours      writes benchmarks/results/colours.json

The time is the CPU time of `to_srgb` after decoding. The first image with a profile also pays for building the
conversion, which is then cached for each profile. For comparison, the same image is decoded from a JPEG and from a PNG.
Each round runs every case once, so that a busy machine slows all of them: run it on an idle one for absolute times.
"""

import json
import statistics
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from app.images.colours.convert import to_srgb
from app.images.colours.profiles import icc_transform, lab_transform
from app.images.decode import DecodeOptions, decode
from app.images.raster import CICP, ColourSpace, Raster
from benchmarks.machine import machine, versions
from tests.app.images.colours.icc_profiles import ADOBE_RGB, DISPLAY_P3, SRGB, cmyk_profile, grey_profile

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks/results/colours.json"
SIZE = (640, 480)
ROUNDS = 31

# Name -> Pillow's mode and the description. The press profile has 0.5 MB, as those of printers do.
CASES = {
    "RGB, no profile": ("RGB", ColourSpace()),
    "RGB, sRGB": ("RGB", ColourSpace(SRGB)),
    "RGB, Display P3": ("RGB", ColourSpace(DISPLAY_P3)),
    "RGBA, Display P3": ("RGBA", ColourSpace(DISPLAY_P3)),
    "RGB, Adobe RGB": ("RGB", ColourSpace(ADOBE_RGB)),
    "grey, gamma 1.8": ("L", ColourSpace(grey_profile(1.8))),
    "CMYK, no profile": ("CMYK", ColourSpace()),
    "CMYK, press profile": ("CMYK", ColourSpace(cmyk_profile(grid=17))),
    "Lab": ("LAB", ColourSpace()),
    "PNG's gAMA": ("RGB", ColourSpace(gamma=1.0)),
    "CICP, Display P3": ("RGB", ColourSpace(cicp=CICP(12, 13))),
    "CICP, PQ": ("RGB", ColourSpace(cicp=CICP(9, 16))),
    "CICP, HLG": ("RGB", ColourSpace(cicp=CICP(9, 18))),
}


def milliseconds(work: Callable[[], object]) -> float:
    """Returns the CPU time of a call."""
    start_s = time.process_time()
    work()
    return 1000 * (time.process_time() - start_s)


def textured(image: Image.Image) -> Image.Image:
    """Returns the image with noise: LittleCMS skips pixels that are equal to the one before."""
    noise = np.random.default_rng(0).normal(0, 8, (*image.size[::-1], 3))
    return Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))


def raster(photo: Image.Image, mode: str, colour_space: ColourSpace) -> Raster:
    """Returns the photo as the reader of a file would."""
    # Pillow cannot convert to Lab; for the time any Lab values do.
    image = Image.frombytes("LAB", SIZE, photo.tobytes()) if mode == "LAB" else photo.convert(mode)
    return Raster(image, *SIZE, colour_space=colour_space)


def conversion(stored: Raster) -> Callable[[], object]:
    """Returns the work of converting an image."""
    return lambda: to_srgb(stored, convert_profiles=True)


def decoding(photo: Image.Image, image_format: str) -> Callable[[], object]:
    """Returns the work of decoding the photo from a file without a profile."""
    file = BytesIO()
    photo.save(file, image_format)
    return lambda: decode(file.getvalue(), DecodeOptions(max_image_pixels=1_000_000))


def first_time(work: Callable[[], object]) -> float:
    """Returns the time of the first image with a profile."""
    icc_transform.cache_clear()
    lab_transform.cache_clear()
    return milliseconds(work)


def main() -> None:
    """Measures, prints and saves."""
    photo = textured(Image.open(ROOT / "samples/cat.png").convert("RGB").resize(SIZE))
    conversions = {name: conversion(raster(photo, *case)) for name, case in CASES.items()}
    first = {name: round(first_time(work), 2) for name, work in conversions.items()}
    works = conversions | {f"decode {name}": decoding(photo, name) for name in ("JPEG", "PNG")}
    times: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():  # fills the cache of conversions, which has room for all of them
        work()
    for _ in range(ROUNDS):
        for name, work in works.items():
            times[name].append(milliseconds(work))
    rows = []
    for name, found in times.items():
        quartiles = [round(each, 2) for each in statistics.quantiles(found)]
        rows.append({"what": name, "first_cpu_ms": first.get(name), "quartiles_cpu_ms": quartiles})
        print(f"{name}: {quartiles[1]} ms ({quartiles[0]} to {quartiles[2]}), the first {first.get(name, '-')} ms")
    report = {"machine": machine(), "versions": versions("pillow", "numpy"), "size": SIZE, "rounds": ROUNDS}
    RESULTS.write_text(json.dumps({**report, "rows": rows}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
