"""Which reader takes which path, and thumbnails of files that may have gone."""

from io import BytesIO

import pytest
from PIL import Image

from app.cli.evaluation_files import read_data, thumbnails
from app.evaluation.names import DataError
from app.evaluation.truth import LabelledImage
from app.settings import Settings
from tests.app.image_files import RED, encoded, plain_image


def test_a_folder_is_labels_unless_it_has_tar_files(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat/1.png").write_bytes(b"")
    (tmp_path / "truth.csv").write_text("path,label\ncat/1.png,dog\n")
    assert read_data(tmp_path, []).keys == ["cat"]
    assert read_data(tmp_path / "truth.csv", []).keys == ["dog"]
    (tmp_path / "0.tar").write_bytes(b"x" * 1024)
    with pytest.raises(DataError, match=r"0\.tar cannot be read as a tar file"):
        read_data(tmp_path, [])


def test_thumbnails_are_small_jpegs_and_files_that_have_gone_have_none(tmp_path):
    (tmp_path / "red.png").write_bytes(encoded(plain_image(RED, 300)))
    (tmp_path / "bad.png").write_bytes(encoded(plain_image(RED))[:60])
    images = {
        number: LabelledImage(name, tmp_path / name)._replace(name=str(tmp_path / name))
        for number, name in enumerate(("red.png", "bad.png", "gone.png"), start=5)
    }
    found = thumbnails(images, Settings(decode_workers=1))
    assert list(found) == [5]
    small = Image.open(BytesIO(found[5]))
    assert (small.format, small.size) == ("JPEG", (160, 160))
