"""Pages that are damaged, or that are not supported."""

import numpy as np
import pytest

from app.errors import InvalidImage, UnsupportedMediaType
from app.images.decoder_errors import decoder_errors
from app.images.raster import ReadOptions
from app.images.readers import tiff
from tests.app.images.readers.tiff_files import Layout, tiff_file

GREY = np.full((3, 5, 1), 128)

# Replaced tags -> the error and a part of its message.
REFUSED = {
    "transparency mask": ({262: (3, [4])}, UnsupportedMediaType, "A transparency mask is not supported"),
    "camera RAW": ({262: (3, [32803])}, UnsupportedMediaType, r"Camera RAW \(colour filter array\) is not supported"),
    "linear camera RAW": ({262: (3, [34892])}, UnsupportedMediaType, r"Camera RAW \(linear\) is not supported"),
    "LogLuv": ({262: (3, [32845])}, UnsupportedMediaType, "LogLuv is not supported"),
    "ITU Lab": ({262: (3, [10])}, UnsupportedMediaType, "ITU Lab is not supported"),
    "another photometric": ({262: (3, [77])}, UnsupportedMediaType, "PhotometricInterpretation 77 is not supported"),
    "another compression": ({259: (3, [34661])}, UnsupportedMediaType, "Compression 34661 .* is not supported"),
    "SGI Log": ({259: (3, [34676])}, UnsupportedMediaType, "Compression 34676 .* is not supported"),
    "another predictor": ({317: (3, [9]), 259: (3, [8])}, UnsupportedMediaType, "Predictor 9 is not supported"),
    "a predictor without compression": (
        {317: (3, [2]), 339: (3, [2])},
        UnsupportedMediaType,
        "Compression 1 with Predictor 2 is not supported",
    ),
    "CCITT of 8 bits": ({259: (3, [4])}, InvalidImage, "damaged"),
    "old-style JPEG of grey": ({259: (3, [6])}, UnsupportedMediaType, "old-style JPEG compression .* not supported"),
    "undefined samples": ({339: (3, [4])}, UnsupportedMediaType, "complex or undefined samples"),
    "complex samples": ({339: (3, [6])}, UnsupportedMediaType, "complex or undefined samples"),
    "a volume": ({32997: (4, [3])}, UnsupportedMediaType, "volumes are not supported"),
    "different bits": ({258: (3, [5, 6, 5]), 277: (3, [3]), 262: (3, [2])}, UnsupportedMediaType, "different numbers"),
    "different types": ({258: (3, [8]), 277: (3, [2]), 339: (3, [1, 3])}, UnsupportedMediaType, "different types"),
    "too few bits": ({258: (3, [8, 8]), 277: (3, [3]), 262: (3, [2])}, InvalidImage, "2 values for 3 samples"),
    "no samples": ({277: (3, [0])}, InvalidImage, "0 samples per pixel"),
    "absurdly many samples": ({277: (4, [1 << 31])}, InvalidImage, "2147483648 samples per pixel"),
    "an extra sample without a meaning": ({277: (3, [2])}, InvalidImage, "2 samples per pixel, but its colours need 1"),
    "too few colours": ({262: (3, [2])}, InvalidImage, "1 samples per pixel, but its colours need 3"),
    "inks other than CMYK": (
        {262: (3, [5]), 277: (3, [4]), 332: (3, [2])},
        UnsupportedMediaType,
        "inks other than CMYK",
    ),
    "signed Lab": ({262: (3, [8]), 277: (3, [3]), 339: (3, [2])}, UnsupportedMediaType, "Lab TIFF is only supported"),
    "no palette": ({262: (3, [3])}, InvalidImage, "palette does not have a colour for each value"),
    "a short palette": ({262: (3, [3]), 320: (3, [0] * 48)}, InvalidImage, "palette does not have a colour"),
    "uncompressed chroma of half size": ({262: (3, [6]), 277: (3, [3])}, UnsupportedMediaType, "YCbCr TIFF with no"),
    "no strips": ({273: (4, []), 279: (4, [])}, InvalidImage, "fewer strips or tiles"),
    "too few strips": ({278: (4, [1])}, InvalidImage, "fewer strips or tiles"),
    "strips of no rows": ({278: (4, [0])}, InvalidImage, "fewer strips or tiles"),
    "too many strips": ({273: (4, [16, 16])}, InvalidImage, "more or larger strips or tiles"),
    "a strip at the file's beginning": ({273: (4, [0])}, InvalidImage, "outside the file"),
    "a strip outside the file": ({273: (4, [1_000_000])}, InvalidImage, "outside the file"),
    "a strip without a length": ({279: (4, [0]), 258: (3, [16])}, InvalidImage, "have no length"),
    "a strip that is longer than the file": ({279: (4, [9_999]), 259: (3, [8])}, InvalidImage, "truncated"),
    "tiles without a size": ({324: (4, [16]), 325: (4, [15])}, InvalidImage, "fewer strips or tiles"),
    "huge tiles": (
        {322: (4, [20_000]), 323: (4, [20_000]), 324: (4, [16]), 325: (4, [15])},
        InvalidImage,
        "more or larger strips or tiles",
    ),
    "pixels outside the file": ({256: (4, [500])}, InvalidImage, "truncated"),
}


@pytest.mark.parametrize(("tags", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_an_unsupported_or_damaged_page_is_refused_by_name(tags, error, message):
    data = tiff_file(GREY, Layout(), tags)
    with pytest.raises(error, match=message), decoder_errors("TIFF"):
        tiff.read(data, ReadOptions())
