import tarfile
from io import BytesIO
from pathlib import Path

import fsspec
import pytest

from app.batch import BatchError
from app.batch.entries import Entry, entries, readable
from app.batch.files import NotScored
from app.batch.inputs import Source, sources
from tests.app.image_files import BLUE, RED, encoded, plain_image

MEMBERS = {
    "x/0001.jpg": encoded(plain_image(RED), "JPEG"),
    "x/0001.cls": b"3",
    "0002.input.png": encoded(plain_image(BLUE)),
    "._0003.png": b"",
    "0004.png": b"not an image",
}


def write_tar(path: Path) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in MEMBERS.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, BytesIO(content))
    return path


def all_entries(given: object) -> list[Entry]:
    return [entry for source in sources([str(given)]) for entry in entries(source, None)]


def contents(found: list[Entry]) -> list[bytes | str]:
    results: list[bytes | str] = []
    for file in readable(found, None):
        try:
            results.append(file.read())
        except NotScored as error:
            results.append(str(error))
    return results


def test_the_members_of_a_tar_file_that_are_images_are_read_from_it_here_and_at_a_url(tmp_path):
    path = write_tar(tmp_path / "shard.tar")
    fsspec.filesystem("memory").pipe_file("/tars/shard.tar", path.read_bytes())
    for given in (path, "memory://tars/shard.tar"):
        found = all_entries(given)
        assert [entry.path for entry in found] == [
            f"{given}/{name}" for name in ("x/0001.jpg", "0002.input.png", "0004.png")
        ]
        jpeg, png, other = contents(found)
        assert (jpeg, png) == (MEMBERS["x/0001.jpg"], MEMBERS["0002.input.png"])
        assert str(other).startswith("The file is not an image in an accepted format.")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cannot be read as a tar file"),
        (b"x" * 2_000, "cannot be read as a tar file"),
        (b"\0" * 10_240, "The file has no images."),
    ],
)
def test_a_tar_file_without_images_is_one_entry_with_the_reason(tmp_path, content, reason):
    (tmp_path / "bad.tar").write_bytes(content)
    (entry,) = all_entries(tmp_path / "bad.tar")
    assert reason in entry.fault
    assert contents([entry]) == [entry.fault]


def test_a_truncated_tar_file_gives_the_images_before_the_end_and_the_reason(tmp_path):
    path = write_tar(tmp_path / "cut.tar")
    path.write_bytes(path.read_bytes()[:1_700])
    found = all_entries(path)
    assert found[0].path.endswith("x/0001.jpg")
    assert found[-1].fault.startswith("The file cannot be read as a tar file")


def test_files_here_and_at_a_url_are_read_and_one_that_is_gone_has_its_reason(tmp_path):
    (tmp_path / "a.png").write_bytes(MEMBERS["0002.input.png"])
    fsspec.filesystem("memory").pipe_file("/entries/a.png", MEMBERS["0002.input.png"])
    (tmp_path / "list.txt").write_text("a.png\nmemory://entries/a.png\ngone.png\nmemory://entries/gone.png\n.\n")
    here, there, gone, gone_there, folder = contents(all_entries(tmp_path / "list.txt"))
    assert here == there == MEMBERS["0002.input.png"]
    assert gone == gone_there == "No such file or directory"
    assert folder == "Is a directory"


def test_a_source_with_a_fault_is_one_entry():
    assert list(entries(Source("a", "/a", "No permission"), None)) == [Entry("a", "/a", "/a", fault="No permission")]


def test_a_network_that_fails_while_a_tar_file_is_listed_is_not_a_fault_of_the_file():
    fsspec.register_implementation("cut", CutOff, clobber=True)
    with pytest.raises(BatchError, match=r"^cut://host/shard\.tar: no route$"):
        list(entries(Source("x", "cut://host/shard.tar"), None))


class CutOff(fsspec.AbstractFileSystem):
    protocol = "cut"

    def _open(self, *_args, **_options):
        return NotReadable()


class NotReadable(BytesIO):
    def read(self, *_args):
        raise ConnectionError("no route")
