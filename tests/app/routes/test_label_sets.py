import base64
import itertools
import random
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx
import numpy as np
import pytest

from app.label_sets.definition import LabelSetDefinition
from tests.app.image_files import RED, encoded, plain_image
from tests.app.label_sets.killed import ANIMALS, PLANTS, PROCESSES, serve
from tests.fakes import FakeEncoder, embed

RED_PNG = encoded(plain_image(RED))
PETS = {"labels": ["cat", {"label": "dog", "prompts": ["a dog", "ein Hund", "un chien"]}, "cat"], "templates": ["a {}"]}
ALIKE = {
    "code": "labels_alike",
    "message": 'The model reads the same tokens for "cat" and "cat", '
    "so they have the same scores and share the softmax.",
    "labels": [0, 2],
}


def ask(client: httpx.Client, image: bytes = RED_PNG, **options) -> httpx.Response:
    return client.post("/classify", json={"image": base64.b64encode(image).decode(), **options})


@dataclass
class CountingEncoder(FakeEncoder):
    """Records also the number of texts of each call of the tokenizer."""

    texts: list[int] = field(default_factory=list)

    def prepare_text(self, texts: Sequence[str]) -> np.ndarray:
        self.texts.append(len(texts))
        return super().prepare_text(texts)


@pytest.fixture
def encoder() -> CountingEncoder:
    return CountingEncoder()


@pytest.fixture
def client(running, encoder) -> Iterator[httpx.Client]:
    """A client of a service that is started for each test, because label sets stay until they are deleted."""
    with running(encoder) as client:
        yield client


def test_a_set_is_stored_listed_read_replaced_and_deleted(client):
    created = client.put("/label-sets/pets", json=PETS)
    summary = {"name": "pets", "size": 3, "etag": created.headers["ETag"]}
    assert (created.status_code, created.json()) == (201, summary | {"warnings": [ALIKE]})
    assert client.get("/label-sets").json() == {"label_sets": [summary]}
    read = client.get("/label-sets/pets")
    assert (read.json(), read.headers["ETag"]) == ({"name": "pets", **PETS, "warnings": [ALIKE]}, summary["etag"])

    replaced = client.put("/label-sets/pets", json={"labels": [" bird "]})
    assert (replaced.status_code, replaced.json()["size"]) == (200, 1)
    assert replaced.headers["ETag"] != created.headers["ETag"]
    assert client.get("/label-sets/pets").json() == {
        "name": "pets",
        "labels": ["bird"],
        "templates": ["This is a photo of {}."],
        "warnings": [],
    }

    removed = client.delete("/label-sets/pets")
    assert (removed.status_code, removed.content) == (204, b"")
    assert client.get("/label-sets/pets").status_code == 404
    assert client.delete("/label-sets/pets").status_code == 404
    assert client.get("/label-sets").json() == {"label_sets": []}


def test_sets_are_sorted_by_name(client):
    for name in ("b", "a.2", "a"):
        client.put(f"/label-sets/{name}", json=PETS)
    listed = client.get("/label-sets").json()["label_sets"]
    assert [label_set["name"] for label_set in listed] == ["a", "a.2", "b"]


def test_equal_definitions_have_equal_etags_even_if_their_json_differs(client):
    bodies = [
        '{"labels": ["cat"]}',
        '{"templates": ["This is a photo of {}."],"labels":["\\u0063at "]}',
        '{"labels": ["dog"]}',
    ]
    headers = {"Content-Type": "application/json; charset=utf-8"}
    etags = [client.put("/label-sets/x", content=body, headers=headers).headers["ETag"] for body in bodies]
    assert etags[0] == etags[1] != etags[2]


@pytest.mark.parametrize(
    "request_",
    [
        {"json": {"image": base64.b64encode(RED_PNG).decode(), "label_set": "pets"}},
        {"files": {"image": ("x", RED_PNG)}, "data": {"label_set": "pets"}},
        {"content": RED_PNG, "params": {"label_set": "pets"}, "headers": {"Content-Type": "image/png"}},
    ],
)
def test_a_set_is_used_by_name_in_all_bodies_without_encoding_texts(client, encoder, request_):
    client.put("/label-sets/pets", json=PETS)
    by_put = (sum(encoder.texts), sum(encoder.text_batches))
    assert by_put[1] == 4
    response = client.post("/classify", **request_)
    assert (sum(encoder.texts), sum(encoder.text_batches)) == by_put
    dog = encoder.encode_texts(encoder.prepare_text(["a dog", "ein Hund", "un chien"])).mean(axis=0)
    cosine = embed(encoder.preprocessor(plain_image(RED))) @ dog / np.linalg.norm(dog)
    expected = sorted(
        [("cat", encoder.logit(plain_image(RED), "a cat"))] * 2 + [("dog", encoder.scale * cosine + encoder.bias)],
        key=lambda score: -score[1],
    )
    scores = [(score["label"], score["logit"]) for score in response.json()["scores"]]
    assert [label for label, _ in scores] == [label for label, _ in expected]
    assert [logit for _, logit in scores] == pytest.approx([logit for _, logit in expected], abs=1e-5)


def test_a_set_can_be_combined_with_the_other_options(client):
    client.put("/label-sets/pets", json=PETS)
    assert len(ask(client, label_set="pets", top_k=1, threshold=0).json()["scores"]) == 1


def test_an_unknown_set_is_404_before_the_image_is_decoded(client):
    response = ask(client, b"no image", label_set="../pets")
    assert (response.status_code, response.json()["error_type"]) == (404, "label_set_not_found")
    assert "pets" not in response.text


INVALID = {
    "no labels": ({}, 400, "labels is missing."),
    "labels that are not a list": ({"labels": "cat"}, 400, "labels: input should be a valid list."),
    "a label that is a number": (
        {"labels": ["cat", 3]},
        400,
        "labels/1: input should be a string, or an object with label and prompts.",
    ),
    "an object without a label": ({"labels": [{"prompts": ["cat"]}]}, 400, "labels/0/label is missing."),
    "a prompt that is a number": (
        {"labels": [{"label": "cat", "prompts": [1]}]},
        400,
        "labels/0/prompts/0: input should be a valid string.",
    ),
    "a mistyped key": ({"labels": [], "template": []}, 400, "unknown field; did you mean templates?"),
    "a mistyped key of a label": (
        {"labels": [{"label": "cat", "prompts": [], "promts": []}]},
        400,
        "labels/0: unknown field.",
    ),
    "an unknown key": (
        {"labels": ["cat"], "etag": "x"},
        400,
        "unknown field; the fields are labels, templates, threshold, calibration, tuned_for, name, in_force, warnings.",
    ),
    "an empty list": ({"labels": []}, 422, "There are 0 labels; send 1 to 4."),
    "too many labels": ({"labels": ["cat"] * 5}, 422, "There are 5 labels; send 1 to 4."),
    "an empty label": ({"labels": [" "]}, 422, "Label 1 has 0 characters; it must have 1 to 256."),
    "no prompts": ({"labels": [{"label": "cat", "prompts": []}]}, 422, "Label 1 has 0 prompts; it must have 1 to 100."),
    "a bad template": ({"labels": ["cat"], "templates": ["a"]}, 422, "Template 1 must contain {} for the label"),
}


@pytest.fixture(scope="module")
def small(running) -> Iterator[httpx.Client]:
    """A client of a service that accepts at most four labels."""
    with running(max_labels=4) as client:
        yield client


@pytest.mark.parametrize(("body", "status", "message"), INVALID.values(), ids=INVALID)
def test_an_invalid_set_is_rejected(small, body, status, message):
    response = small.put("/label-sets/refused", json=body)
    assert (response.status_code, response.json()["detail"][: len(message)]) == (status, message)
    assert small.get("/label-sets/refused").status_code == 404


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{", {"Content-Type": "application/json"}, 400),
        (b'{"labels": ["a"], "labels": ["b"]}', {"Content-Type": "application/json"}, 400),
        (b'{"labels": ["\\ud83d"]}', {"Content-Type": "application/json"}, 400),
        (b'{"labels": ["cat"]}', {}, 415),
        (b'{"labels": ["cat"]}', {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        (b'{"labels": ["cat"]}', {"Content-Type": "application/json", "Content-Encoding": "gzip"}, 415),
    ],
)
def test_a_put_accepts_only_json(small, content, headers, status):
    assert small.put("/label-sets/refused", content=content, headers=headers).status_code == status


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        (path, 400, b"A label set's name has 1 to 64")
        for path in ("..", "%2e%2e", "a%0a", "a%00", "Pets", "x" * 65, "%20")
    ]
    + [(path, 404, b"There is nothing at this path") for path in ("", "a/b", "a%2fb", "%2e%2e%2fpets")],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_an_invalid_name_is_rejected(small, method, path, status, message):
    """Sent through a socket, because an HTTP client would resolve the dots."""
    body = b'{"labels": ["cat"]}'
    head = f"{method} /label-sets/{path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n"
    with socket.create_connection((small.base_url.host, small.base_url.port), timeout=30) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        response = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert response.startswith(f"HTTP/1.1 {status} ".encode())
    assert message in response


def test_if_match_and_if_none_match_are_respected(client):
    url = "/label-sets/pets"
    assert client.put(url, json=PETS, headers={"If-Match": "*"}).status_code == 412  # the set does not exist yet
    etag = client.put(url, json=PETS, headers={"If-None-Match": "*"}).headers["ETag"]
    assert client.put(url, json=PETS, headers={"If-None-Match": "*"}).status_code == 412

    for other in ('"other"', 'W/"other"', etag.strip('"'), ""):
        changed = client.put(url, json={"labels": ["bird"]}, headers={"If-Match": other})
        assert (changed.status_code, changed.json()["error_type"]) == (412, "precondition_failed")
        assert client.delete(url, headers={"If-Match": other}).status_code == 412
    assert client.get(url).headers["ETag"] == etag

    # A compressing proxy makes a tag weak.
    for matching in ("*", etag, f"W/{etag}", f'"other", {etag}', f'W/"other", W/{etag}'):
        assert client.put(url, json=PETS, headers={"If-Match": matching}).status_code == 200
    for current in (etag, f"W/{etag}", "*"):
        unchanged = client.get(url, headers={"If-None-Match": current})
        assert (unchanged.status_code, unchanged.content, unchanged.headers["ETag"]) == (304, b"", etag)
    assert client.get(url, headers={"If-None-Match": '"other"'}).status_code == 200
    assert client.delete(url, headers={"If-Match": etag}).status_code == 204
    assert client.delete(url, headers={"If-Match": "*"}).status_code == 404


def test_of_concurrent_writers_with_the_same_etag_only_one_succeeds(client):
    etag = client.put("/label-sets/pets", json=PETS).headers["ETag"]

    def replace(number: int) -> int:
        body = {"labels": [f"label {number}"]}
        return client.put("/label-sets/pets", json=body, headers={"If-Match": etag}).status_code

    with ThreadPoolExecutor(8) as clients:
        assert sorted(clients.map(replace, range(8))) == [200] + [412] * 7


def expected_top(encoder: FakeEncoder, definition: LabelSetDefinition) -> tuple[str, float]:
    """Returns the best label of a set and its logit for the red image. Each label must have one prompt."""
    (prompts,) = zip(*definition.prompts, strict=True)
    return max(
        (
            (name, encoder.logit(plain_image(RED), prompt))
            for name, prompt in zip(definition.names, prompts, strict=True)
        ),
        key=lambda score: score[1],
    )


def test_a_request_during_a_replacement_uses_the_old_or_the_new_set(client, encoder):
    definitions = [LabelSetDefinition(labels=[f"{kind} {i}" for i in range(60)]) for kind in ("fish", "bird")]
    tops = dict(expected_top(encoder, definition) for definition in definitions)
    client.put("/label-sets/zoo", json=definitions[0].content)
    done = threading.Event()

    def replace() -> None:
        for definition in itertools.cycle(definitions):
            assert client.put("/label-sets/zoo", json=definition.content).status_code == 200
            if done.is_set():
                return

    with ThreadPoolExecutor(1) as other:
        replacing = other.submit(replace)
        for _ in range(60):
            scores = ask(client, label_set="zoo").json()["scores"]
            assert len({score["label"].split()[0] for score in scores}) == 1
            assert scores[0]["logit"] == pytest.approx(tops[scores[0]["label"]], abs=1e-5)
        done.set()
        replacing.result()


def test_a_restart_serves_the_stored_sets(running, tmp_path):
    with running(data_dir=tmp_path) as client:
        etag = client.put("/label-sets/pets", json=PETS).headers["ETag"]
        before = ask(client, label_set="pets").json()
    encoder = FakeEncoder()
    with running(encoder, data_dir=tmp_path) as client:
        assert client.get("/label-sets").json()["label_sets"] == [{"name": "pets", "size": 3, "etag": etag}]
        assert client.get("/label-sets/pets").json() == {"name": "pets", **PETS, "warnings": [ALIKE]}
        assert ask(client, label_set="pets").json() == before
    assert encoder.text_batches == []


def test_if_the_folder_is_read_only_the_start_warns_and_only_changes_are_refused(running, tmp_path, caplog):
    (tmp_path / "file").touch()
    with running(data_dir=tmp_path / "file") as client:
        assert "SIGLIP_DATA_DIR cannot be written" in caplog.text
        for method in ("PUT", "DELETE"):
            response = client.request(method, "/label-sets/pets", json=PETS)
            assert (response.status_code, response.json()["error_type"]) == (405, "method_not_allowed")
            assert response.headers["Allow"] == "GET, HEAD"
            assert "data folder is read-only" in response.json()["detail"]
            assert str(tmp_path) not in response.text
        assert client.get("/label-sets").json() == {"label_sets": []}
        assert ask(client, labels=["cat"]).status_code == 200


def test_a_put_is_rejected_if_the_queue_is_full(running):
    entered, free = threading.Event(), threading.Event()

    def before_batch() -> None:
        entered.set()
        free.wait()

    with running(FakeEncoder(before_batch), max_queue_items=1) as client, ThreadPoolExecutor(1) as other:
        waiting = other.submit(client.put, "/label-sets/pets", json=PETS)
        entered.wait()
        assert client.put("/label-sets/cats", json=PETS).status_code == 429
        assert client.get("/label-sets").json() == {"label_sets": []}  # a set is listed after it is embedded
        free.set()
        assert waiting.result().status_code == 201


def test_before_the_service_is_ready_label_sets_are_503_and_not_404(running):
    free = threading.Event()
    with running(FakeEncoder(before_warm_up=free.wait), wait=False) as client:
        paths = [
            ("GET", "/label-sets"),
            ("GET", "/label-sets/a"),
            ("PUT", "/label-sets/a"),
            ("PATCH", "/label-sets/a"),
            ("DELETE", "/label-sets/a"),
        ]
        statuses = [client.request(method, path).status_code for method, path in paths]
        free.set()
    assert statuses == [503] * 5


def references(value: object) -> Iterator[str]:
    """Yields every $ref in a JSON document."""
    if isinstance(value, dict):
        yield from (item for key, item in value.items() if key == "$ref")
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from references(item)


def test_openapi_describes_the_body_and_every_failure(client):
    document = client.get("/openapi.json").json()
    path = document["paths"]["/label-sets/{name}"]
    assert set(path["put"]["responses"]) >= {
        "200",
        "201",
        "400",
        "401",
        "412",
        "413",
        "415",
        "422",
        "429",
        "500",
        "503",
    }
    assert set(path["get"]["responses"]) >= {"200", "304", "400", "401", "404", "503"}
    assert set(path["delete"]["responses"]) >= {"204", "400", "401", "404", "412", "500", "503"}
    schema = path["put"]["requestBody"]["content"]["application/json"]["schema"]
    tuned = {"threshold", "calibration", "tuned_for"}
    assert schema["properties"].keys() == {"labels", "templates", "name", "in_force", "warnings"} | tuned
    assert set(path["patch"]["responses"]) >= {"200", "400", "401", "404", "412", "422", "429", "500", "503"}
    schema = path["patch"]["requestBody"]["content"]["application/json"]["schema"]
    assert schema["properties"].keys() == {"labels", "templates", "remove"} | tuned
    schemas = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(references(path)) <= schemas


def put_in_turns(client: httpx.Client, etags: list[str]) -> None:
    """Replaces a set until the service is killed. Appends the expected ETag to `etags` before each request."""
    try:
        for definition in itertools.cycle((PLANTS, ANIMALS)):
            etags.append(f'"{definition.digest}"')
            assert client.put("/label-sets/zoo", json=definition.content).headers["ETag"] == etags[-1]
    except httpx.TransportError:
        pass


@pytest.mark.slow
def test_a_service_killed_at_any_moment_restarts_with_a_complete_set(tmp_path, encoder):
    chance = random.Random(0)
    definitions = {f'"{definition.digest}"': definition for definition in (ANIMALS, PLANTS)}
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()  # connections wait here until the next process accepts them
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        possible: list[str] = []  # the ETags of the last response and of the request after it
        for _ in range(12):
            process = PROCESSES.Process(target=serve, args=(tmp_path, listener))
            process.start()
            with httpx.Client(base_url=url, timeout=30) as client:
                while client.get("/health/ready").status_code != 200:
                    pass
                if possible:
                    etag = client.get("/label-sets/zoo").headers["ETag"]
                    stored = client.get("/label-sets/zoo").json()
                    scores = ask(client, label_set="zoo").json()["scores"]
                    label, logit = expected_top(encoder, definitions[etag])
                    assert etag in possible
                    assert stored == {"name": "zoo", **definitions[etag].content, "warnings": []}
                    assert sorted(score["label"] for score in scores) == sorted(definitions[etag].names)
                    assert (scores[0]["label"], scores[0]["logit"]) == (label, pytest.approx(logit, abs=1e-5))
                else:
                    client.put("/label-sets/zoo", json=ANIMALS.content)
                etags: list[str] = [client.get("/label-sets/zoo").headers["ETag"]]
                writer = threading.Thread(target=put_in_turns, args=(client, etags))
                writer.start()
                time.sleep(chance.uniform(0, 0.1))
                process.kill()
                process.join()
                writer.join()
                possible = etags[-2:]


@pytest.mark.slow
@pytest.mark.parametrize("processes", [[1, 1], [2]], ids=["two services", "two processes of one service"])
def test_several_processes_use_one_data_folder_and_see_each_others_changes_at_once(spawn, processes):
    started = [spawn(processes=count, decode_workers=2, wait=False) for count in processes]
    for process in started:
        process.wait_until_ready()
    urls = itertools.cycle([process.client.base_url for process in started])

    def connect() -> httpx.Client:
        """Connects once more, and so perhaps to another process."""
        return httpx.Client(base_url=next(urls), timeout=30)

    for number in range(30):
        body = {"labels": [f"label {number}"]}
        with connect() as one, connect() as other, connect() as third:
            etag = one.put("/label-sets/pets", json=body).headers["ETag"]
            for client in (other, third):
                assert client.get("/label-sets/pets").headers["ETag"] == etag
            with ThreadPoolExecutor(2) as pool:
                attempts = [
                    pool.submit(client.put, "/label-sets/pets", json=PETS, headers={"If-Match": etag})
                    for client in (other, third)
                ]
            assert sorted(attempt.result().status_code for attempt in attempts) == [200, 412]
