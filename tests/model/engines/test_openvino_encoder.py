"""The engine OpenVINO. test_encoder.py tests what all engines have in common."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from model.checkpoint.safetensors_files import fingerprint
from model.checkpoint.variants import load_model
from model.checkpoint.weights import save_checkpoint
from model.engines.encoder import DeviceError, Encoder, GraphsUnavailable
from model.engines.load import load_encoder
from model.engines.openvino_cache import FACTS, GOLDEN, TOWERS, cache_key
from model.engines.openvino_encoder import SETTINGS, unfuse_gelu
from model.engines.self_test import SelfTestFailed
from model.published import EMBEDDED, EMBEDDED_DIRECTORY

import openvino  # isort: skip  # after model.engines.openvino_cache, which disables its telemetry

pytestmark = pytest.mark.slow  # compiles or converts a network


def openvino_encoder(engine_cache, **given) -> Encoder:
    return load_encoder(engine="openvino", engine_cache=engine_cache, **given)


@pytest.fixture(scope="module")
def exact() -> Encoder:
    return load_encoder(device="cpu", max_batch=8)


@pytest.fixture
def cache_copy(engine_cache, tmp_path) -> Callable[[str], Path]:
    """Returns a function that copies the embedded checkpoint's graphs of a dtype to a folder that a test may change."""

    def copy(dtype: str) -> Path:
        openvino_encoder(engine_cache, dtype=dtype)
        (graphs,) = engine_cache.glob(f"{dtype}-{embedded_key()}-*")
        shutil.copytree(graphs, tmp_path / graphs.name)
        return tmp_path

    return copy


def embedded_key() -> str:
    directory = EMBEDDED_DIRECTORY / EMBEDDED[1]
    return cache_key(directory, fingerprint(directory), "int8").split("-")[1]


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_the_embedded_checkpoint_passes_its_self_test(dtype, engine_cache):
    encoder = openvino_encoder(engine_cache, dtype=dtype, max_batch=4)
    encoder.warm_up()
    encoder.self_test()
    assert (encoder.info.engine, encoder.info.device, encoder.info.dtype) == ("openvino", "CPU", dtype)


def test_float32_embeddings_equal_those_of_tensorflow(exact, engine_cache):
    other = openvino_encoder(engine_cache, max_batch=8)
    images = np.random.default_rng(0).integers(0, 256, (8, *exact.info.image_size, 3), dtype=np.uint8)
    texts = exact.prepare_text(["cat", "ein Hund", "the same, but longer than the others", ""])
    np.testing.assert_allclose(other.encode_images(images), exact.encode_images(images), atol=2e-6)
    np.testing.assert_allclose(other.encode_texts(texts), exact.encode_texts(texts), atol=2e-6)
    assert (other.scale, other.bias) == (exact.scale, exact.bias)


@pytest.mark.parametrize("tower", ["image", "text"])
def test_an_unfused_gelu_gives_the_same_embeddings(tower, exact, cache_copy):
    (path,) = cache_copy("float32").glob(f"float32-*/{TOWERS[tower]}")
    rows = np.random.default_rng(0).integers(0, 256, (3, *exact.info.image_size, 3), np.uint8)
    if tower == "text":
        rows = exact.prepare_text(["cat", "ein Hund", ""])
    embeddings = []
    for unfused in (False, True):
        graph = openvino.Core().read_model(path)
        assert any(node.get_type_name() == "Gelu" for node in graph.get_ops())
        if unfused:
            unfuse_gelu(graph)
            assert not any(node.get_type_name() == "Gelu" for node in graph.get_ops())
        embeddings.append(openvino.compile_model(graph, "CPU", SETTINGS)(rows)[0])
    np.testing.assert_allclose(*embeddings, atol=1e-6)


def test_int8_embeddings_are_close_to_float32_but_different(exact, engine_cache):
    other = openvino_encoder(engine_cache, dtype="int8", max_batch=8)
    images = np.random.default_rng(0).integers(0, 256, (8, *exact.info.image_size, 3), dtype=np.uint8)
    texts = exact.prepare_text(["cat", "ein Hund", "the same, but longer than the others", ""])
    for ours, theirs in (
        (other.encode_images(images), exact.encode_images(images)),
        (other.encode_texts(texts), exact.encode_texts(texts)),
    ):
        assert (ours * theirs).sum(axis=-1).min() > 0.999
        assert np.abs(ours - theirs).max() > 1e-5, "the graphs must not be float32"
        np.testing.assert_allclose(np.linalg.norm(ours, axis=-1), 1, atol=1e-6)


@pytest.mark.parametrize(("tower", "name"), [("image", "an image"), ("text", "a text")])
def test_int8_embeddings_too_far_from_float32_fail_the_self_test(tower, name, cache_copy):
    cache = cache_copy("int8")
    (golden,) = cache.glob(f"int8-*/{GOLDEN}")
    with np.load(golden) as file:
        arrays = dict(file)
    arrays[f"{tower}_embeddings"] += 0.2 * np.random.default_rng(0).standard_normal(arrays[f"{tower}_embeddings"].shape)
    np.savez(golden, **arrays)
    with pytest.raises(SelfTestFailed, match=f"the embeddings of {name} in int8 and in the float32 reference differ"):
        openvino_encoder(cache, dtype="int8", max_batch=1).self_test()


@pytest.mark.parametrize("name", ["image.xml", "image.bin", "text.xml", "text.bin", FACTS, GOLDEN])
@pytest.mark.parametrize(
    "damage", [Path.unlink, lambda path: os.truncate(path, path.stat().st_size // 2), lambda path: os.truncate(path, 0)]
)
def test_the_error_names_a_damaged_cache_folder(name, damage, cache_copy):
    cache = cache_copy("float32")
    for path in cache.glob(f"float32-*/{name}"):
        damage(path)
    with pytest.raises(GraphsUnavailable, match=r"float32-[\w-]+ is damaged; delete it, so that it is made again: ."):
        openvino_encoder(cache)


def test_a_later_call_does_not_overwrite_earlier_embeddings(engine_cache):
    encoder = openvino_encoder(engine_cache, max_batch=1)
    images = np.random.default_rng(0).integers(0, 256, (2, *encoder.info.image_size, 3), dtype=np.uint8)
    first = encoder.encode_images(images[:1])
    kept = first.copy()
    encoder.encode_images(images[1:])
    np.testing.assert_array_equal(first, kept)


def resident_bytes(folder: Path) -> int:
    """Returns how many bytes of a folder's files are in this process's memory."""
    mappings = re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text())
    ours = "".join(mapping for mapping in mappings if str(folder) in mapping)
    return sum(int(kilobytes) * 1024 for kilobytes in re.findall(r"^Rss: +(\d+)", ours, re.MULTILINE))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_the_self_test_releases_the_memory_of_the_weights_file(dtype, cache_copy):
    cache = cache_copy(dtype)
    encoder = openvino_encoder(cache, dtype=dtype)
    texts = encoder.prepare_text(["cat", "dog"])
    before = encoder.encode_texts(texts)
    assert resident_bytes(cache) > 1_000_000
    encoder.self_test()
    assert resident_bytes(cache) == 0
    np.testing.assert_array_equal(encoder.encode_texts(texts), before)


@pytest.mark.slow
def test_a_tensor_that_is_not_finite_fails_the_self_test(checkpoint, tmp_path):
    loaded = load_encoder(weights=str(checkpoint), device="cpu", max_batch=1)
    model = load_model(None, checkpoint)
    model.vision.norm.gamma.assign(model.vision.norm.gamma * np.float32(np.nan))
    save_checkpoint(model, tmp_path / "broken", tokenizer=loaded.processor.tokenizer)
    encoder = openvino_encoder(tmp_path, weights=str(tmp_path / "broken"), max_batch=1)
    with pytest.raises(SelfTestFailed, match=r"post_layernorm\.weight"):
        encoder.self_test()


@pytest.mark.parametrize("given", [{"device": "gpu"}, {"dtype": "bfloat16"}, {"dtype": "float16"}])
def test_unsupported_devices_and_dtypes_are_refused(checkpoint, given):
    with pytest.raises(DeviceError, match="the engine openvino runs on the CPU only"):
        openvino_encoder(None, weights=str(checkpoint), **given)


def test_a_start_from_the_cache_imports_neither_keras_nor_tensorflow(engine_cache):
    openvino_encoder(engine_cache)
    script = f"""if True:
        import sys
        from pathlib import Path
        from model.engines.load import load_encoder
        encoder = load_encoder(engine="openvino", engine_cache=Path({str(engine_cache)!r}))
        encoder.warm_up()
        encoder.self_test()
        print(sorted({{"keras", "tensorflow", "nncf", "torch"}} & set(sys.modules)))
    """
    stdout = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert stdout == "[]\n"


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_openvino_telemetry_is_off(dtype, tmp_path):
    script = "from model.engines.load import load_encoder\n"
    script += f"load_encoder(engine='openvino', dtype='{dtype}', max_batch=1)"
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | {"HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True, capture_output=True)
    assert [path.name for path in tmp_path.rglob("*") if "openvino" in path.name or "intel" in path.name.lower()] == []


@pytest.mark.parametrize(
    ("package", "dtype", "problem"),
    [
        ("openvino", "float32", "the engine openvino is not installed"),
        ("nncf", "int8", "for dtype int8, NNCF is not installed"),
    ],
)
def test_the_error_for_a_missing_package_says_how_to_install_it(package, dtype, problem):
    script = f"""if True:
        import sys
        sys.modules[{package!r}] = None  # as if it were not installed
        from model.engines.encoder import DeviceError
        from model.engines.load import load_encoder
        try:
            load_encoder(engine="openvino", dtype={dtype!r})
        except DeviceError as error:
            print(error)
    """
    stdout = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert stdout == f"{problem}: pip install -r requirements-openvino.txt\n"
