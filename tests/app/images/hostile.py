"""Files that were not meant well, made by code: each with the answer that it must get."""

import struct
import zlib
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from PIL import Image

from app.images.avif import MAX_TABLE_BYTES
from app.images.formats import FORMATS, MAX_READS
from app.images.headers import (
    MAX_RUN_LENGTH_PIXELS,
    MAX_SCANS,
    MAX_SEGMENTS,
    MAX_TAGS,
)
from tests.app.image_files import BLUE, RED, encoded

NAMES = [form.name for form in FORMATS]
TOO_LARGE, NOT_ACCEPTED, NOT_USABLE = (413, "image_too_large"), (415, "unsupported_media_type"), (422, "invalid_image")


class Hostile(NamedTuple):
    """A file, the status and error_type that answer it, and what the message must say."""

    make: Callable[[], bytes]
    answer: tuple[int, str]
    message: str


@cache
def noise(image_format: str) -> bytes:
    """Returns a small file of a format, in which every byte counts."""
    pixels = np.random.default_rng(0).integers(0, 256, (48, 48, 3)).astype(np.uint8)
    return encoded(pixels, image_format, **({"lossless": True} if image_format == "WEBP" else {}))


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(colour_type: int, bits: int, rows: bytes, size: tuple[int, int], extra: bytes = b"") -> bytes:
    """Returns a PNG of raw rows, for what Pillow cannot write."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", *size, bits, colour_type, 0, 0, 0))
    pixels = png_chunk(b"IDAT", zlib.compress(rows, 1))
    return b"\x89PNG\r\n\x1a\n" + header + extra + pixels + png_chunk(b"IEND", b"")


def apng(frames: int) -> bytes:
    """Returns a PNG that announces frames."""
    return png(0, 8, b"\0\0", (1, 1), png_chunk(b"acTL", struct.pack(">II", frames, 0)))


def gif(frames: int, size: tuple[int, int] = (1, 1), extra: bytes = b"") -> bytes:
    """Returns a GIF of frames with one pixel."""
    frame = b"!\xf9\x04\0\0\0\0\0" + b",\0\0\0\0" + struct.pack("<HH", *size) + b"\0" + b"\x02\x02\x44\x01\0"
    return b"GIF89a\x01\0\x01\0\x80\0\0" + bytes(RED) + bytes(BLUE) + extra + frame * frames + b";"


def webp(frames: int, canvas: tuple[int, int] = (1, 1)) -> bytes:
    """Returns an animated WebP that is all header."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return kind + struct.pack("<I", len(data)) + data

    header = b"\x02\0\0\0" + b"".join((side - 1).to_bytes(3, "little") for side in canvas)
    body = chunk(b"VP8X", header) + chunk(b"ANIM", bytes(6)) + chunk(b"ANMF", bytes(16)) * frames
    return chunk(b"RIFF", b"WEBP" + body)


def tiff(tags: dict[int, list[int]], pixels: bytes = b"", pages: int = 1) -> bytes:
    """Returns a TIFF of long integers; every page has the same tags. A strip offset of 0 becomes that of the pixels."""
    inside = 2 + 12 * len(tags) + 4
    outside = b"".join(struct.pack(f"<{len(values)}I", *values) for values in tags.values() if len(values) > 1)
    first = 8 + len(outside) + len(pixels)
    file, at = b"II*\0" + struct.pack("<I", first) + outside + pixels, 8
    entries = b""
    for tag, values in sorted(tags.items()):
        value = at if len(values) > 1 else values[0] or 8 + len(outside)
        at += 4 * len(values) if len(values) > 1 else 0
        entries += struct.pack("<HHII", tag, 4, len(values), value)
    following = [first + inside * page for page in range(1, pages)] + [0]
    return file + b"".join(struct.pack("<H", len(tags)) + entries + struct.pack("<I", page) for page in following)


def grey_tiff(width: int = 8, height: int = 8, **more: list[int]) -> bytes:
    """Returns an 8-bit grey TIFF, with tags such as `t259=[8]` added or replaced."""
    tags = {256: [width], 257: [height], 258: [8], 259: [1], 262: [1], 273: [0], 278: [height], 279: [width * height]}
    return tiff(tags | {int(name[1:]): values for name, values in more.items()}, bytes(64))


def bmp(width: int, height: int, compression: int, data: bytes) -> bytes:
    """Returns an 8-bit BMP with a grey palette."""
    palette = b"".join(bytes([grey, grey, 255 - grey, 0]) for grey in range(256))
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, compression, len(data), 0, 0, 256, 0)
    return (
        b"BM" + struct.pack("<IHHI", 54 + len(palette) + len(data), 0, 0, 54 + len(palette)) + header + palette + data
    )


@cache
def jpeg(extra: bytes = b"", scans: int = 0, **options: object) -> bytes:
    """Returns a small JPEG with segments added before its first table, and its last scan repeated."""
    data = encoded(Image.new("L", (64, 64), 128), "JPEG", **options)
    last = data.rindex(b"\xff\xda")
    return data[:2] + extra + data[2:last] + data[last:-2] * (1 + scans) + data[-2:]


def announced_jpeg(width: int, height: int) -> bytes:
    """Returns a JPEG whose header says another size."""
    data = jpeg()
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def box(kind: bytes, *parts: bytes) -> bytes:
    data = b"".join(parts)
    return struct.pack(">I", 8 + len(data)) + kind + data


def avif_items(count: int) -> bytes:
    """Returns an AVIF of nothing but items, each of which libavif looks up among all the others."""
    items = (box(b"infe", struct.pack(">BxxxIH4sx", 3, item, 0, b"av01")) for item in range(1, count + 1))
    table = box(b"iinf", b"\1\0\0\0", struct.pack(">I", count), *items)
    return box(b"ftyp", b"avif\0\0\0\0avifmif1miaf") + box(b"meta", bytes(4), table)


def avif_frames(count: int) -> bytes:
    """Returns an AVIF sequence whose header announces other frames than it has."""
    data = encoded(Image.new("L", (16, 16)), "AVIF", save_all=True, append_images=[Image.new("L", (16, 16), 255)])
    at = data.index(b"stsz") + 12
    return data[:at] + struct.pack(">I", count) + data[at + 4 :]


def packed_text(kind: bytes, text: bytes) -> bytes:
    method = {b"zTXt": b"\0", b"iCCP": b"\0", b"iTXt": b"\1\0\0\0"}[kind]
    return png_chunk(kind, b"Comment\0" + method + zlib.compress(text))


def dot(extra: bytes) -> bytes:
    """Returns a PNG of one pixel with chunks before it."""
    return png(0, 8, b"\0\0", (1, 1), extra)


HOSTILE = {
    "empty": Hostile(lambda: b"", NOT_USABLE, "has 0 bytes"),
    "text": Hostile(lambda: b"hello, world", NOT_ACCEPTED, "no image in an accepted format"),
    "HTML": Hostile(lambda: b"<!doctype html><img src=x>", NOT_ACCEPTED, "no image in an accepted format"),
    "SVG": Hostile(lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", NOT_ACCEPTED, "SVG is not accepted"),
    "SVG with entities": Hostile(lambda: b"<?xml version='1.0'?><!DOCTYPE x>", NOT_ACCEPTED, "SVG is not accepted"),
    "PDF": Hostile(lambda: b"%PDF-1.7\n", NOT_ACCEPTED, "PDF is not accepted"),
    "EPS": Hostile(lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n", NOT_ACCEPTED, "no image in an accepted format"),
    "PSD": Hostile(lambda: b"8BPS\0\x01" + bytes(20), NOT_ACCEPTED, "no image in an accepted format"),
    "FITS": Hostile(lambda: b"SIMPLE  =                    T", NOT_ACCEPTED, "no image in an accepted format"),
    "HEIC": Hostile(lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", NOT_ACCEPTED, "HEIC is not accepted"),
    "ICO": Hostile(lambda: encoded(Image.new("RGB", (16, 16)), "ICO"), NOT_ACCEPTED, "no image in an accepted format"),
    "JPEG signature alone": Hostile(lambda: b"\xff\xd8\xff", NOT_USABLE, "The JPEG is"),
    "BMP by chance": Hostile(lambda: b"BMoon", NOT_USABLE, "The BMP is truncated"),
    "169 megapixels": Hostile(lambda: png(0, 1, bytes(13_000 * 1_626), (13_000, 13_000)), TOO_LARGE, "13000 x 13000"),
    "PNG 30000 x 30000": Hostile(lambda: png(0, 1, b"", (30_000, 30_000)), TOO_LARGE, "30000 x 30000"),
    "PNG 60000 x 1": Hostile(lambda: png(0, 1, bytes(7_501), (60_000, 1)), TOO_LARGE, "32,768 a side"),
    "JPEG 65535 x 65535": Hostile(lambda: announced_jpeg(65_535, 65_535), TOO_LARGE, "65535 x 65535"),
    "WebP canvas": Hostile(lambda: webp(1, (16_384, 10_000)), TOO_LARGE, "16384 x 10000"),
    "GIF frame beyond its canvas": Hostile(lambda: gif(1, (30_000, 30_000)), TOO_LARGE, "30000 x 30000"),
    "BMP of negative height": Hostile(lambda: bmp(30_000, -30_000, 0, b""), TOO_LARGE, "30000 x 30000"),
    "BMP of negative width": Hostile(lambda: bmp(-8, 8, 0, bytes(64)), TOO_LARGE, "pixels"),
    "TIFF 30000 x 30000": Hostile(lambda: grey_tiff(30_000, 30_000), TOO_LARGE, "30000 x 30000"),
    "GIF of ten thousand frames": Hostile(lambda: gif(10_000), TOO_LARGE, "more than 1,000 frames"),
    "APNG of ten thousand frames": Hostile(lambda: apng(10_000), TOO_LARGE, "more than 1,000 frames"),
    "WebP of ten thousand frames": Hostile(lambda: webp(10_000), TOO_LARGE, "more than 1,000 frames"),
    "TIFF of ten thousand pages": Hostile(
        lambda: tiff({256: [8], 257: [8], 258: [8], 259: [1], 262: [1], 273: [0]}, bytes(64), pages=10_000),
        TOO_LARGE,
        "more than 1,000 frames",
    ),
    "AVIF of a million frames": Hostile(lambda: avif_frames(1_000_000), TOO_LARGE, "more than 1,000 frames"),
    "zTXt bomb": Hostile(lambda: dot(packed_text(b"zTXt", bytes(50_000_000))), NOT_USABLE, "unpack to more than"),
    "iCCP bomb": Hostile(lambda: dot(packed_text(b"iCCP", bytes(50_000_000))), NOT_USABLE, "unpack to more than"),
    "many texts of wide letters": Hostile(
        lambda: dot(packed_text(b"iTXt", "\U0001f600".encode() + b"a" * 1_000_000) * 60),
        NOT_USABLE,
        "unpack to more than",
    ),
    "progressive JPEG of a hundred scans": Hostile(
        lambda: jpeg(progressive=True, scans=100), NOT_USABLE, f"more than {MAX_SCANS} scans"
    ),
    "JPEG of EXIF in pieces": Hostile(
        lambda: jpeg(b"\xff\xe1\0\x10Exif\0\0MM\0*\0\0\0\x08" * 50_000), NOT_USABLE, f"{MAX_SEGMENTS:,} segments"
    ),
    "JPEG with megabytes of junk": Hostile(
        lambda: jpeg(b"\xff\xfe\0\2" + bytes(MAX_READS + 100)), NOT_USABLE, "too many tiny pieces"
    ),
    "GIF of a hundred thousand extensions": Hostile(
        lambda: gif(1, extra=b"!\xfe\1a\0" * (MAX_READS // 4)), NOT_USABLE, "too many tiny pieces"
    ),
    "PNG of a hundred thousand chunks": Hostile(
        lambda: dot(png_chunk(b"abCd", b"") * (MAX_READS // 2)), NOT_USABLE, "too many tiny pieces"
    ),
    "BMP that runs to the end of every line": Hostile(
        lambda: bmp(32_000, MAX_RUN_LENGTH_PIXELS // 32_000 + 1, 1, b"\1\1\0\0" * 1_500), TOO_LARGE, "run-length"
    ),
    "TIFF of overlapping strips": Hostile(
        lambda: grey_tiff(t273=[8, 9] * 1_000, t278=[4]), NOT_USABLE, "strips or tiles than its image needs"
    ),
    "TIFF with a tile of 400 megapixels": Hostile(
        lambda: tiff(
            {
                256: [16],
                257: [16],
                258: [8],
                259: [8],
                262: [1],
                322: [20_000],
                323: [20_000],
                324: [0],
                325: [388_917],
            },
            zlib.compress(bytes(4_000_000)),
        ),
        NOT_USABLE,
        "strips or tiles than its image needs",
    ),
    "TIFF of tiles that share one stream": Hostile(
        lambda: tiff(
            {
                256: [160],
                257: [160],
                258: [8],
                259: [8],
                262: [1],
                322: [16],
                323: [16],
                324: [8] * 100,
                325: [900] * 100,
            },
            zlib.compress(bytes(256)),
        ),
        NOT_USABLE,
        "together are longer than the file",
    ),
    "TIFF of a JPEG of a hundred scans": Hostile(
        lambda: tiff(
            {256: [64], 257: [64], 258: [8], 259: [7], 262: [1], 273: [0], 278: [64]},
            jpeg(progressive=True, scans=90),
        ),
        NOT_USABLE,
        "more than 32 scans",
    ),
    "TIFF of many tags": Hostile(
        lambda: grey_tiff(**{f"t{tag}": [1] for tag in range(1_000, 1_001 + MAX_TAGS)}), NOT_USABLE, "tags"
    ),
    "TIFF with a rare compression": Hostile(lambda: grey_tiff(t259=[34_676]), NOT_ACCEPTED, "compression"),
    "TIFF without a size": Hostile(lambda: tiff({258: [8]}), NOT_USABLE, "The TIFF is damaged"),
    "AVIF of many items": Hostile(lambda: avif_items(MAX_TABLE_BYTES // 20), NOT_USABLE, "too many items"),
    "AVIF of nothing": Hostile(lambda: box(b"ftyp", b"avif\0\0\0\0avifmif1miaf"), NOT_USABLE, "The AVIF is"),
    "integers without a white": Hostile(
        lambda: encoded(np.zeros((4, 4), np.int32), "TIFF"), NOT_USABLE, "no defined white"
    ),
    "floats beyond 1": Hostile(
        lambda: encoded(np.full((4, 4), 255, np.float32), "TIFF"), NOT_USABLE, "not all between 0 and 1"
    ),
    "floats that are none": Hostile(
        lambda: encoded(np.full((4, 4), np.nan, np.float32), "TIFF"), NOT_USABLE, "not all between 0 and 1"
    ),
}
if "AVIF" not in NAMES:  # this Pillow has none: then the signature is refused
    HOSTILE = {name: case for name, case in HOSTILE.items() if "AVIF" not in name}


def mutated(image_format: str, count: int) -> list[bytes]:
    """Returns copies of a file with a few bytes changed, moved or cut out, always the same ones."""
    chance = np.random.default_rng(NAMES.index(image_format))
    files = []
    for _ in range(count):
        data = bytearray(noise(image_format))
        for _ in range(chance.integers(1, 6)):
            # Half of them in the header, where one byte changes what all the others mean.
            at = int(chance.integers(4, 200 if chance.random() < 0.5 else len(data)))
            match chance.integers(4):
                case 0:
                    data[at] ^= 1 << int(chance.integers(8))
                case 1:
                    data[at : at + 4] = struct.pack(">I", int(chance.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF])))
                case 2:
                    del data[at : at + int(chance.integers(1, 16))]
                case 3:
                    data[at:at] = data[at - 4 : at + int(chance.integers(1, 16))]
        files.append(bytes(data))
    return files
