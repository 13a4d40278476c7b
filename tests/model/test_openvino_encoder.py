"""The engine OpenVINO, beyond what test_encoder.py asks of every engine."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from model.encoder import Encoder, load_encoder
from model.openvino_encoder import OpenVINOEncoder
from model.self_test import SelfTestFailed
from model.siglip import SigLIP
from model.variants import load_model


def test_the_embedded_checkpoint_passes_its_self_test():
    encoder = load_encoder(device="cpu", engine="openvino", max_batch=4)
    encoder.warm_up()
    encoder.self_test()


def test_its_embeddings_are_tensorflow_s():
    exact, other = (load_encoder(device="cpu", engine=engine, max_batch=8) for engine in ("tensorflow", "openvino"))
    images = np.random.default_rng(0).integers(0, 256, (8, *exact.info.image_size, 3), dtype=np.uint8)
    texts = exact.prepare_text(["cat", "ein Hund", "the same, but longer than the others", ""])
    np.testing.assert_allclose(other.encode_images(images), exact.encode_images(images), atol=2e-6)
    np.testing.assert_allclose(other.encode_texts(texts), exact.encode_texts(texts), atol=2e-6)


def test_an_answer_is_not_written_over_by_the_next():
    encoder = load_encoder(device="cpu", engine="openvino", max_batch=1)
    images = np.random.default_rng(0).integers(0, 256, (2, *encoder.info.image_size, 3), dtype=np.uint8)
    first = encoder.encode_images(images[:1])
    kept = first.copy()
    encoder.encode_images(images[1:])
    np.testing.assert_array_equal(first, kept)


def test_a_tensor_that_is_not_finite_fails_the_self_test_though_the_model_is_given_up(checkpoint):
    loaded: Encoder = load_encoder(weights=str(checkpoint), device="cpu", max_batch=1)
    model = load_model(None, checkpoint)
    assert isinstance(model, SigLIP)
    model.vision.norm.gamma.assign(model.vision.norm.gamma * np.float32(np.nan))
    encoder = OpenVINOEncoder(model, loaded.processor, replace(loaded.info, engine="openvino"), max_batch=1)
    with pytest.raises(SelfTestFailed, match=r"post_layernorm\.weight"):
        encoder.self_test()


def test_its_maker_is_told_nothing(tmp_path):
    script = "from model.encoder import load_encoder; load_encoder(device='cpu', engine='openvino', max_batch=1)"
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | {"HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True, capture_output=True)
    assert [path.name for path in tmp_path.rglob("*") if "openvino" in path.name or "intel" in path.name.lower()] == []


def test_without_its_package_the_error_says_what_to_install():
    script = """if True:
        import sys
        sys.modules["openvino"] = None  # as if it were not installed
        from model.encoder import DeviceError, load_encoder
        try:
            load_encoder(engine="openvino")
        except DeviceError as error:
            print(error)
    """
    told = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert told == "the engine openvino is not installed: pip install -r requirements-openvino.txt\n"
