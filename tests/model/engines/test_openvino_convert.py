import subprocess
import sys

from model.published import EMBEDDED, EMBEDDED_DIRECTORY

DIRECTORY = EMBEDDED_DIRECTORY / EMBEDDED[1]


def test_the_conversion_stops_when_its_parent_process_ends(tmp_path):
    folder = tmp_path / "partial"
    folder.mkdir()
    command = [sys.executable, "-m", "model.engines.openvino_convert", str(DIRECTORY), str(folder), "float32"]
    # /dev/null: stdin is at its end at once, as if the parent process had ended.
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert done.returncode == 1
    assert not folder.exists()
