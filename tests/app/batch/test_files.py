import os
import re

import pytest

from app.batch.files import HEAD_BYTES, MAX_FILE_BYTES, ImageFile, NotScored, files_below, image_files
from tests.app.image_files import encoded, plain_image


def found(*paths) -> list[str]:
    return [file.path for file in image_files([str(path) for path in paths])]


def test_a_folder_gives_all_files_below_it_sorted_without_hidden_ones(tmp_path):
    for name in ("b/2.png", "b/10.png", "a.png", ".hidden.png", ".git/c.png", "c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    assert found(tmp_path) == [str(tmp_path / name) for name in ("a.png", "b/10.png", "b/2.png", "c")]


def test_named_files_come_in_the_order_given_even_if_hidden_or_repeated(tmp_path):
    for name in ("b.png", ".a.png"):
        (tmp_path / name).touch()
    paths = [tmp_path / "b.png", tmp_path / ".a.png", tmp_path / "b.png"]
    assert found(*paths) == [str(path) for path in paths]


def test_links_to_files_are_followed_and_everything_that_is_not_a_file_has_a_fault(tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "here/a.png").touch()
    (tmp_path / "link.png").symlink_to("here/a.png")
    (tmp_path / "here/loop").symlink_to("..")
    (tmp_path / "gone.png").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.png")
    assert {os.path.relpath(file.path, tmp_path): file.fault for file in image_files([str(tmp_path)])} == {
        "gone.png": "No such file or directory",
        "here/a.png": "",
        "here/loop": "This is a link to a folder, which is not followed.",
        "link.png": "",
        "pipe.png": "This is not a regular file.",
    }


def test_a_link_to_itself_is_a_file_with_a_fault_and_the_other_files_are_read(tmp_path):
    (tmp_path / "a").symlink_to("a")
    (tmp_path / "b.png").touch()
    assert list(files_below(str(tmp_path))) == [
        ImageFile(str(tmp_path / "a"), fault="Too many levels of symbolic links"),
        ImageFile(str(tmp_path / "b.png")),
    ]


def test_an_unreadable_folder_is_reported_with_the_systems_message(tmp_path):
    (folder,) = files_below(str(tmp_path / "gone"))
    with pytest.raises(NotScored, match=r"^No such file or directory$"):
        folder.read()


def test_an_image_is_recognised_by_its_content(tmp_path):
    content = encoded(plain_image(), "BMP") + bytes(HEAD_BYTES)
    (tmp_path / "notes.txt").write_bytes(content)
    assert ImageFile(str(tmp_path / "notes.txt")).read() == content


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"hello", "The file is not an image in an accepted format"),
        (b"", "The image is empty: it has 0 bytes."),
        (b"8BPS\0\1", "PSD"),
    ],
)
def test_a_file_that_is_not_an_image_is_reported_with_the_reason(tmp_path, content, reason):
    path = tmp_path / "cat.png"
    path.write_bytes(content)
    with pytest.raises(NotScored, match=re.escape(reason)):
        ImageFile(str(path)).read()


def test_a_missing_file_is_reported_with_the_systems_message(tmp_path):
    with pytest.raises(NotScored, match=r"^No such file or directory$"):
        ImageFile(str(tmp_path / "gone.png")).read()


def test_a_file_of_gigabytes_is_not_read(tmp_path):
    with (tmp_path / "huge.bmp").open("wb") as file:
        file.write(encoded(plain_image(), "BMP"))
        file.truncate(MAX_FILE_BYTES + 1)  # a sparse file, which uses no disk space
    with pytest.raises(NotScored, match=r"The file has 1,000,000,001 bytes; at most 1,000,000,000 are read\."):
        ImageFile(str(tmp_path / "huge.bmp")).read()
