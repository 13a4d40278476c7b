"""The cache of OpenVINO graphs: a child process makes them once, completely or not at all."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from model.checkpoint.safetensors_files import fingerprint
from model.config import CheckpointError
from model.engines.encoder import CheckpointFiles, GraphsUnavailable
from model.engines.openvino_cache import FACTS, GOLDEN, cache_key, openvino_graphs
from model.published import EMBEDDED_DIRECTORY

pytestmark = pytest.mark.slow  # compiles or converts a network

EMBEDDED = EMBEDDED_DIRECTORY / "pictograms_64"
ROOT = Path(__file__).parents[3]
FILES = sorted([FACTS, GOLDEN, "image.bin", "image.xml", "text.bin", "text.xml"])


def graphs(directory: Path, cache: Path | None, dtype: str = "float32", stages: list[str] | None = None):
    files = CheckpointFiles(directory, cache, [].append if stages is None else stages.append)
    return openvino_graphs(files, fingerprint(directory), dtype)


@contextmanager
def with_umask(umask: int) -> Iterator[None]:
    before = os.umask(umask)
    yield
    os.umask(before)


def test_cached_graphs_are_not_made_again(tmp_path):
    stages: list[str] = []
    with with_umask(0o022), graphs(EMBEDDED, tmp_path, stages=stages) as folder:
        modes = {path.stat().st_mode & 0o777 for path in folder.iterdir()}
        assert (folder.stat().st_mode & 0o777, modes) == (0o755, {0o644}), "other users can read them"
        made = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert stages == ["converting"]
    with graphs(EMBEDDED, tmp_path, stages=stages) as again:
        assert {path.name: path.stat().st_mtime_ns for path in again.iterdir()} == made
    assert stages == ["converting"]
    assert sorted(made) == FILES
    assert [path.name for path in tmp_path.iterdir()] == [folder.name], "no temporary files remain"


def test_int8_has_a_separate_folder_and_a_third_of_the_bytes(engine_cache):
    sizes = []
    for dtype in ("float32", "int8"):
        with graphs(EMBEDDED, engine_cache, dtype) as folder:
            assert folder.name.startswith(f"{dtype}-")
            sizes.append((folder / "image.bin").stat().st_size)
    assert sizes[1] < sizes[0] / 3


@pytest.mark.parametrize("name", ["config.json", "open_clip_config.json"])
def test_another_checkpoint_or_another_config_has_another_folder(name, tmp_path):
    shutil.copyfile(EMBEDDED / "config.json", tmp_path / name)
    before = cache_key(tmp_path, "a", "float32")
    assert cache_key(tmp_path, "b", "float32") != before
    (tmp_path / name).write_text("{}")
    assert cache_key(tmp_path, "a", "float32") != before


@pytest.mark.parametrize("package", ["openvino", "nncf", "tensorflow", "tensorflow-cpu", "keras"])
def test_another_version_of_a_converter_package_has_another_folder(package, tmp_path):
    code = "import sys; from pathlib import Path; from model.engines.openvino_cache import cache_key\n"
    code += "print(cache_key(Path(sys.argv[1]), 'a', 'int8'))"
    info = tmp_path / f"{package.replace('-', '_')}-99.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 99.0\n")

    def key_with(path: str) -> str:
        command = [sys.executable, "-c", code, str(EMBEDDED)]
        environment = os.environ | {"PYTHONPATH": path}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        return done.stdout

    assert key_with(str(tmp_path)) != key_with("")


def test_cached_graphs_are_used_without_a_temporary_folder(engine_cache, tmp_path):
    with graphs(EMBEDDED, engine_cache):
        pass
    code = f"""if True:
        from pathlib import Path
        from model.engines.encoder import CheckpointFiles
        from model.engines.openvino_cache import openvino_graphs
        from model.checkpoint.safetensors_files import fingerprint
        directory = Path({str(EMBEDDED)!r})
        files = CheckpointFiles(directory, Path({str(engine_cache)!r}), print)
        with openvino_graphs(files, fingerprint(directory), "float32") as folder:
            print(len(list(folder.iterdir())))
    """
    environment = os.environ | {"TMPDIR": str(tmp_path / "none")}
    # No temporary folder can be used: TMPDIR does not exist, and files may not be longer than 0 bytes.
    command = ["bash", "-c", 'ulimit -f 0; exec "$@"', "-", sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"{len(FILES)}\n"), done.stderr


@pytest.mark.slow
def test_new_graphs_replace_only_those_of_older_versions(tmp_path):
    name = cache_key(EMBEDDED, fingerprint(EMBEDDED), "float32")
    older = tmp_path / (name.rpartition("-")[0] + "-0123456789abcdef")
    others = [tmp_path / f"int8-{name.partition('-')[2]}", tmp_path / "float32-0123456789abcdef-0123456789abcdef"]
    for folder in (older, *others):
        folder.mkdir()
    with graphs(EMBEDDED, tmp_path):
        assert sorted(tmp_path.iterdir()) == sorted([tmp_path / name, *others])


@pytest.mark.slow
def test_without_a_cache_the_graphs_are_in_a_temporary_folder():
    with graphs(EMBEDDED, None) as folder:
        assert sorted(path.name for path in folder.iterdir()) == FILES
        assert Path(tempfile.gettempdir()) in folder.parents
    assert not folder.exists()


@pytest.mark.slow
def test_the_error_for_an_incomplete_checkpoint_lists_all_faults_and_leaves_no_files(tmp_path):
    broken = shutil.copytree(EMBEDDED, tmp_path / "broken")
    tensors = load_file(broken / "model.safetensors")
    del tensors["logit_scale"], tensors["logit_bias"]
    save_file(tensors, broken / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"does not fit the model: .*\n  missing: .*\n  missing: "):  # noqa: SIM117 (only the inner block may raise)
        with graphs(broken, tmp_path / "cache"):
            pass
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_error_names_a_cache_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(GraphsUnavailable, match=r"graphs of the checkpoint cannot be stored: .*file"):  # noqa: SIM117 (only the inner block may raise)
        with graphs(EMBEDDED, tmp_path / "file"):
            pass
