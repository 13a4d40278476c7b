import os
from pathlib import Path

import pytest

from app.batch import BatchError, BatchMistake
from app.batch.entries import entries
from app.batch.inputs import sources
from app.batch.listing import CHUNKS_PER_FILE, StoredListing, check_unchanged, write_listing
from app.batch.output import output_folder
from tests.app.batch.test_entries import write_tar


@pytest.fixture
def names(tmp_path) -> Path:
    """A folder with 121 files, whose names are not UTF-8, and a tar file with three images."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(121):
        Path(os.fsdecode(f"{folder}/{number:03}".encode() + b"\xff.png")).touch()
    write_tar(folder / "zz.tar")
    return folder


def test_the_chunks_together_are_all_images_in_order(names, tmp_path):
    folder = output_folder(str(tmp_path / "out"))
    listing = write_listing(folder, sources([str(names)]), None, chunk_size=2)
    assert (listing.num_images, listing.num_sources, listing.num_chunks) == (124, 122, 62)
    assert len(os.listdir(tmp_path / "out/_job" / listing.id)) == -(-62 // CHUNKS_PER_FILE)
    expected = [entry for source in sources([str(names)]) for entry in entries(source, None)]
    stored = StoredListing(folder, listing)
    found = [entry for index in (61, *range(61)) for entry in stored.chunk(index)]
    found = found[2:] + found[:2]
    assert [entry.file for entry in found] == [entry.file for entry in expected]
    assert [entry[3:] for entry in found] == [entry[3:] for entry in expected]
    assert found[0].path.endswith(r"/000\udcff.png")  # as other results show it
    assert [listing.size_of(index) for index in (0, 61)] == [2, 2]


def test_a_last_chunk_may_be_smaller(names, tmp_path):
    folder = output_folder(str(tmp_path / "out"))
    listing = write_listing(folder, sources([str(names)]), None, chunk_size=50)
    assert [len(StoredListing(folder, listing).chunk(index)) for index in range(3)] == [50, 50, 24]
    assert [listing.size_of(index) for index in range(3)] == [50, 50, 24]


def test_the_first_change_of_the_inputs_is_named(names, tmp_path):
    folder, given = output_folder(str(tmp_path / "out")), [str(names)]
    listing = write_listing(folder, sources(given), None, chunk_size=50)
    check_unchanged(folder, listing, given)

    def change() -> str:
        with pytest.raises(BatchMistake, match=r"^the input has changed since the job was begun: ") as error:
            check_unchanged(folder, listing, given)
        return str(error.value).partition(": ")[2].partition(". Name another")[0]

    (names / "zzz.png").touch()
    assert change() == f"{names}/zzz.png is new"
    (names / "zzz.png").unlink()
    (names / "05.png").touch()
    assert change() == rf"the first different file is {names}/05.png, and was {names}/050\udcff.png"
    (names / "05.png").unlink()
    os.utime(names / "zz.tar", ns=(1, 1))
    assert change() == f"{names}/zz.tar has been replaced"
    (names / "zz.tar").unlink()
    assert change() == f"{names}/zz.tar is not there any more"


def test_no_files_are_a_mistake(tmp_path):
    (tmp_path / "in").mkdir()
    with pytest.raises(BatchMistake, match="there are no files in the input"):
        write_listing(output_folder(str(tmp_path / "out")), sources([str(tmp_path / "in")]), None, 10)
    assert not (tmp_path / "out").exists()


def test_a_list_that_is_gone_is_an_error_with_its_name(names, tmp_path):
    folder = output_folder(str(tmp_path / "out"))
    listing = write_listing(folder, sources([str(names)]), None, chunk_size=50)
    Path(f"{tmp_path}/out/_job/{listing.id}/000000.parquet").unlink()
    with pytest.raises(BatchError, match=r"000000\.parquet is gone: it has the list"):
        StoredListing(folder, listing).chunk(0)
