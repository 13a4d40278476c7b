import os
import stat
from pathlib import Path

import fsspec
import pytest

from app.batch import BatchError
from app.batch.files import NotScored
from app.batch.storage import is_url, opened_file, read_file, version_of


def test_a_file_is_read_whole_or_in_part_and_what_is_wrong_with_it_is_its_reason(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"0123456789")
    fsspec.filesystem("memory").pipe_file("/read/a", b"0123456789")
    for name in (str(file), "memory://read/a"):
        assert read_file(name) == b"0123456789"
        assert read_file(name, 2, 3) == b"234"
        with pytest.raises(NotScored, match=r"at most 1,000,000,000 are read"):
            read_file(name, 0, 2_000_000_000)
    for name in (str(tmp_path / "no"), "memory://read/no"):
        with pytest.raises(NotScored):
            read_file(name)


def test_an_error_of_the_storage_is_not_one_of_the_file():
    fsspec.register_implementation("broken", Broken, clobber=True)
    for use in (
        lambda: read_file("broken://x"),
        lambda: version_of("broken://x"),
        lambda: opened_file("broken://x").__enter__(),
    ):
        with pytest.raises(BatchError, match=r"^broken://x: no route$"):
            use()


class Broken(fsspec.AbstractFileSystem):
    protocol = "broken"

    def _open(self, *_args, **_options):
        raise ConnectionError("no route\nand more")

    def info(self, *_args, **_options):
        raise ConnectionError("no route\nand more")

    cat_file = info


def test_the_version_of_a_file_changes_when_it_is_replaced(tmp_path):
    file = tmp_path / "a.tar"
    file.write_bytes(b"one")
    before = version_of(str(file))
    assert version_of(str(file)) == before
    replaced = tmp_path / "new"
    replaced.write_bytes(b"two")
    os.utime(replaced, ns=(1, stat.S_IRUSR))
    replaced.replace(file)
    assert version_of(str(file)) != before


def test_urls_and_paths():
    assert [is_url(name) for name in ("s3://b/k", "https://h/k", "file:///a", "/a", "a.txt", str(Path("x")))] == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]
