"""Measures the cost of decoding one large image in each file format: seconds, and peak memory above the imports.

    python -m benchmarks.decode_memory      writes benchmarks/results/decode_memory.json; needs 2 GB of memory

One process writes each 50-megapixel image and another one decodes it; the kernel reports the peak memory of the second.
The file itself is not counted, because the request's body already holds it. The limit is the decoded image in Pillow,
1, 2 or 4 bytes per pixel, plus 3 for the result. Comments give the reason for higher limits. Linux only (/proc).
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.load_memory import resident_bytes

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks/results/decode_memory.json"
WIDTH, HEIGHT = 8_000, 6_250

# Name -> mode, format, options of the file, and the limit in bytes per pixel.
CASES: dict[str, tuple[str, str, dict, float]] = {
    "JPEG": ("RGB", "JPEG", {}, 4.5),
    "JPEG, grey": ("L", "JPEG", {}, 5.5),
    "JPEG, turned by EXIF": ("RGB", "JPEG", {"orientation": 6}, 8.5),
    "JPEG, progressive": ("RGB", "JPEG", {"progressive": True}, 7.5),
    # libjpeg holds all coefficients, 2 bytes each, in addition to the image.
    "JPEG, progressive, full chroma": ("RGB", "JPEG", {"progressive": True, "subsampling": 0}, 10.5),
    "JPEG, CMYK": ("CMYK", "JPEG", {}, 8.5),
    "JPEG, CMYK, progressive": ("CMYK", "JPEG", {"progressive": True, "subsampling": 0}, 12.5),
    "PNG, 1 bit": ("1", "PNG", {}, 5.5),
    "PNG, grey": ("L", "PNG", {}, 5.5),
    "PNG, palette": ("P", "PNG", {}, 5.5),
    "PNG, 16-bit grey": ("I;16", "PNG", {}, 6.5),
    "PNG, grey and alpha": ("LA", "PNG", {}, 8.5),
    "PNG": ("RGB", "PNG", {}, 4.5),
    "PNG, alpha": ("RGBA", "PNG", {}, 8.5),
    "BMP": ("RGB", "BMP", {}, 7.5),  # the rows from top to bottom, in addition to the image
    "GIF": ("P", "GIF", {}, 5.5),
    "TIFF, LZW": ("RGB", "TIFF", {"compression": "tiff_lzw"}, 4.5),
    "TIFF, turned by EXIF": ("RGB", "TIFF", {"orientation": 6}, 8.5),  # Pillow rotates into a second image: 2 x 4 bytes
    "TIFF, float": ("F", "TIFF", {}, 8.5),
    "WebP": ("RGB", "WEBP", {"method": 0}, 16.5),  # the decoder's two canvases, a copy, and Pillow's image: 4 x 4
    "WebP, alpha": ("RGBA", "WEBP", {"method": 0}, 16.5),
    "AVIF": ("RGB", "AVIF", {"speed": 10}, 10),  # the planes and a copy of 3 bytes, in addition to Pillow's image
}


def write(name: str, path: str) -> None:
    """Writes an image of 50 megapixels that is neither a flat colour nor noise."""
    from PIL import ExifTags, Image

    mode, image_format, options, _ = CASES[name]
    image = Image.linear_gradient("L").resize((WIDTH, HEIGHT))
    if mode in ("F", "I;16"):
        image = image.convert("F").point(lambda value: value / 255) if mode == "F" else image.convert("I;16")
    elif "A" in mode:
        image = image.convert("RGB").convert(mode)
        image.putalpha(Image.radial_gradient("L").resize((WIDTH, HEIGHT)))
    else:
        image = image.convert("RGB").convert(mode)
    options = dict(options)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = options.pop("orientation", 1)
    image.save(path, image_format, exif=exif, **options)


def decode(path: str) -> None:
    """Decodes the file and prints the cost as JSON."""
    from app.images.decode import DecodeOptions
    from app.images.decode import decode as decode_file

    data = Path(path).read_bytes()
    before_bytes, start_s = resident_bytes("VmRSS"), time.perf_counter()
    image = decode_file(data, DecodeOptions(WIDTH * HEIGHT))
    seconds = time.perf_counter() - start_s
    peak_bytes = resident_bytes("VmHWM") - before_bytes
    shape = [image.rgb.height, image.rgb.width, 3]
    print(json.dumps({"peak_bytes": peak_bytes, "decode_s": round(seconds, 2), "shape": shape, "notes": image.notes}))


def measure(name: str) -> dict:
    """Returns one row of the results."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "image"
        child("write", name, str(path))
        file_bytes = path.stat().st_size
        row = json.loads(child("decode", str(path)))
    per_pixel = round(row["peak_bytes"] / (WIDTH * HEIGHT), 2)
    return {"form": name, "file_bytes": file_bytes, **row, "bytes_per_pixel": per_pixel, "limit": CASES[name][3]}


def child(*arguments: str) -> str:
    """Runs this script in a separate process and returns what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "benchmarks.decode_memory", *arguments]
    return subprocess.run(command, check=True, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    """Measures every file format, prints and saves the results. Exits with 1 if one is over its limit."""
    rows = []
    for name in CASES:
        rows.append(row := measure(name))
        print(
            f"{name}: peak {row['peak_bytes'] / 1e6:.0f} MB = {row['bytes_per_pixel']} per pixel, {row['decode_s']} s"
        )
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    RESULTS.write_text(
        json.dumps({"machine": machine, "pixels": WIDTH * HEIGHT, "rows": rows}, indent=2) + "\n", encoding="utf-8"
    )
    sys.exit(any(row["bytes_per_pixel"] > row["limit"] for row in rows))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["write", name, path]:
            write(name, path)
        case ["decode", path]:
            decode(path)
        case _:
            main()
