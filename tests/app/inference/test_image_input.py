import base64
from contextlib import closing

import pytest

from app.errors import InvalidImage
from app.inference.image_input import decode_workers, file_bytes, make_workers
from app.settings import Settings
from model.engines.machine import available_cpus, memory_limit_bytes
from tests.app.image_files import GREEN, encoded, plain_image
from tests.fakes import Recorder


@pytest.mark.parametrize("data", [b"\0\xff", base64.b64encode(b"\0\xff").decode(), "AP\r\n8=\n"])
def test_a_file_is_given_as_bytes_or_base64(data):
    assert file_bytes(data) == b"\0\xff"


@pytest.mark.parametrize("text", ["https://example.org/cat.png", "data:image/png;base64,AAAA", "AAA", "A AAA", "é"])
def test_urls_and_other_text_that_is_not_base64_are_refused(text):
    with pytest.raises(InvalidImage, match="image is not base64"):
        file_bytes(text)


def test_reduce_jpegs_decodes_a_large_jpeg_smaller_and_reports_the_size_of_the_file(tmp_path):
    data, recorder = encoded(plain_image(GREEN, 400), "JPEG"), Recorder(tmp_path)
    for reduce_jpegs in (False, True):
        with closing(make_workers(recorder, Settings(reduce_jpegs=reduce_jpegs, decode_workers=1))) as workers:
            facts = workers.prepare(data).facts
        assert (facts.width, facts.height, facts.notes) == (400, 400, [])
    assert recorder.sizes() == ["400x400", "50x50"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"decode_workers": 7}, 7),
        ({"decode_memory_bytes": 50_000_000}, available_cpus()),
        ({"decode_memory_bytes": memory_limit_bytes()}, 1),
    ],
)
def test_there_is_a_worker_per_cpu_as_far_as_half_of_the_memory_allows(settings, expected):
    assert decode_workers(Settings(**settings)) == expected
