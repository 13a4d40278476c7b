import struct

import pytest

from app.images.raster import CICP, ColourSpace
from app.images.readers.containers import MAX_TRACKS, Track, read_colours, read_container, with_image_alone
from tests.app.images.readers.heif_files import Part, box, cicp, full_box, heif_file, profile, rotation, size_box

IMAGE = Part(b"hvc1", b"coded", [size_box(40, 30), rotation(1), cicp(12, 13)])
TILES = [Part(b"hvc1", b"tile", [size_box(20, 30), profile(b"icc")], hidden=True)] * 2
GRID = Part(b"grid", b"12345678", [size_box(40, 30)], [(b"dimg", [2, 3])])


def track(codec: bytes, *, handler: bytes = b"pict", samples: int = 3, sizes: bytes = b"stsz") -> bytes:
    """Returns an image sequence of 64 x 48 pixels."""
    sample = box(codec, bytes(24), struct.pack(">HH", 64, 48), bytes(50), cicp(9, 16))
    table = full_box(sizes, 0, 0, struct.pack(">II", 0, samples))
    stbl = box(b"stbl", full_box(b"stsd", 0, 0, struct.pack(">I", 1), sample), table)
    return box(b"trak", box(b"mdia", full_box(b"hdlr", 0, 0, bytes(4), handler, bytes(13)), box(b"minf", stbl)))


def movie(*tracks: bytes, brand: bytes = b"avis") -> bytes:
    return box(b"ftyp", brand, bytes(4), b"msf1") + box(b"moov", full_box(b"mvhd", 0, 0, bytes(96)), *tracks)


@pytest.mark.parametrize("wide", [False, True])
def test_a_file_of_one_image(wide):
    container = read_container(heif_file(IMAGE, wide=wide))
    assert (container.brand, container.primary, container.images()) == (b"heic", 1, [1])
    assert (container.codec(1), container.size(1), container.tracks) == (b"hvc1", (40, 30), [])
    assert [found.kind for found in container.described(1)] == [b"ispe", b"irot", b"colr"] * 2


def test_a_grid_has_the_codec_and_the_colours_of_its_tiles_but_its_own_size():
    container = read_container(heif_file(GRID, *TILES))
    assert (container.images(), container.codec(1), container.size(1)) == ([1], b"hvc1", (40, 30))
    assert read_colours(container.described(1)) == ColourSpace(icc=b"icc")


@pytest.mark.parametrize(
    ("parts", "primary", "images"),
    [
        ([IMAGE, IMAGE, IMAGE], 2, [2, 1, 3]),
        ([IMAGE, IMAGE._replace(references=[(b"thmb", [1])])], 1, [1]),
        ([IMAGE, IMAGE._replace(references=[(b"auxl", [1])]), IMAGE], 1, [1, 3]),
        ([IMAGE, IMAGE._replace(hidden=True)], 1, [1]),
        ([GRID, *[tile._replace(hidden=False) for tile in TILES]], 1, [1]),
        ([IMAGE, Part(b"Exif", b"x"), Part(b"mime", b"x")], 1, [1]),
        ([IMAGE, IMAGE, Part(b"tmap", b"x", references=[(b"dimg", [1, 2])])], 1, [1]),
    ],
)
def test_images_are_what_a_viewer_shows_the_primary_one_first(parts, primary, images):
    assert read_container(heif_file(*parts, primary=primary)).images() == images


def test_images_that_are_made_from_each_other_have_no_codec_of_their_own():
    circle = [Part(b"iden", b"", references=[(b"dimg", [other])]) for other in (2, 1)]
    assert read_container(heif_file(*circle)).codec(1) == b"iden"


def test_a_missing_image_has_neither_codec_nor_size():
    container = read_container(heif_file(IMAGE, primary=9))
    assert (container.codec(9), container.size(9), container.described(9)) == (b"", (0, 0), [])


def test_an_image_is_complete_if_its_tiles_are():
    data = heif_file(GRID, *TILES)
    container = read_container(data)
    container.check_complete(1, len(data))
    with pytest.raises(EOFError):
        container.check_complete(1, len(data) - 1)
    container.check_complete(2, len(data) - 4)


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ([], ColourSpace()),
        ([cicp(12, 13)], ColourSpace(cicp=CICP(12, 13))),
        ([cicp(2, 2)], ColourSpace()),
        ([cicp(2, 16)], ColourSpace(cicp=CICP(2, 16))),
        ([profile(b"icc")], ColourSpace(icc=b"icc")),
        ([profile(b"icc", b"rICC")], ColourSpace(icc=b"icc")),
        ([cicp(9, 16), profile(b"icc")], ColourSpace(icc=b"icc")),
        ([cicp(9, 16), cicp(1, 13)], ColourSpace(cicp=CICP(9, 16))),
        ([box(b"colr", b"what")], ColourSpace()),
        ([box(b"colr")], ColourSpace()),
    ],
)
def test_colours_are_described_by_icc_or_else_by_cicp(properties, expected):
    container = read_container(heif_file(Part(b"hvc1", b"x", properties)))
    assert read_colours(container.described(1)) == expected


@pytest.mark.parametrize("sizes", [b"stsz", b"stz2"])
def test_image_sequences_are_found(sizes):
    container = read_container(movie(track(b"av01", sizes=sizes), track(b"av01", handler=b"auxv"), box(b"trak")))
    assert container.primary is None
    assert [found[:4] for found in container.tracks] == [Track(b"av01", 64, 48, 3, [])[:4]]
    assert read_colours(container.tracks[0].properties) == ColourSpace(cicp=CICP(9, 16))


@pytest.mark.parametrize("wide", [False, True])
def test_another_image_becomes_the_primary_one_and_metadata_are_hidden(wide):
    data = heif_file(IMAGE, IMAGE, Part(b"Exif", b"Exif"), Part(b"mime", b"xmp"), wide=wide)
    edited = with_image_alone(data, read_container(data), 2, b"avif")
    container = read_container(edited)
    assert (len(edited), container.brand, container.primary) == (len(data), b"avif", 2)
    assert [item.kind for item in container.items.values()] == [b"hvc1", b"hvc1", b"skip", b"skip"]
    assert edited.endswith(b"Exifxmp")


@pytest.mark.parametrize(("brand", "tracks"), [(b"avis", 1), (b"avif", 0)])
def test_an_image_sequence_is_hidden_if_the_still_image_is_wanted(brand, tracks):
    data = heif_file(IMAGE) + movie(track(b"av01"))[20:]
    assert len(read_container(with_image_alone(data, read_container(data), 1, brand)).tracks) == tracks


@pytest.mark.parametrize("length", [16, 60, 200])
def test_a_file_that_ends_inside_a_box_that_is_needed_is_truncated(length):
    with pytest.raises(EOFError):
        read_container(heif_file(IMAGE)[:length])


@pytest.mark.parametrize("data", [b"", box(b"mdat"), box(b"ftyp")])
def test_a_file_has_to_declare_its_brand(data):
    with pytest.raises(ValueError, match="brand"):
        read_container(data)


def test_the_number_of_tracks_is_limited():
    assert len(read_container(movie(*[track(b"av01")] * (MAX_TRACKS + 5))).tracks) == MAX_TRACKS
