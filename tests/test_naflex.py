"""NaFlex from the front door: images of any shape, served by real processes, score as in the library."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest

from app.inference.identity import model_fingerprint
from app.settings import Settings
from model.checkpoint.variants import load_model
from model.engines.encoder import checkpoint_info
from model.processor import SigLIPProcessor
from model.text.tokenizer import SIGLIP_2
from tests.app.image_files import encoded
from tests.golden.cases import NAFLEX, pixels
from tests.model.conftest import write_checkpoint
from tests.test_start import served

pytestmark = pytest.mark.slow  # processes start

ROOT = Path(__file__).parent.parent
LABELS = ["cat", "red car", "tortoise"]
PROMPTS = [f"This is a photo of {label}." for label in LABELS]
SIZES = [(1, 1), (16, 400), (5000, 300), (96, 96), (480, 640), (640, 480), (33, 99)]  # height, width
IMAGES = [pixels(size, 1, seed)[0] for seed, size in enumerate(SIZES)]
FILES = [encoded(image) for image in IMAGES]
ATOL = 1e-3


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small NaFlex. Its images have at most 256 patches, as those of the published ones."""
    return write_checkpoint(tmp_path_factory.mktemp("naflex") / "tuned", NAFLEX, rules=SIGLIP_2)


def environment(**settings: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SIGLIP_")}
    return clean | {"SIGLIP_LOG_FORMAT": "text"} | {f"SIGLIP_{name}": value for name, value in settings.items()}


@contextmanager
def ready(log: Path, **settings: str) -> Iterator[httpx.Client]:
    """Runs the service, and yields a client when all of its processes are ready. It caches no image."""
    with served(log, environment(IMAGE_CACHE_BYTES="0", **settings)) as client:
        while log.read_text().count(" ready: ") < int(settings.get("PROCESSES", "1")):
            assert " ERROR " not in log.read_text()
            time.sleep(0.1)
        yield client


def command(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        cwd=ROOT,
        env=environment(**settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def library_logits(checkpoint: Path, max_num_patches: int | None = None) -> np.ndarray:
    """Returns the logits of IMAGES for LABELS, [B, K], with each image computed alone."""
    model = load_model(None, checkpoint)
    processor = SigLIPProcessor(weights=checkpoint, max_num_patches=max_num_patches)
    token_ids = processor(text=PROMPTS)["input_ids"]
    inputs = (processor(images=image)["images"] for image in IMAGES)
    return np.concatenate([model({"images": image, "token_ids": token_ids})["image_logits"] for image in inputs])


def logits(result: dict) -> list[float]:
    """Returns the logits of one image in a response, in the order of LABELS."""
    found = {score["label"]: score["logit"] for score in result["scores"]}
    return [found[label] for label in LABELS]


def classify(client: httpx.Client, file: bytes) -> list[float]:
    return logits(client.post("/classify", files={"image": file}, data={"labels": LABELS}).raise_for_status().json())


def classify_together(client: httpx.Client, files: list[bytes]) -> list[list[float]]:
    images = [("images", file) for file in files]
    response = client.post("/classify/batch", files=images, data={"labels": LABELS}).raise_for_status()
    return [logits(result) for result in response.json()["results"]]


def classify_concurrently(client: httpx.Client, files: list[bytes]) -> list[list[float]]:
    with ThreadPoolExecutor(len(files)) as pool:
        return list(pool.map(lambda file: classify(client, file), files))


def fingerprint(checkpoint: Path, max_num_patches: int | None = None) -> str:
    processor = SigLIPProcessor(weights=checkpoint, max_num_patches=max_num_patches)
    info = checkpoint_info(
        None, str(checkpoint), checkpoint, processor, dtype="float32", device="CPU", engine="tensorflow"
    )
    return model_fingerprint(info, Settings())


def test_images_of_any_shape_together_in_any_order_score_as_alone_in_the_library(checkpoint, tmp_path):
    expected = library_logits(checkpoint)
    assert np.ptp(expected, axis=0).min() > 100 * ATOL  # the images differ
    with ready(tmp_path / "log", WEIGHTS=str(checkpoint), ENGINE="tensorflow") as client:
        info = client.get("/info").json()
        alone = [classify(client, file) for file in FILES]
        together = classify_together(client, FILES)
        reordered = classify_together(client, FILES[::-1])[::-1]
        concurrent = classify_concurrently(client, FILES)
    for found in (alone, together, reordered, concurrent):
        np.testing.assert_allclose(found, expected, rtol=0, atol=ATOL)
    assert (info["image_size"], info["max_num_patches"], info["engine"]) == (None, 256, "tensorflow")
    assert info["preprocessing"].startswith("aspect ratio kept; resized to at most 256 patches of 16 x 16 by Pillow's ")
    assert info["model_fingerprint"] == fingerprint(checkpoint)


def test_another_number_of_patches_gives_other_scores_in_several_processes_and_on_the_command_line(
    checkpoint, tmp_path
):
    """The graphs of OpenVINO are made ahead."""
    cache, image = tmp_path / "engine", tmp_path / "image.png"
    image.write_bytes(FILES[4])
    settings = {"WEIGHTS": str(checkpoint), "ENGINE_CACHE": str(cache), "ENGINE": "openvino", "MAX_NUM_PATCHES": "64"}
    prepared = command("download", "--weights", str(checkpoint), "--prepare", **settings)
    assert prepared.returncode == 0, prepared.stderr
    assert prepared.stdout.splitlines()[-1] == f"engine            openvino, float32; its graphs are in {cache}"
    graphs = sorted(cache.iterdir())
    with ready(tmp_path / "log", PROCESSES="2", **settings) as client:
        info = client.get("/info").json()
        together = classify_together(client, FILES)
        concurrent = classify_concurrently(client, FILES)
    assert sorted(cache.iterdir()) == graphs  # no other ones were made
    expected = library_logits(checkpoint, 64)
    for found in (together, concurrent):
        np.testing.assert_allclose(found, expected, rtol=0, atol=ATOL)
    assert abs(expected[4] - library_logits(checkpoint)[4]).max() > 100 * ATOL
    assert (info["image_size"], info["max_num_patches"], info["engine"]) == (None, 64, "openvino")
    assert "at most 64 patches of 16 x 16" in info["preprocessing"]
    assert info["model_fingerprint"] == fingerprint(checkpoint, 64) != fingerprint(checkpoint)
    del settings["MAX_NUM_PATCHES"]
    labels = ["--labels", *LABELS, "--max-num-patches", "64", "--json"]
    local = command("classify", str(image), *labels, **settings)
    assert local.returncode == 0, local.stderr
    np.testing.assert_allclose(logits(json.loads(local.stdout)), expected[4], rtol=0, atol=ATOL)


def test_a_model_of_fixed_resolution_refuses_the_setting_in_one_line(tmp_path):
    settings = {"DATA_DIR": str(tmp_path), "PORT": "0", "ENGINE": "tensorflow"}
    done = command("serve", "--max-num-patches", "64", **settings)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if " ERROR " in line]
    assert "cannot start: this checkpoint has no max_num_patches, so leave it out. Images: whole image squashed" in line
    assert "Traceback" not in done.stderr
    done = command("classify", "samples/cat.png", "--labels", "cat", MAX_NUM_PATCHES="64", **settings)
    assert (done.returncode, done.stdout) == (1, "")
    assert "this checkpoint has no max_num_patches" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("value", ["0", "4097", "many"])
def test_a_wrong_number_of_patches_ends_the_start_in_one_line(value):
    done = command("serve", MAX_NUM_PATCHES=value)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "SIGLIP_MAX_NUM_PATCHES" in line
