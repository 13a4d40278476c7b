"""Writes HEIF and AVIF files, also such as encoders do not make, from images that an encoder has coded."""

import struct
from collections.abc import Sequence
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
import pillow_heif
from PIL import Image

from tests.app.image_files import encoded

ESSENTIAL = (b"av1C", b"hvcC", b"clap", b"irot", b"imir")  # properties that a decoder must understand


def box(kind: bytes, *parts: bytes) -> bytes:
    """Returns a box."""
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full_box(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    """Returns a box with a version and flags."""
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


class Part(NamedTuple):
    """An item of a file: its kind, its data, the boxes of its properties, and its references (kind, items)."""

    kind: bytes
    data: bytes
    properties: Sequence[bytes] = ()
    references: Sequence[tuple[bytes, Sequence[int]]] = ()
    hidden: bool = False


def size_box(width: int, height: int) -> bytes:
    """Returns the property that declares an image's size."""
    return full_box(b"ispe", 0, 0, struct.pack(">II", width, height))


def rotation(quarters: int) -> bytes:
    """Returns the property that rotates an image anticlockwise."""
    return box(b"irot", bytes([quarters]))


def mirroring(axis: int) -> bytes:
    """Returns the property that mirrors an image: 0 exchanges top and bottom, 1 exchanges left and right."""
    return box(b"imir", bytes([axis]))


def crop(width: int, height: int, right: int, down: int) -> bytes:
    """Returns the property that crops an image. `right` and `down` are half pixels from centre to centre."""
    return box(b"clap", struct.pack(">IIIIiIiI", width, 1, height, 1, right, 2, down, 2))


def turned(pixels: np.ndarray, quarters: int | None, axis: int | None) -> np.ndarray:
    """Returns an image as `rotation` and then `mirroring` show it."""
    pixels = np.rot90(pixels, quarters or 0)
    return pixels if axis is None else pixels[::-1] if axis == 0 else pixels[:, ::-1]


def cicp(primaries: int, transfer: int, matrix: int = 6) -> bytes:
    """Returns the property that describes colours by code points, in full range."""
    return box(b"colr", b"nclx", struct.pack(">HHHB", primaries, transfer, matrix, 0x80))


def profile(icc: bytes, kind: bytes = b"prof") -> bytes:
    """Returns the property that describes colours by an ICC profile."""
    return box(b"colr", kind, icc)


def heic(pixels: Any, **options: Any) -> bytes:
    """Returns an HEIC file of one image, [H, W, 3] or [H, W, 4] uint8 or a Pillow image, as libheif writes it."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    return saved(pillow_heif.from_pillow(image), **options)


def saved(file: pillow_heif.HeifFile, **options: Any) -> bytes:
    """Returns the bytes of a file."""
    found = BytesIO()
    file.save(found, **{"quality": 95, "chroma": 444, **options})
    return found.getvalue()


def property_of(data: bytes, kind: bytes) -> bytes:
    """Returns the first box of a kind."""
    start = data.index(kind) - 4
    return data[start : start + struct.unpack_from(">I", data, start)[0]]


def coded(data: bytes) -> tuple[bytes, bytes]:
    """Returns the configuration and the stream of a file that has one image."""
    return property_of(data, b"av1C" if b"av1C" in data else b"hvcC"), data[data.index(b"mdat") + 4 :]


def hevc(pixels: np.ndarray, *properties: bytes, **more: Any) -> Part:
    """Returns an image coded with HEVC. Its sides are multiples of 64: libheif would add a crop to others."""
    configuration, stream = coded(heic(pixels))
    return Part(b"hvc1", stream, (configuration, size_box(pixels.shape[1], pixels.shape[0]), *properties), **more)


def av1(pixels: np.ndarray, *properties: bytes, **more: Any) -> Part:
    """Returns an image coded with AV1."""
    configuration, stream = coded(encoded(pixels, "AVIF", quality=95, subsampling="4:4:4"))
    return Part(b"av01", stream, (configuration, size_box(pixels.shape[1], pixels.shape[0]), *properties), **more)


def grid(rows: int, columns: int, width: int, height: int, *properties: bytes) -> Part:
    """Returns an image that the following items are the tiles of, if it is the first one."""
    data = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width, height)
    tiles = range(2, 2 + rows * columns)
    return Part(b"grid", data, (size_box(width, height), *properties), [(b"dimg", tiles)])


def heif_file(
    *parts: Part, primary: int = 1, brands: Sequence[bytes] = (b"heic", b"mif1", b"heic"), wide: bool = False
) -> bytes:
    """Returns a file of items, numbered from 1. `wide` selects the versions of the boxes with 32-bit identifiers."""
    number = ">I" if wide else ">H"
    entries, references, links, kinds = [], [], [], list(dict.fromkeys(p for part in parts for p in part.properties))
    for item, part in enumerate(parts, 1):
        entry = struct.pack(number, item) + struct.pack(">H4s", 0, part.kind) + b"\0"
        entry += b"application/rdf+xml\0" if part.kind == b"mime" else b""
        entries.append(full_box(b"infe", 3 if wide else 2, part.hidden, entry))
        for kind, targets in part.references:
            ids = struct.pack(f">{len(targets)}{number[1]}", *targets)
            references.append(box(kind, struct.pack(number, item), struct.pack(">H", len(targets)), ids))
        layout, essential = ("H", 0x8000) if wide else ("B", 0x80)
        indices = [kinds.index(kept) + 1 | (essential if kept[4:8] in ESSENTIAL else 0) for kept in part.properties]
        links.append(struct.pack(f"{number}B{len(indices)}{layout}", item, len(indices), *indices))

    def file(start: int) -> bytes:
        places = []
        for item, part in enumerate(parts, 1):
            places.append(struct.pack(">HHHII", item, 0, 1, start, len(part.data)))
            start += len(part.data)
        meta = [
            full_box(b"hdlr", 0, 0, bytes(4), b"pict", bytes(13)),
            full_box(b"pitm", wide, 0, struct.pack(number, primary)),
            full_box(b"iinf", 0, 0, struct.pack(">H", len(parts)), *entries),
            full_box(b"iref", wide, 0, *references) if references else b"",
            box(
                b"iprp",
                box(b"ipco", *kinds),
                full_box(b"ipma", wide, wide, struct.pack(">I", len(parts)), *links),
            ),
            full_box(b"iloc", 0, 0, b"\x44\0", struct.pack(">H", len(parts)), *places),
        ]
        head = box(b"ftyp", brands[0], bytes(4), *brands[1:]) + full_box(b"meta", 0, 0, *meta)
        return head + box(b"mdat", *(part.data for part in parts))

    return file(file(0).index(b"mdat") + 4)
