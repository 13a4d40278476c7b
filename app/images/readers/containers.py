"""Reads the structure of HEIF and AVIF files: their images, properties and tracks. Nothing is decoded.

Sources: ISO/IEC 14496-12 (tracks), ISO/IEC 23008-12 (images).
"""

import struct
from typing import NamedTuple

from app.images.raster import CICP, ColourSpace
from app.images.readers.boxes import Box, boxes, find_box, find_property
from app.images.readers.item_tables import Item, read_ends, read_items, read_properties, read_references

MAX_TRACKS = 20
MAX_NESTING = 4  # images that are made from other images

METADATA = (b"Exif", b"mime", b"uri ")  # kinds of items
NO_IMAGES = (*METADATA, b"tmap")  # `tmap` shows another image in HDR
AUXILIARY = (b"thmb", b"auxl")  # references from a thumbnail, or from alpha or depth, to its image
DERIVED = (b"grid", b"iden", b"iovl", b"tmap")  # images that are made from other images
SEQUENCES = (b"msf1", b"avis", b"hevc", b"hevx", b"hevm", b"hevs")  # brands of image sequences
UNSPECIFIED = 2  # as code point of CICP


class Track(NamedTuple):
    """An image sequence or a video: its codec, size, number of images, and the properties of its images."""

    codec: bytes
    width: int
    height: int
    samples: int
    properties: list[Box]


class Container(NamedTuple):
    """What a file contains.

    Attributes:
        ftyp: The box that declares the major brand, such as `heic`.
        primary: The identifier of the image to show, or None if the file has only tracks.
        pitm: The box that holds this identifier.
        items: Images and metadata by identifier.
        properties: The properties of each item.
        references: Kind, item, and the items that it refers to.
        ends: Where the data of each item end in the file.
        moov: The box that holds the tracks.
        tracks: Image sequences, not those of alpha or depth.
    """

    ftyp: Box
    primary: int | None
    pitm: Box | None
    items: dict[int, Item]
    properties: dict[int, list[Box]]
    references: list[tuple[bytes, int, tuple[int, ...]]]
    ends: dict[int, int]
    moov: Box | None
    tracks: list[Track]

    @property
    def brand(self) -> bytes:
        """The major brand, such as `heic`."""
        return bytes(self.ftyp.body[:4])

    def images(self) -> list[int]:
        """Returns the images of a file, the primary one first: no tiles, thumbnails, alpha channels or depth maps."""
        parts = {source for kind, source, _ in self.references if kind in AUXILIARY}
        parts |= {part for kind, _, targets in self.references if kind == b"dimg" for part in targets}
        others = [
            number
            for number, item in self.items.items()
            if not item.hidden and item.kind not in NO_IMAGES and number not in parts and number != self.primary
        ]
        return others if self.primary is None else [self.primary, *others]

    def coded(self, image: int) -> int:
        """Returns the image itself, or the first one that it is made from, such as the first tile of a grid."""
        for _ in range(MAX_NESTING):
            if image not in self.items or self.items[image].kind not in DERIVED:
                break
            image = next(iter(self.parts(image)), image)
        return image

    def parts(self, image: int) -> list[int]:
        """Returns the images that an image is made from."""
        made = (targets for kind, source, targets in self.references if (kind, source) == (b"dimg", image))
        return [part for targets in made for part in targets]

    def check_complete(self, image: int, size: int) -> None:
        """Raises EOFError if the data of an image, or of its tiles, are not all within the `size` bytes of the file.

        libheif leaves out the tiles that are missing.
        """
        if any(self.ends.get(part, 0) > size for part in (image, *self.parts(image))):
            raise EOFError("The file is truncated.")

    def codec(self, image: int) -> bytes:
        """Returns the kind of an image or of its tiles, such as `hvc1`, or no bytes if the image is missing."""
        item = self.items.get(self.coded(image))
        return item.kind if item else b""

    def size(self, image: int) -> tuple[int, int]:
        """Returns the width and height that a file declares for an image, before it is cropped and rotated."""
        if ispe := find_property(self.properties.get(image, []), b"ispe"):
            width, height = struct.unpack_from(">II", ispe, 4)
            return width, height
        return 0, 0

    def described(self, image: int) -> list[Box]:
        """Returns the properties of an image, followed by those of its first tile."""
        return self.properties.get(image, []) + self.properties.get(self.coded(image), [])


def read_container(data: bytes) -> Container:
    """Returns what a file contains.

    Raises:
        ImageTooExpensive: The file has too many boxes or items.
        EOFError, struct.error, IndexError: The file is truncated, or a box ends too early.
        ValueError: The file does not begin with the box of the kind `ftyp`.
    """
    file = Box(b"file", memoryview(data), 0)
    ftyp, meta, moov = next(boxes(file.body), file), find_box(file, b"meta"), find_box(file, b"moov")
    if ftyp.kind != b"ftyp" or len(ftyp.body) < 4:
        raise ValueError("The file does not declare its brand.")
    if not all(box.complete for box in (ftyp, meta, moov) if box):
        raise EOFError("The file is truncated.")
    tracks = read_tracks(moov) if moov else []
    if meta is None:
        return Container(ftyp, None, None, {}, {}, [], {}, moov, tracks)
    pitm = find_box(meta, b"pitm")
    primary = struct.unpack_from(identifier_layout(pitm), pitm.body, 4)[0] if pitm else None
    items, properties, references = read_items(meta), read_properties(meta), read_references(meta)
    return Container(ftyp, primary, pitm, items, properties, references, read_ends(meta), moov, tracks)


def identifier_layout(pitm: Box) -> str:
    """Returns how a box of the kind `pitm` stores the identifier of the primary image."""
    return ">I" if pitm.body[0] else ">H"


def read_tracks(moov: Box) -> list[Track]:
    """Returns the image sequences and videos of a file, of its first `MAX_TRACKS` tracks."""
    traks = [box for box in boxes(moov.body, moov.position) if box.kind == b"trak"]
    return [track for box in traks[:MAX_TRACKS] if (track := read_track(box))]


def read_track(trak: Box) -> Track | None:
    """Returns an image sequence or a video, or None for other tracks."""
    handler = find_box(trak, b"mdia", b"hdlr")
    if handler is None or bytes(handler.body[8:12]) not in (b"pict", b"vide"):
        return None
    stbl = find_box(trak, b"mdia", b"minf", b"stbl")
    sizes = stbl and (find_box(stbl, b"stsz") or find_box(stbl, b"stz2"))
    descriptions = stbl and find_box(stbl, b"stsd")
    sample = descriptions and next(boxes(descriptions.body[8:], descriptions.position + 8), None)
    if not sizes or not sample:
        return None
    width, height = struct.unpack_from(">HH", sample.body, 24)
    (samples,) = struct.unpack_from(">I", sizes.body, 8)
    return Track(sample.kind, width, height, samples, list(boxes(sample.body[78:], sample.position + 78)))


def read_colours(properties: list[Box]) -> ColourSpace:
    """Returns how the properties of an image describe its colours. An ICC profile takes precedence over CICP."""
    icc = cicp = None
    for box in properties:
        kind = bytes(box.body[:4])
        if box.kind == b"colr" and kind in (b"prof", b"rICC"):
            icc = icc or bytes(box.body[4:])
        elif box.kind == b"colr" and kind == b"nclx" and not cicp:
            primaries, transfer = struct.unpack_from(">HH", box.body, 4)
            if (primaries, transfer) != (UNSPECIFIED, UNSPECIFIED):
                cicp = CICP(primaries, transfer)  # the decoder has applied matrix and range
    return ColourSpace(icc=icc) if icc else ColourSpace(cicp=cicp)


def with_image_alone(data: bytes, container: Container, image: int, brand: bytes) -> bytes:
    """Returns a copy of a file in which decoders find an image, but no EXIF and XMP, nor an image sequence next to it.

    Damage in what is not needed would make them refuse the file. They have to ignore the EXIF orientation in any case.

    Args:
        data: The file.
        container: What it contains.
        image: Becomes the primary image.
        brand: Becomes the major brand. The tracks are kept if it is `avis`, an image sequence.
    """
    edited = bytearray(data)
    ftyp = container.ftyp.position
    edited[ftyp : ftyp + 4] = brand
    if brand != b"avis":
        for compatible in range(ftyp + 8, ftyp + len(container.ftyp.body) - 3, 4):
            if edited[compatible : compatible + 4] in SEQUENCES:
                edited[compatible : compatible + 4] = b"mif1"
        if container.moov:
            kind = data.rindex(b"moov", 0, container.moov.position)
            edited[kind : kind + 4] = b"skip"
    if container.pitm and image != container.primary:
        struct.pack_into(identifier_layout(container.pitm), edited, container.pitm.position + 4, image)
    for item in container.items.values():
        if item.kind in METADATA:
            edited[item.kind_position : item.kind_position + 4] = b"skip"
    return bytes(edited)
