"""The complete start, as a process: download from a hub, self-test and a response, or an error with a reason."""

import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import ml_dtypes
import numpy as np
import pytest
import sentencepiece
from PIL import Image
from safetensors.numpy import load_file, save_file

from model.checkpoint.variants import load_model
from model.config import SigLIPConfig, TextConfig, VisionConfig
from model.engines.machine import has_int8_dot_product
from model.published import EMBEDDED, EMBEDDED_DIRECTORY
from model.text.tokenizer import SIGLIP_2
from tests.golden.cases import HERE, photos
from tests.golden.vocabulary import train_vocabulary
from tests.hub import HUB_ID, Hub
from tests.model.conftest import split_into_shards, write_checkpoint

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
EMBEDDED_CHECKPOINT = EMBEDDED_DIRECTORY / EMBEDDED[1]


@contextmanager
def served(log: Path, environment: Mapping[str, str]) -> Iterator[httpx.Client]:
    """Runs `python -m app serve` with stderr in the file `log`, and yields a client when the port is open."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    settings = {"SIGLIP_PORT": port, "SIGLIP_MAX_BATCH": "3", "SIGLIP_DRAIN_S": "0"}
    settings["SIGLIP_DATA_DIR"] = str(log.parent / "data")
    environment = {"SIGLIP_ENGINE": "tensorflow"} | dict(environment)  # OpenVINO would convert the checkpoint first
    with log.open("w") as stderr:
        server = subprocess.Popen(
            [sys.executable, "-m", "app", "serve"], cwd=ROOT, env=environment | settings, stderr=stderr
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            while server.poll() is None and not listens(int(port)):
                time.sleep(0.1)
            yield client
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=60)


def listens(port: int) -> bool:
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0


def becomes_true(condition: Callable[[], object]) -> bool:
    """Returns whether a condition is true now or becomes true within a minute."""
    return any(condition() or time.sleep(0.05) for _ in range(1200))


def startup(client: httpx.Client) -> tuple[int, str]:
    """Returns status and detail of the startup probe, after a pause that leaves the CPU to the server."""
    time.sleep(0.1)
    response = client.get("/health/startup")
    return response.status_code, response.json().get("detail", "")


def test_a_checkpoint_from_the_hub_is_downloaded_tested_and_served(tmp_path):
    arrived = threading.Event()
    with Hub(EMBEDDED_CHECKPOINT, hold=arrived) as hub:
        environment = hub.environment(tmp_path, SIGLIP_WEIGHTS=HUB_ID, SIGLIP_LOG_FORMAT="json")
        with served(tmp_path / "log", environment) as client:
            while (probe := startup(client)) != (503, "The model is not ready: downloading 84 %."):
                assert probe[0] == 503
            assert client.get("/health/live").status_code == 200
            arrived.set()
            while (probe := startup(client))[0] == 503:
                pass
            assert probe == (200, "")
            image = (ROOT / "samples/cat.png").read_bytes()
            result = client.post("/classify", files={"image": image}, data={"labels": ["dog", "cat", "car"]}).json()
    assert result["model"]["weights"] == HUB_ID
    assert [score["label"] for score in result["scores"]] == ["cat", "dog", "car"]
    lines = (tmp_path / "log").read_text().splitlines()
    # TensorFlow's first messages are not JSON. All other lines must be JSON, so a progress bar would fail.
    messages = [json.loads(line)["message"] for line in lines if not re.match("WARNING: All log|[IW]0000 ", line)]
    assert [message for message in messages if hub.url in message or hub.cdn_url in message] == []
    ready = f"ready: SigLIPTinyP16 {HUB_ID} on CPU, tensorflow, float32"
    progress = [
        message for message in messages if message in ("downloading 0 %", "downloading 100 %", "loading", ready)
    ]
    assert progress == ["downloading 0 %", "downloading 100 %", "loading", ready]


def test_a_checkpoint_that_fails_the_self_test_ends_the_process_with_one_line(tmp_path):
    directory = shutil.copytree(EMBEDDED_CHECKPOINT, tmp_path / "broken")
    tensors = load_file(directory / "model.safetensors")
    tensors["text_model.head.weight"][1, 2] = float("nan")
    save_file(tensors, directory / "model.safetensors", {"format": "pt"})
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SIGLIP_")}
    settings = {
        "SIGLIP_WEIGHTS": str(directory),
        "SIGLIP_ENGINE": "tensorflow",
        "SIGLIP_DATA_DIR": str(tmp_path / "data"),
        "SIGLIP_PORT": "0",
        "SIGLIP_MAX_BATCH": "1",
        "SIGLIP_LOG_FORMAT": "text",
    }
    done = subprocess.run(
        [sys.executable, "-m", "app", "serve"],
        cwd=ROOT,
        env={**environment, **settings},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if " ERROR " in line]
    assert line.endswith("cannot start: self-test: NaN or infinity in text_model.head.weight")
    assert "Traceback" not in done.stderr


def test_settings_of_keras_uvicorn_and_prometheus_for_other_programs_have_no_effect(tmp_path):
    keras_home = tmp_path / "keras"
    keras_home.mkdir()
    keras_config = {"backend": "jax", "floatx": "float16", "image_data_format": "channels_first", "epsilon": 0.1}
    (keras_home / "keras.json").write_text(json.dumps(keras_config))
    hostile = {
        "KERAS_HOME": str(keras_home),
        "KERAS_BACKEND": "jax",
        "WEB_CONCURRENCY": "many",
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "nowhere"),
        "SIGLIP_WEIGHTS": "~/mine",
        "HOME": str(tmp_path),
    }
    (tmp_path / "mine").symlink_to(EMBEDDED_CHECKPOINT)
    results = []
    for name, variables in (("plain", {}), ("hostile", hostile)):
        clean = {key: value for key, value in os.environ.items() if not key.startswith("SIGLIP_")}
        with served(tmp_path / name, clean | variables) as client:
            while startup(client)[0] == 503:
                pass
            image = (ROOT / "samples/cat.png").read_bytes()
            results.append(client.post("/classify", files={"image": image}, data={"labels": ["cat", "dog"]}).json())
            assert "siglip_ready 1.0" in client.get("/metrics").text
            info = client.get("/info").json()
    assert results[0]["scores"] == results[1]["scores"]
    assert (info["weights"], info["dtype"]) == ("mine", "float32")


TOWER = {"width": 32, "depth": 2, "num_heads": 4, "mlp_dim": 64}
PATCH_14 = SigLIPConfig(
    vision=VisionConfig(image_size=(448, 448), patch_size=14, **TOWER),
    text=TextConfig(vocab_size=777, context_length=24, **TOWER),
    embed_dim=32,
)


def test_openvino_in_int8_converts_once_and_the_second_start_uses_the_cache(tmp_path):
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "SIGLIP_ENGINE": "openvino",
        "SIGLIP_DTYPE": "int8",
        "SIGLIP_ENGINE_CACHE": "~/engine",
        "SIGLIP_LOG_FORMAT": "text",
    }
    caches = []
    for start in ("first", "second"):
        with served(tmp_path / start, environment) as client:
            while startup(client)[0] != 200:
                pass
            info = client.get("/info").json()
            assert (info["engine"], info["dtype"], info["device"]) == ("openvino", "int8", "CPU")
            with (ROOT / "samples" / "cat.png").open("rb") as photo:
                response = client.post("/classify", files={"image": photo}, data={"labels": ["cat", "dog", "car"]})
            assert response.json()["scores"][0]["label"] == "cat"
        caches.append([(path, path.stat().st_mtime_ns) for path in sorted((tmp_path / "engine").rglob("*"))])
        assert " on CPU, openvino, int8" in (tmp_path / start).read_text()
        assert ("int8 is slower than float32" in (tmp_path / start).read_text()) is not has_int8_dot_product()
    assert caches[0] == caches[1]
    assert len([path for path, _ in caches[0] if path.is_dir()]) == 1


def test_auto_uses_openvino_and_falls_back_to_tensorflow_with_one_warning(tmp_path):
    (tmp_path / "file").touch()
    environment = {"PATH": os.environ["PATH"], "SIGLIP_LOG_FORMAT": "text", "SIGLIP_ENGINE": "auto"}
    for cache, engine in (("engine", "openvino"), ("file", "tensorflow")):
        log = tmp_path / f"{engine}.log"
        with served(log, environment | {"SIGLIP_ENGINE_CACHE": str(tmp_path / cache)}) as client:
            while startup(client)[0] == 503:
                pass
            info = client.get("/info").json()
        assert (info["engine"], info["dtype"]) == (engine, "float32")
        lines = log.read_text().splitlines()
        assert f" on CPU, {engine}, float32" in "\n".join(lines)
        warnings = [line for line in lines if " WARNING " in line and "OpenVINO" in line]
        assert len(warnings) == (1 if engine == "tensorflow" else 0)


def test_a_start_that_is_ended_during_conversion_leaves_no_partial_files(tmp_path):
    environment = {
        "PATH": os.environ["PATH"],
        "SIGLIP_ENGINE": "openvino",
        "SIGLIP_ENGINE_CACHE": str(tmp_path / "engine"),
        "SIGLIP_LOG_FORMAT": "text",
    }
    cache = tmp_path / "engine"
    with served(tmp_path / "log", environment):
        assert becomes_true(lambda: list(cache.glob("partial-*")))
    assert becomes_true(lambda: not list(cache.iterdir())), (
        "the child process must delete its files when its parent has ended"
    )


def first_generation(directory: Path) -> Path:
    """Writes a fine-tune as transformers 4 saves it: another vocabulary, and patches that do not fill the image."""
    config = replace(PATCH_14, vision=replace(PATCH_14.vision, image_size=(100, 100)))
    write_checkpoint(directory, config)
    train_vocabulary(directory / "spiece.model", vocab_size=310)
    return directory


def second_generation(directory: Path) -> Path:
    """Writes a SigLIP 2 as transformers 5 saves it: bfloat16 shards, no SentencePiece file, nested image processor."""
    write_checkpoint(directory, PATCH_14, rules=SIGLIP_2)
    split_into_shards(directory, ml_dtypes.bfloat16)
    (directory / "tokenizer.model").unlink()
    shutil.copyfile(HERE / "tokenizer.json", directory / "tokenizer.json")
    nested = {"image_processor": json.loads((directory / "preprocessor_config.json").read_text())}
    (directory / "processor_config.json").write_text(json.dumps(nested))
    (directory / "preprocessor_config.json").unlink()
    return directory


def expected_logits(directory: Path, photo: Image.Image, prompts: list[str]) -> np.ndarray:
    """Returns the logits by the simple rules of a generation. Pixels and token ids are computed here."""
    model = load_model(None, directory)
    side, length = model.config.vision.image_size[0], model.config.text.context_length
    if (directory / "spiece.model").exists():
        resample, pad, vocabulary = Image.Resampling.BICUBIC, 1, directory / "spiece.model"
        texts = [re.sub(r"[^a-z ]", "", prompt.lower()) for prompt in prompts]
    else:
        resample, pad, vocabulary = Image.Resampling.BILINEAR, 0, HERE / "tokenizer.model"
        texts = [prompt.lower() for prompt in prompts]
    rows = sentencepiece.SentencePieceProcessor(model_file=str(vocabulary)).encode(texts)
    ids = np.array([([*row[: length - 1], 1] + length * [pad])[:length] for row in rows], np.int32)
    images = np.asarray(photo.resize((side, side), resample))[None]
    return np.asarray(model({"images": images, "token_ids": ids})["image_logits"])[0]


@pytest.mark.parametrize(
    ("write", "side", "rules"),
    [
        (first_generation, 100, ("bicubic", "pieces of spiece.model; ends with </s>; padded with </s>")),
        (
            second_generation,
            448,
            ("bilinear", "lower case; pieces of tokenizer.json; ends with <eos>; padded with <pad>"),
        ),
    ],
)
def test_a_fine_tune_is_served_from_its_directory(write, side, rules, tmp_path):
    directory = write(tmp_path / "tuned")
    photo, labels = Image.fromarray(photos()["noise 480 x 640"]), ["Cat", "red Car", "tortoise"]
    file = io.BytesIO()
    photo.save(file, "PNG")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SIGLIP_")}
    with served(tmp_path / "log", environment | {"SIGLIP_WEIGHTS": str(directory)}) as client:
        while startup(client)[0] == 503:
            pass
        result = client.post("/classify", files={"image": file.getvalue()}, data={"labels": labels}).json()
        info = client.get("/info").json()
    found = {score["label"]: score["logit"] for score in result["scores"]}
    expected = expected_logits(directory, photo, [f"This is a photo of {label}." for label in labels])
    np.testing.assert_allclose([found[label] for label in labels], expected, rtol=0, atol=1e-3)
    assert result["model"] == {"variant": "custom", "weights": "tuned"}
    assert f"squashed to {side} x {side} by Pillow's antialiased {rules[0]} " in info["preprocessing"]
    assert info["canonicalisation"].endswith(rules[1])
    assert info["context_length"] == 24
