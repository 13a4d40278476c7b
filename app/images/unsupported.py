"""Names the files that are not accepted, by their content, and says what to send instead."""

import re
import struct
from base64 import b64decode
from collections.abc import Iterator
from typing import NamedTuple

from app.images.readers.exif import read_tags

MAX_TEXT_BYTES = 65_536  # an SVG may begin with long comments


class Kind(NamedTuple):
    """A kind of file: its name, its first bytes, and what to send instead if that is not obvious."""

    name: str
    signature: re.Pattern[bytes]
    remedy: str = ""


def kind(name: str, signature: bytes, remedy: str = "") -> Kind:
    return Kind(name, re.compile(signature, re.DOTALL), remedy)


RAW = "Export the photo as JPEG."
VIDEO = "Send one frame of the video as JPEG or PNG."
PAGE = "Save the page as PNG or JPEG."
DRAWING = "Save the drawing as PNG."
LAYERS = "Save a flat copy as PNG or JPEG."
BYTES = "Send the image's bytes."

# What may stand before the first element of an XML document.
PROLOG = rb"(?>\s++|<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^>\[]*(?:\[.*?\])?\s*>)*+"

KINDS = [
    kind("AVIF", rb"....ftyp(....){0,16}?avi[fs]", "Save the photo as JPEG."),
    kind("JPEG 2000", rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51"),
    kind("JPEG XR", rb"II\xbc[\0\x01]"),
    kind("Camera RAW (Canon CR3)", rb"....ftypcrx ", RAW),
    kind("Camera RAW (Canon CRW)", rb"II....HEAPCCDR", RAW),
    kind("Camera RAW (Fujifilm RAF)", rb"FUJIFILMCCD-RAW", RAW),
    kind("Camera RAW (Olympus ORF)", rb"IIR[OS]|MMOR", RAW),
    kind("Camera RAW (Panasonic RW2)", rb"IIU\0", RAW),
    kind("Camera RAW (Sigma X3F)", rb"FOVb", RAW),
    kind("Camera RAW (Minolta MRW)", rb"\0MRM", RAW),
    kind("Video (MP4 or QuickTime)", rb"....(ftyp|moov|mdat|wide)", VIDEO),
    kind("Video (WebM or Matroska)", rb"\x1a\x45\xdf\xa3", VIDEO),
    kind("Video (AVI)", rb"RIFF....AVI ", VIDEO),
    kind("Video (MPEG)", rb"\0\0\x01[\xb3\xba]|\x47.{187}\x47.{187}\x47", VIDEO),
    kind("Video (Flash)", rb"FLV\x01", VIDEO),
    kind("Video (Windows Media)", rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", VIDEO),
    kind("Video (Ogg)", rb"OggS", VIDEO),
    kind("Audio", rb"RIFF....WAVE|ID3|fLaC"),
    kind("Icon (ICO)", rb"\0\0\x01\0[^\0]\0...\0"),
    kind("Cursor (CUR)", rb"\0\0\x02\0[^\0]\0...\0"),
    kind("Icon (ICNS)", rb"icns"),
    kind("Photoshop (PSD)", rb"8BPS\0[\x01\x02]", LAYERS),
    kind("GIMP (XCF)", rb"gimp xcf ", LAYERS),
    kind("PDF", rb".{0,1024}?%PDF-\d", PAGE),
    kind("EPS or PostScript", rb"%!|\xc5\xd0\xd3\xc6", PAGE),
    kind("SVG", PROLOG + rb"<(\w+:)?svg[\s>/]", DRAWING),
    kind("HTML", PROLOG + rb"<(!doctype html|!DOCTYPE HTML|!DOCTYPE html|html|HTML|head|HEAD|body|BODY)[\s>]", BYTES),
    kind("XML", rb"\s*<\?xml\s", BYTES),
    kind("Windows metafile (EMF or WMF)", rb"\x01\0\0\0.{36} EMF|\xd7\xcd\xc6\x9a", DRAWING),
    kind("OpenEXR", rb"\x76\x2f\x31\x01"),
    kind("Radiance HDR", rb"#\?(RADIANCE|RGBE)"),
    kind("QOI", rb"qoif"),
    kind("DDS", rb"DDS "),
    kind("KTX", rb"\xabKTX "),
    kind("DICOM", rb".{128}DICM", "Export the image as PNG."),
    kind("FITS", rb"SIMPLE  =", "Export the image as PNG."),
    kind("FLIF", rb"FLIF"),
    kind("BPG", rb"BPG\xfb"),
    kind("MNG or JNG", rb"\x8aMNG\r\n\x1a\n|\x8bJNG\r\n\x1a\n"),
    kind("Netpbm (PBM, PGM, PPM, PAM or PFM)", rb"P[1-7Ff]\s"),
    kind("PCX", rb"\x0a[\0-\x05]\x01[\x01\x02\x04\x08]"),
    kind("SGI", rb"\x01\xda[\0\x01][\x01\x02]"),
    kind("Sun raster", rb"\x59\xa6\x6a\x95"),
    kind("XPM", rb"/\* XPM \*/"),
    kind("OS/2 bitmap array", rb"BA.{12}(BM|IC|PT|CI|CP)"),
    kind("A ZIP archive", rb"PK\x03\x04", "Unpack it, and send one image."),
    kind("A GZIP file", rb"\x1f\x8b\x08", "Unpack it, and send one image."),
    kind("A compressed archive", rb"Rar!\x1a|7z\xbc\xaf\x27\x1c|BZh|\xfd7zXZ\0|\x28\xb5\x2f\xfd", "Unpack it."),
    kind("An Office document", rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", PAGE),
    kind("A data URL", rb"\s*[\"']?data:[\w.+-]*/?[\w.+-]*[;,]", "Send the bytes that its base64 text encodes."),
    kind("A URL", rb"\s*(https?|s3|gs|file)://", "Send the image itself."),
    kind("JSON", rb"\s*(\{\s*[\"}]|\[\s*[\[\]{\"\d-])", "Send the image's bytes as the file."),
]

# Tags of camera RAW files that are TIFF files otherwise.
PHOTOMETRIC, SUB_IFDS, DNG_VERSION, SONY_PRIVATE = 262, 330, 50706, 50740
SENSOR_PIXELS = {32803, 34892}  # colour filter array, linear RAW


def find_kind(data: bytes) -> Kind | None:
    """Returns the kind of a file that is not accepted, or None if it is not known."""
    text = data[:MAX_TEXT_BYTES].removeprefix(b"\xef\xbb\xbf")
    if text.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = text.decode("utf-16", "ignore").encode()
    return next((known for known in KINDS if known.signature.match(text)), None)


def decoded_base64(data: bytes) -> bytes:
    """Returns the first bytes that a base64 text encodes, or no bytes if a file is not base64 text."""
    text = re.match(rb"\s*\"?([A-Za-z0-9+/_-]{16,64})[A-Za-z0-9+/_=\r\n-]*+", data[:MAX_TEXT_BYTES])
    if not text or text.end() < min(len(data), MAX_TEXT_BYTES) - 2:
        return b""
    letters = text[1][: len(text[1]) // 4 * 4]
    return b64decode(letters, altchars=b"-_" if re.search(rb"[_-]", letters) else None)


def is_raw_photo(data: bytes) -> bool:
    """Returns whether a TIFF file is a camera RAW file, such as CR2, DNG, NEF or ARW. Its pages are only previews."""
    magic = re.match(rb"(?:II\*\0|MM\0\*)....(CR)?", data, re.DOTALL)
    if not magic or magic[1]:
        return bool(magic)
    order = "<" if data[:1] == b"I" else ">"
    return any(
        DNG_VERSION in tags or SONY_PRIVATE in tags or not SENSOR_PIXELS.isdisjoint(tags.get(PHOTOMETRIC, ()))
        for tags in first_pages(data, order)
    )


def first_pages(data: bytes, order: str) -> Iterator[dict[int, tuple[int, ...]]]:
    """Yields the tags of the first page of a TIFF file and of its subpages."""
    tags = read_tags(data, order, *struct.unpack_from(order + "I", data, 4))
    yield tags
    for offset in tags.get(SUB_IFDS, ())[:8]:
        yield read_tags(data, order, offset)
