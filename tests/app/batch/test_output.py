import multiprocessing
import os

import fsspec
import pytest

from app.batch import BatchError, BatchMistake
from app.batch.output import output_folder


@pytest.mark.parametrize("scheme", ["", "file://", "memory://"])
def test_a_file_is_stored_replaced_and_read_and_a_folder_need_not_exist(scheme, tmp_path):
    folder = output_folder(f"{scheme}{tmp_path}/out")
    assert (folder.names(), folder.read("a/b")) == ([], None)
    folder.write("a/b", b"one")
    folder.write("a/b", b"two")
    folder.write("c", b"")
    assert folder.read("a/b") == b"two"
    assert sorted(folder.names()) == ["a", "c"]


@pytest.mark.parametrize("scheme", ["", "memory://"])
def test_a_file_is_created_only_once(scheme, tmp_path):
    folder = output_folder(f"{scheme}{tmp_path}/out")
    folder.create("a", b"first")
    folder.create("a", b"second")
    assert folder.read("a") == b"first"
    assert folder.names() == ["a"]


def test_of_two_processes_that_store_a_file_one_wins_and_nothing_else_remains(tmp_path):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.starmap(store_often, [(str(tmp_path), letter) for letter in "ab"])
    content = (tmp_path / "part").read_bytes()
    assert content in (b"a" * 100_000, b"b" * 100_000)
    assert os.listdir(tmp_path) == ["part"]


def store_often(folder: str, letter: str) -> None:
    for _ in range(20):
        output_folder(folder).write("part", letter.encode() * 100_000)
        output_folder(folder).tidy()


def test_tidying_removes_what_killed_processes_have_left(tmp_path):
    (tmp_path / ".part-000001.parquet.host-17.tmp").touch()
    (tmp_path / "part-000001.parquet").touch()
    output_folder(str(tmp_path)).tidy()
    assert os.listdir(tmp_path) == ["part-000001.parquet"]


def test_a_folder_that_cannot_be_written_is_an_error_with_its_name(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(BatchMistake, match=r"out is a file: name a folder"):
        output_folder(str(tmp_path / "out"))
    with pytest.raises(BatchError, match=r"out/below/part: "):
        output_folder(str(tmp_path / "out/below")).write("part", b"")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://127.0.0.1/out", "stored in a local folder, or in an object store"),
        ("nosuch://bucket/out", "nosuch://bucket/out cannot be opened: "),
    ],
)
def test_a_storage_that_cannot_be_used_is_a_mistake(url, message, ftp_is_not_asked):
    with pytest.raises(BatchMistake, match=message):
        output_folder(url)


@pytest.fixture
def ftp_is_not_asked() -> None:
    """A file system that connects only when it is used stands for FTP, which would connect at once."""
    fsspec.register_implementation("ftp", OnlyNamed, clobber=True)


class OnlyNamed(fsspec.AbstractFileSystem):
    protocol = "ftp"
