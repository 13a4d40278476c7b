"""Which engine is used, and what happens if it cannot be."""

import logging
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from model.checkpoint.safetensors_files import fingerprint
from model.config import CheckpointError
from model.engines.encoder import CheckpointFiles, DeviceError, GraphsUnavailable
from model.engines.load import engines_to_try, load_encoder
from model.engines.openvino_cache import check_memory, openvino_graphs
from model.published import EMBEDDED, EMBEDDED_DIRECTORY

EMBEDDED_CHECKPOINT = EMBEDDED_DIRECTORY / EMBEDDED[1]
OPENVINO, TENSORFLOW = ["openvino", "tensorflow"], ["tensorflow"]


def test_unknown_weights_are_refused():
    with pytest.raises(CheckpointError, match="unknown weights 'google_1024'"):
        load_encoder(weights="google_1024")


def test_an_unknown_engine_is_refused(checkpoint):
    with pytest.raises(ValueError, match="engine must be auto, tensorflow or openvino"):
        load_encoder(weights=str(checkpoint), engine="onnx")


@pytest.mark.parametrize(
    ("engine", "device", "dtype", "gpu", "expected"),
    [
        ("auto", "auto", "auto", False, OPENVINO),
        ("auto", "auto", "float32", False, OPENVINO),
        ("auto", "auto", "auto", True, TENSORFLOW),
        ("auto", "cpu", "auto", True, OPENVINO),
        ("auto", "gpu", "auto", True, TENSORFLOW),
        ("auto", "cpu", "bfloat16", False, TENSORFLOW),
        ("auto", "auto", "tf32", False, TENSORFLOW),
        ("auto", "auto", "int8", True, ["openvino"]),
        ("tensorflow", "auto", "auto", False, TENSORFLOW),
        ("openvino", "auto", "auto", True, ["openvino"]),
    ],
)
def test_auto_is_openvino_on_a_cpu_and_tensorflow_on_a_gpu(engine, device, dtype, gpu, expected):
    assert engines_to_try(engine, device, dtype, lambda: gpu) == expected


def test_auto_is_tensorflow_if_openvino_is_not_installed(monkeypatch):
    assert find_spec("openvino")
    monkeypatch.setitem(sys.modules, "openvino", None)  # as if it were not installed
    assert engines_to_try("auto", "cpu", "auto") == TENSORFLOW


def test_auto_loads_openvino_and_info_names_it(engine_cache, caplog):
    encoder = load_encoder(device="cpu", engine="auto", engine_cache=engine_cache, max_batch=4)
    encoder.self_test()
    assert (encoder.info.engine, encoder.info.dtype, caplog.records) == ("openvino", "float32", [])


def unwritable(folder: Path) -> Path:
    (folder / "file").touch()
    return folder / "file"


def test_auto_uses_tensorflow_with_one_warning_if_the_graphs_cannot_be_stored(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "model"):
        encoder = load_encoder(device="cpu", engine="auto", engine_cache=unwritable(tmp_path), max_batch=4)
    encoder.self_test()
    assert (encoder.info.engine, encoder.info.dtype) == ("tensorflow", "float32")
    (record,) = caplog.records
    assert record.getMessage().startswith(
        "TensorFlow is used instead of OpenVINO, which is usually faster: OpenVINO's "
    )
    assert "cannot be stored" in record.getMessage()


@pytest.mark.parametrize("given", [{"engine": "openvino"}, {"engine": "auto", "dtype": "int8"}])
def test_what_only_openvino_can_do_fails_if_the_graphs_cannot_be_stored(given, tmp_path):
    with pytest.raises(GraphsUnavailable, match="cannot be stored"):
        load_encoder(device="cpu", engine_cache=unwritable(tmp_path), **given)


def test_the_error_of_a_dtype_that_openvino_does_not_have_names_it(checkpoint):
    with pytest.raises(DeviceError, match=r"in float32 or int8\. Received: cpu, tf32"):
        load_encoder(weights=str(checkpoint), engine="openvino", device="cpu", dtype="tf32")


def test_graphs_are_not_made_with_too_little_memory_but_used_if_they_are_there(engine_cache, tmp_path):
    sha256 = fingerprint(EMBEDDED_CHECKPOINT)
    empty = CheckpointFiles(EMBEDDED_CHECKPOINT, tmp_path, lambda stage: None)
    with pytest.raises(GraphsUnavailable, match=r"needs about 0\.9 GB of memory, and only 0\.8 GB may be used"):
        check_memory(empty, sha256, "float32", 800_000_000)
    check_memory(empty, sha256, "float32", 2_000_000_000)
    check_memory(empty, sha256, "float32", None)
    with openvino_graphs(empty._replace(cache=engine_cache), sha256, "float32"):
        check_memory(empty._replace(cache=engine_cache), sha256, "float32", 800_000_000)
