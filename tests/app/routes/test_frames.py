"""The frame option of every API. Frames of one file are different images, also for the cache."""

import base64
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.app.image_files import BLUE, GREEN, RED, WHITE, encoded, plain_image
from tests.fakes import FakeEncoder

COLOURS = [RED, GREEN, BLUE]
FRAMES = [plain_image(colour) for colour in COLOURS]
for pixels in FRAMES:
    pixels[:4, :4] = WHITE  # so that no frame is blank
GIF = encoded(Image.fromarray(FRAMES[0]), "GIF", save_all=True, append_images=[Image.fromarray(f) for f in FRAMES[1:]])
BASE64 = base64.b64encode(GIF).decode()
LABELS = ["cat"]

Send = Callable[[httpx.Client, int], httpx.Response]


def infer(frame: int) -> dict[str, Any]:
    tensors = [("image", [BASE64]), ("labels", LABELS)]
    inputs = [{"name": name, "shape": [1], "datatype": "BYTES", "data": data} for name, data in tensors]
    return {"inputs": inputs, "parameters": {"frame": frame}}


SENDERS: dict[str, Send] = {
    "form": lambda c, f: c.post("/classify", files={"image": GIF}, data={"labels": LABELS, "frame": f}),
    "JSON": lambda c, f: c.post("/classify", json={"image": BASE64, "labels": LABELS, "frame": f}),
    "query": lambda c, f: c.post(
        "/classify", content=GIF, params={"labels": LABELS, "frame": f}, headers={"Content-Type": "image/gif"}
    ),
    "batch form": lambda c, f: c.post("/classify/batch", files=[("images", GIF)], data={"labels": LABELS, "frame": f}),
    "batch JSON": lambda c, f: c.post("/classify/batch", json={"images": [BASE64], "labels": LABELS, "frame": f}),
    "SageMaker": lambda c, f: c.post("/invocations", json={"image": BASE64, "labels": LABELS, "frame": f}),
    "Hugging Face": lambda c, f: c.post(
        "/hf", json={"inputs": BASE64, "parameters": {"candidate_labels": LABELS, "frame": f}}
    ),
    "Open Inference Protocol": lambda c, f: c.post("/v2/models/FakeSigLIP/infer", json=infer(f)),
    "Vertex": lambda c, f: c.post(
        "/predict", json={"instances": [{"image": BASE64}], "parameters": {"labels": LABELS, "frame": f}}
    ),
}


def logit(response: httpx.Response) -> float:
    """Returns the only logit in a response of any API."""
    assert response.status_code == 200, response.text
    return float(
        re.findall(r'"logit":(-?[\d.e-]+)|"logit",[^}]*"data":\[(-?[\d.e-]+)', response.text)[0][0]
        or re.findall(r'"logit",[^}]*"data":\[(-?[\d.e-]+)', response.text)[0]
    )


@pytest.fixture(scope="module")
def served(running) -> Any:
    encoder = FakeEncoder()
    with running(encoder, aip_predict_route="/predict") as client:
        yield client, [encoder.logit(pixels, "This is a photo of cat.") for pixels in FRAMES]


@pytest.mark.parametrize("api", SENDERS)
def test_every_api_takes_a_frame(served, api):
    client, expected = served
    found = [logit(SENDERS[api](client, frame)) for frame in (0, 2, 1)]
    assert found == pytest.approx([expected[0], expected[2], expected[1]], abs=1e-4)


@pytest.mark.parametrize("as_json", [True, False])
def test_an_image_is_embedded_by_its_frame(served, as_json):
    client, _ = served
    rows = []
    for frame in range(3):
        if as_json:
            response = client.post("/embed/image", json={"image": BASE64, "frame": frame})
        else:
            response = client.post("/embed/image", files={"image": GIF}, data={"frame": frame})
        rows.append(response.json()["embeddings"][0])
    assert len({tuple(row) for row in rows}) == 3


def test_frames_asked_in_turn_and_at_once_give_their_own_scores(running):
    encoder = FakeEncoder()
    expected = [encoder.logit(pixels, "This is a photo of cat.") for pixels in FRAMES]
    with running(encoder) as client, ThreadPoolExecutor(8) as clients:
        frames = [0, 1, 2] * 20
        at_once = clients.map(lambda frame: logit(SENDERS["JSON"](client, frame)), frames)
        assert list(at_once) == pytest.approx([expected[frame] for frame in frames], abs=1e-4)
        in_turn = [logit(SENDERS["form"](client, frame)) for frame in frames]
        assert in_turn == pytest.approx([expected[frame] for frame in frames], abs=1e-4)
    assert sum(encoder.image_batches) == 3  # each frame once


@pytest.mark.parametrize(("frame", "notes"), [(0, ["first_frame_of_3"]), (2, ["frame_2_of_3"])])
def test_the_notes_say_which_frame_was_used(served, frame, notes):
    client, _ = served
    assert SENDERS["JSON"](client, frame).json()["image"]["notes"] == notes


def test_a_blank_frame_is_noted(served):
    client, _ = served
    blank, other = Image.new("RGB", (24, 24), "white"), Image.fromarray(FRAMES[1])
    file = encoded(blank, "GIF", save_all=True, append_images=[other])
    notes = client.post("/classify", files={"image": file}, data={"labels": LABELS}).json()["image"]["notes"]
    assert notes == ["first_frame_of_2", "blank_frame"]


def test_a_frame_that_the_file_does_not_have_is_invalid(served):
    client, _ = served
    problem = SENDERS["JSON"](client, 3).json()
    assert (problem["status"], problem["error_type"]) == (422, "invalid_image")
    assert problem["detail"] == "The image has 3 frames or pages, so there is no frame 3. Frames are counted from 0."
    response = client.post("/classify", json={"image": BASE64, "labels": LABELS, "frame": -1})
    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (400, "/frame")
