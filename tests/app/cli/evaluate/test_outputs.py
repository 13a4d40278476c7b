"""Thumbnails of files that may have gone."""

from io import BytesIO

from PIL import Image

from app.cli.evaluate.outputs import thumbnails
from app.evaluation.truth import LabelledImage
from app.settings import Settings
from tests.app.image_files import RED, encoded, plain_image


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
