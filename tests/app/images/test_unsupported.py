"""Files of other kinds, by the first bytes of real ones."""

import base64
import gzip
import io
import struct
import zipfile

import numpy as np
import pytest
from PIL import Image

from app.errors import UnsupportedMediaType
from app.images.identify import FORMATS, identify
from app.images.unsupported import KINDS, decoded_base64, find_kind
from tests.app.image_files import encoded, plain_image

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"/>'
DOCTYPE = b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">\n'


def ifd(order: str, *tags: tuple[int, int, int, int], offset: int = 8) -> bytes:
    """Returns a TIFF file with one directory. A tag is its number, type, count and value."""
    entries = b"".join(struct.pack(order + "HHII", *tag) for tag in tags)
    magic = b"II*\0" if order == "<" else b"MM\0*"
    head = (magic + struct.pack(order + "I", offset)).ljust(offset, b"\0")
    return head + struct.pack(order + "H", len(tags)) + entries + bytes(4)


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("cat.png", encoded(plain_image()))
    return file.getvalue()


def saved(image_format: str) -> bytes:
    return encoded(Image.fromarray(plain_image(side=16)), image_format)


def netpbm(kind: str) -> bytes:
    return f"{kind}\n# made by hand\n2 2\n255\n".encode() + bytes(12)


FILES = {
    "JPEG 2000, file": (saved("JPEG2000"), "JPEG 2000"),
    "JPEG 2000, codestream": (encoded(plain_image(side=16), "JPEG2000", no_jp2=True), "JPEG 2000"),
    "JPEG XR": (b"II\xbc\x01\x20\0\0\0\x24\xc3\xdd\x6f", "JPEG XR"),
    "CR3": (b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom", "Camera RAW (Canon CR3)"),
    "CRW": (b"II\x1a\0\0\0HEAPCCDR\x02\0\x01\0", "Camera RAW (Canon CRW)"),
    "RAF": (b"FUJIFILMCCD-RAW 0201FF389501X-T3", "Camera RAW (Fujifilm RAF)"),
    "ORF": (b"IIRO\x08\0\0\0\x2a\0", "Camera RAW (Olympus ORF)"),
    "ORF, older": (b"IIRS\x08\0\0\0", "Camera RAW (Olympus ORF)"),
    "RW2": (b"IIU\0\x18\0\0\0\x88\xe7\x74\xd8", "Camera RAW (Panasonic RW2)"),
    "X3F": (b"FOVb\x03\0\x02\0", "Camera RAW (Sigma X3F)"),
    "MRW": (b"\0MRM\0\0\x0a\x1c\0PRD", "Camera RAW (Minolta MRW)"),
    "MP4": (b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41", "Video (MP4 or QuickTime)"),
    "MP4, 2": (b"\0\0\0\x18ftypmp42\0\0\0\0mp42avi1", "Video (MP4 or QuickTime)"),
    "MOV": (b"\0\0\0\x14ftypqt  \0\0\x02\0qt  ", "Video (MP4 or QuickTime)"),
    "MOV, older": (b"\0\0\0\x08wide\0\x01\x02\x03mdat", "Video (MP4 or QuickTime)"),
    "WebM": (b"\x1a\x45\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82\x84webm", "Video (WebM"),
    "AVI": (b"RIFF\x24\x10\0\0AVI LIST", "Video (AVI)"),
    "MPEG program stream": (b"\0\0\x01\xba\x44\0\x04", "Video (MPEG)"),
    "MPEG transport stream": ((b"\x47" + bytes(187)) * 4, "Video (MPEG)"),
    "FLV": (b"FLV\x01\x05\0\0\0\x09", "Video (Flash)"),
    "WMV": (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9", "Video (Windows Media)"),
    "Ogg": (b"OggS\0\x02\0\0", "Video (Ogg)"),
    "WAV": (b"RIFF\x24\x10\0\0WAVEfmt ", "Audio"),
    "MP3": (b"ID3\x04\0\0", "Audio"),
    "ICO": (saved("ICO"), "Icon (ICO)"),
    "CUR": (b"\0\0\x02" + saved("ICO")[3:], "Cursor (CUR)"),
    "ICNS": (b"icns\0\x01\0\0ic08", "Icon (ICNS)"),
    "PSD": (b"8BPS\0\x01\0\0\0\0\0\0\0\x03\0\0\x01\0", "Photoshop (PSD)"),
    "PSB": (b"8BPS\0\x02\0\0\0\0\0\0\0\x03\0\0\x01\0", "Photoshop (PSD)"),
    "XCF": (b"gimp xcf v011\0", "GIMP (XCF)"),
    "PDF": (saved("PDF"), "PDF"),
    "PDF after junk": (b"\r\n\r\n%PDF-1.7\n", "PDF"),
    "EPS": (saved("EPS"), "EPS or PostScript"),
    "EPS of DOS": (b"\xc5\xd0\xd3\xc6\x1e\0\0\0", "EPS or PostScript"),
    "SVG": (SVG, "SVG"),
    "SVG after XML": (b'<?xml version="1.0" encoding="UTF-8"?>\n' + DOCTYPE + SVG, "SVG"),
    "SVG after a comment": (b"<!-- Generator: Adobe Illustrator -->\n\n" + SVG, "SVG"),
    "SVG after a byte order mark": (b"\xef\xbb\xbf<?xml version='1.0'?>" + SVG, "SVG"),
    "SVG with entities": (b"<?xml version='1.0'?><!DOCTYPE svg [<!ENTITY ns '>'>]>\n" + SVG, "SVG"),
    "SVG in UTF-16": (("<?xml version='1.0'?>" + SVG.decode()).encode("utf-16"), "SVG"),
    "SVG with a prefix": (b"<svg:svg xmlns:svg='http://www.w3.org/2000/svg'/>", "SVG"),
    "SVG after XML with a style sheet": (b"<?xml version='1.0'?><?xml-stylesheet href='a.css'?>" + SVG, "SVG"),
    "HTML": (b"<!DOCTYPE html>\n<html><body>404</body></html>", "HTML"),
    "HTML, lower case": (b"\n  <html>", "HTML"),
    "HTML that mentions svg": (b"<!doctype html><svg>", "HTML"),
    "XML": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "XML"),
    "EMF": (b"\x01\0\0\0\x6c\0\0\0" + bytes(32) + b" EMF\0\0\x01\0", "Windows metafile"),
    "WMF": (b"\xd7\xcd\xc6\x9a\0\0", "Windows metafile"),
    "EXR": (b"\x76\x2f\x31\x01\x02\0\0\0", "OpenEXR"),
    "HDR": (b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n", "Radiance HDR"),
    "QOI": (b"qoif\0\0\0\x10\0\0\0\x10\x03\0", "QOI"),
    "DDS": (b"DDS \x7c\0\0\0", "DDS"),
    "KTX": (b"\xabKTX 11\xbb\r\n\x1a\n", "KTX"),
    "DICOM": (bytes(128) + b"DICM\x02\0\0\0UL", "DICOM"),
    "FITS": (b"SIMPLE  =                    T", "FITS"),
    "FLIF": (b"FLIF31\0", "FLIF"),
    "BPG": (b"BPG\xfb\x20\0", "BPG"),
    "MNG": (b"\x8aMNG\r\n\x1a\n", "MNG or JNG"),
    **{f"netpbm {kind}": (netpbm(kind), "Netpbm") for kind in ("P1", "P2", "P3", "P4", "P5", "P6", "P7", "Pf", "PF")},
    "PCX": (saved("PCX"), "PCX"),
    "SGI": (saved("SGI"), "SGI"),
    "XPM": (b"/* XPM */\nstatic char *", "XPM"),
    "ZIP": (zipped(), "A ZIP archive"),
    "GZIP": (gzip.compress(encoded(plain_image())), "A GZIP file"),
    "RAR": (b"Rar!\x1a\x07\x01\0", "A compressed archive"),
    "Word": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(8), "An Office document"),
    "a data URL": (b"data:image/png;base64," + base64.b64encode(encoded(plain_image())), "A data URL"),
    "a URL": (b"https://example.com/cat.jpg", "A URL"),
    "JSON": (b'{"image": "iVBORw0KGgo"}', "JSON"),
    "a JSON list": (b"[[0.1, 0.2]]", "JSON"),
    "CR2": (b"II*\0\x10\0\0\0CR\x02\0\xb8\xd8\0\0", "Camera RAW"),
    "DNG": (ifd("<", (254, 4, 1, 1), (50706, 1, 4, 0x104)), "Camera RAW"),
    "DNG, big-endian": (ifd(">", (254, 4, 1, 1), (50706, 1, 4, 0x1040000)), "Camera RAW"),
    "TIFF of sensor samples": (ifd("<", (262, 3, 1, 32803)), "Camera RAW"),
    "ARW": (ifd("<", (254, 4, 1, 1), (50740, 1, 4, 0)), "Camera RAW"),
    "base64 of a PNG": (base64.b64encode(encoded(plain_image())), "Base64 text"),
    "base64 of a JPEG in lines": (base64.encodebytes(encoded(plain_image(), "JPEG")), "Base64 text"),
    "base64 of a WebP for URLs": (base64.urlsafe_b64encode(encoded(plain_image(), "WEBP")), "Base64 text"),
    "base64 in quotes": (b'"' + base64.b64encode(encoded(plain_image(), "GIF")) + b'"\n', "Base64 text"),
}


@pytest.mark.parametrize(("data", "name"), FILES.values(), ids=FILES)
def test_a_file_of_another_kind_is_named_with_what_to_send(data, name):
    with pytest.raises(UnsupportedMediaType) as raised:
        identify(data)
    message = str(raised.value)
    assert message.startswith(name)
    assert " is not accepted" in message
    assert "Send one of JPEG, PNG, WEBP, GIF, BMP, TIFF" in message


def test_nef_is_recognized_by_the_directory_of_its_sensor_samples():
    sub = 64
    data = ifd(">", (254, 4, 1, 1), (256, 4, 1, 160), (262, 3, 1, 2 << 16), (330, 4, 1, sub))
    data = data.ljust(sub, b"\0") + struct.pack(">H", 1) + struct.pack(">HHIHH", 262, 3, 1, 32803, 0) + bytes(4)
    with pytest.raises(UnsupportedMediaType, match="Camera RAW is not accepted"):
        identify(data)


@pytest.mark.parametrize(
    "data",
    [
        encoded(plain_image(), "TIFF"),
        ifd("<", (262, 3, 1, 2), (330, 4, 1, 0xFFFFFFFF)),
        ifd("<", (330, 4, 0xFFFFFFFF, 8)),
        b"II*\0\xff\xff\xff\xff",
        b"II*\0",
    ],
)
def test_an_ordinary_or_damaged_tiff_is_not_taken_for_camera_raw(data):
    assert identify(data).name == "TIFF"


@pytest.mark.parametrize("data", [b"hello, world", b"BMoon", b"\0" * 100, b"PNG", b"P6", b"\xff", b"abcd" * 100])
def test_a_file_of_an_unknown_kind_is_not_named(data):
    assert find_kind(data) is None
    with pytest.raises(UnsupportedMediaType, match="is not an image in an accepted format"):
        identify(data)


def test_no_kind_is_named_for_an_accepted_file():
    for image_format in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"):
        assert find_kind(encoded(plain_image(), image_format)) is None
    assert not {kind.name for kind in KINDS} & {image_format.name for image_format in FORMATS} - {"AVIF"}


def test_random_bytes_are_rarely_taken_for_a_kind():
    rng = np.random.default_rng(0)
    assert sum(find_kind(rng.bytes(400)) is not None for _ in range(2_000)) <= 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", b""),
        (b"short", b""),
        (b"word word word word", b""),
        (b"A" * 40 + b"!" + b"A" * 40, b""),
        (b"A" * 400, bytes(48)),
    ],
)
def test_only_whole_files_of_base64_letters_are_decoded(text, expected):
    assert decoded_base64(text) == expected
