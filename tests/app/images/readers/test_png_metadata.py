import struct
import zlib

import pytest
from PIL import ImageCms

from app.images.decode import decode
from app.images.raster import CICP, ColourSpace, ReadOptions
from app.images.readers.png import read
from tests.app.images.hostile import png_chunk
from tests.app.images.readers.png_files import (
    OPTIONS,
    file_of,
    pixels,
    samples_of,
    shown,
)

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

# What may be wrong with chunks that the pixels do not need.
TEXT = b'{"workflow": [' + b'"node",' * 400_000 + b"0]}"
ANCILLARY = {
    "a text of 2.8 MB": png_chunk(b"tEXt", b"workflow\0" + TEXT),
    "a compressed text of 2.8 MB": png_chunk(b"zTXt", b"workflow\0\0" + zlib.compress(TEXT)),
    "an international text of 2.8 MB": png_chunk(b"iTXt", b"workflow\0\1\0\0\0" + zlib.compress(TEXT)),
    "hundred texts of 1 MB": png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1_000_000))) * 100,
    "a text bomb": png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(50_000_000))),
    "a text without a keyword": png_chunk(b"tEXt", b""),
    "a text that is not zlib": png_chunk(b"zTXt", b"a\0\0garbage"),
    "a text with an unknown compression": png_chunk(b"zTXt", b"a\0\7garbage"),
    "a text with a wrong checksum": png_chunk(b"tEXt", b"a\0b")[:-1] + b"?",
    "broken EXIF": png_chunk(b"eXIf", b"MM\0*\xff\xff\xff\xff"),
    "empty EXIF": png_chunk(b"eXIf", b""),
    "EXIF with a wrong checksum": png_chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0")[:-1]
    + b"?",
    "a short gAMA": png_chunk(b"gAMA", b"\0"),
    "a zero gAMA": png_chunk(b"gAMA", bytes(4)),
    "a short cHRM": png_chunk(b"cHRM", bytes(5)),
    "a short pHYs": png_chunk(b"pHYs", b"\0"),
    "a short sRGB": png_chunk(b"sRGB", b""),
    "a short cICP": png_chunk(b"cICP", b"\1"),
    "a short acTL": png_chunk(b"acTL", b"\0"),
    "an acTL with a wrong checksum": png_chunk(b"acTL", bytes([0, 0, 0, 2, 0, 0, 0, 0]))[:-1] + b"?",
    "an acTL of no frames": png_chunk(b"acTL", bytes(8)),
    "a short fcTL": png_chunk(b"acTL", bytes([0, 0, 0, 2, 0, 0, 0, 0])) + png_chunk(b"fcTL", b"\0"),
    "an unknown ancillary chunk": png_chunk(b"abCd", bytes(1000)),
}


@pytest.mark.parametrize("extra", ANCILLARY.values(), ids=ANCILLARY)
def test_ancillary_chunks_never_cost_the_image(extra):
    samples = samples_of(2, 8)
    data = file_of(samples, 2, 8, extra)
    assert (pixels(data) == shown(samples, 2, 8)).all()
    assert decode(data, OPTIONS).notes == []
    assert read(data, ReadOptions()).colour_space == ColourSpace()


BROKEN_PROFILES = {
    "a wrong checksum": png_chunk(b"iCCP", b"x\0\0" + zlib.compress(SRGB))[:-1] + b"?",
    "no zlib": png_chunk(b"iCCP", b"x\0\0garbage"),
    "cut short": png_chunk(b"iCCP", b"x\0\0" + zlib.compress(SRGB)[:-20]),
    "a bomb": png_chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(50_000_000))),
    "empty": png_chunk(b"iCCP", b""),
}


@pytest.mark.parametrize("extra", BROKEN_PROFILES.values(), ids=BROKEN_PROFILES)
def test_a_broken_profile_is_ignored_and_noted(extra):
    samples = samples_of(2, 8)
    data = file_of(samples, 2, 8, extra)
    assert (pixels(data) == shown(samples, 2, 8)).all()
    raster = read(data, ReadOptions())
    assert (raster.colour_space, raster.notes) == (ColourSpace(), ("colour_profile_ignored",))


GAMA, CHRM = png_chunk(b"gAMA", struct.pack(">I", 45_455)), png_chunk(b"cHRM", struct.pack(">8I", *range(1, 9)))
POINTS = tuple(value / 100_000 for value in range(1, 9))
ICCP, CICP_CHUNK = png_chunk(b"iCCP", b"x\0\0" + zlib.compress(SRGB)), png_chunk(b"cICP", bytes([12, 13, 0, 1]))
SPACES = {
    "none": (b"", ColourSpace()),
    "iCCP": (ICCP, ColourSpace(icc=SRGB)),
    "gAMA": (GAMA, ColourSpace(gamma=0.45455)),
    "cHRM": (CHRM, ColourSpace(chromaticities=POINTS)),
    "gAMA and cHRM": (GAMA + CHRM, ColourSpace(gamma=0.45455, chromaticities=POINTS)),
    "sRGB before gAMA and cHRM": (GAMA + CHRM + png_chunk(b"sRGB", b"\0"), ColourSpace()),
    "iCCP before sRGB and gAMA": (GAMA + png_chunk(b"sRGB", b"\0") + ICCP, ColourSpace(icc=SRGB)),
    "cICP before all": (GAMA + CHRM + ICCP + CICP_CHUNK, ColourSpace(cicp=CICP(12, 13, 0, True))),
    "gAMA instead of a broken iCCP": (GAMA + BROKEN_PROFILES["no zlib"], ColourSpace(gamma=0.45455)),
    "narrow range": (png_chunk(b"cICP", bytes([9, 16, 0, 0])), ColourSpace(cicp=CICP(9, 16, 0, False))),
}


@pytest.mark.parametrize(("extra", "expected"), SPACES.values(), ids=SPACES)
def test_the_colour_space_is_the_one_that_takes_precedence(extra, expected):
    assert read(file_of(samples_of(2, 8), 2, 8, extra), ReadOptions()).colour_space == expected


def exif_block(order: str, value: int) -> bytes:
    magic = {"<": b"II", ">": b"MM"}[order]
    return magic + struct.pack(order + "HIHHHIHHI", 42, 8, 1, 274, 3, 1, value, 0, 0)


def raw_profile_text(exif: bytes) -> bytes:
    return b"\nexif\n%8d\n" % (len(exif) + 6) + (b"Exif\0\0" + exif).hex().encode() + b"\n"


XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
ORIENTATIONS = {
    "eXIf, little-endian": (png_chunk(b"eXIf", exif_block("<", 6)), 6),
    "eXIf, big-endian": (png_chunk(b"eXIf", exif_block(">", 6)), 6),
    "eXIf after Exif": (png_chunk(b"eXIf", b"Exif\0\0" + exif_block(">", 6)), 6),
    "eXIf out of range": (png_chunk(b"eXIf", exif_block(">", 9)), 1),
    "raw profile": (png_chunk(b"tEXt", b"Raw profile type exif\0" + raw_profile_text(exif_block(">", 6))), 6),
    "compressed raw profile": (
        png_chunk(b"zTXt", b"Raw profile type APP1\0\0" + zlib.compress(raw_profile_text(exif_block("<", 6)))),
        6,
    ),
    "raw profile that is no hexadecimal": (png_chunk(b"tEXt", b"Raw profile type exif\0\nexif\n 3\nxyz\n"), 1),
    "XMP": (png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP), 6),
    "compressed XMP": (png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(XMP)), 6),
    "eXIf before XMP": (
        png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP) + png_chunk(b"eXIf", exif_block("<", 3)),
        3,
    ),
}


@pytest.mark.parametrize("last", [False, True], ids=["before the pixels", "after the pixels"])
@pytest.mark.parametrize(("extra", "expected"), ORIENTATIONS.values(), ids=ORIENTATIONS)
def test_the_orientation_is_read(extra, expected, last):
    data = file_of(samples_of(2, 8), 2, 8, b"" if last else extra)
    raster = read(data[:-12] + extra + data[-12:] if last else data, ReadOptions())
    assert raster.orientation == expected
