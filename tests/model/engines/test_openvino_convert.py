import subprocess
import sys

from model.published import EMBEDDED, EMBEDDED_DIRECTORY

DIRECTORY = EMBEDDED_DIRECTORY / EMBEDDED[1]


def test_it_does_not_outlive_the_process_that_wanted_it(tmp_path):
    folder = tmp_path / "partial"
    folder.mkdir()
    command = [sys.executable, "-m", "model.engines.openvino_convert", str(DIRECTORY), str(folder), "float32"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)  # at its end at once
    assert done.returncode == 1
    assert not folder.exists()
