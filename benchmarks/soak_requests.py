"""The requests of the soak: good and bad ones of every kind, chosen at random with a seed."""

import base64
import random
import socket
import time
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import httpx

IMAGES = [path.read_bytes() for path in sorted((Path(__file__).parent.parent / "samples").glob("*.png"))]
WORDS = [f"{colour} {thing}" for colour in ("red", "blue", "old", "big") for thing in ("cat", "car", "tree", "fish")]
PNG = {"Content-Type": "image/png"}
Answer = tuple[str, int]


def send(client: httpx.Client, rng: random.Random, number: int) -> tuple[str, int]:
    """Sends one request of a random kind. Returns the kind and the status, 0 if the client disconnected."""
    kind = rng.choices(list(KINDS), [weight for weight, _, _ in KINDS.values()])[0]
    return kind, KINDS[kind][1](client, rng, number)


def classify(client: httpx.Client, rng: random.Random, number: int, image: bytes | None = None, **headers) -> int:
    labels = rng.sample(WORDS, 5) + [f"thing {number}"] * (number % 4 == 0)
    image = rng.choice(IMAGES) if image is None else image
    match number % 3:
        case 0:
            answer = client.post("/classify", files={"image": image}, data={"labels": labels}, headers=headers)
        case 1:
            body = {"image": base64.b64encode(image).decode(), "labels": labels, "templates": ["a {}", "the {}"]}
            answer = client.post("/classify", json=body, headers=headers)
        case _:
            answer = client.post("/classify", content=image, params={"labels": labels}, headers=PNG | headers)
    return answer.status_code


def truncated(client: httpx.Client, rng: random.Random, number: int) -> int:
    image = rng.choice(IMAGES)
    # A PNG's last 20 bytes are two checksums and the end marker: the image is complete without them.
    return classify(client, rng, number, image[: rng.randrange(len(image) - 24)])


def damaged(client: httpx.Client, rng: random.Random, number: int) -> int:
    image = bytearray(rng.choice(IMAGES))
    for _ in range(20):
        image[rng.randrange(8, len(image))] = rng.randrange(256)
    return classify(client, rng, number, bytes(image))


def random_bytes(client: httpx.Client, rng: random.Random, number: int) -> int:
    return classify(client, rng, number, rng.randbytes(rng.randrange(20_000)))


def too_many_pixels(client: httpx.Client, rng: random.Random, number: int) -> int:
    header = b"IHDR" + (30_000).to_bytes(4, "big") * 2 + IMAGES[0][24:29]
    return classify(client, rng, number, IMAGES[0][:12] + header + crc32(header).to_bytes(4, "big"))


def batch(client: httpx.Client, rng: random.Random, number: int) -> int:
    images = [rng.choice([*IMAGES, b"no image"]) for _ in range(rng.randrange(1, 9))]
    files = [("images", image) for image in images]
    return client.post("/classify/batch", files=files, data={"labels": WORDS[:3]}).status_code


def embed(client: httpx.Client, rng: random.Random, number: int) -> int:
    if number % 2:
        return client.post("/embed/image", content=rng.choice(IMAGES), headers=PNG).status_code
    return client.post("/embed/text", json={"texts": rng.sample(WORDS, 3)}).status_code


def label_set(client: httpx.Client, rng: random.Random, number: int) -> int:
    url = f"/label-sets/set-{number % 5}"
    match number % 4:
        case 0:
            return client.put(url, json={"labels": rng.sample(WORDS, 8)}).status_code
        case 1:
            return client.get(url).status_code
        case 2:
            body = {"image": base64.b64encode(IMAGES[0]).decode(), "label_set": url.rpartition("/")[2]}
            return client.post("/classify", json=body).status_code
        case _:
            return client.delete(url).status_code if number % 3 == 0 else client.get("/label-sets").status_code


def malformed(client: httpx.Client, rng: random.Random, number: int) -> int:
    bodies = [b"", b"{", b'{"image": 3}', b'{"image": "", "labels": []}', b"[" * 5000, rng.randbytes(300)]
    headers = {"Content-Type": rng.choice(["application/json", "multipart/form-data; boundary=x", "text/html"])}
    return client.post("/classify", content=rng.choice(bodies), headers=headers).status_code


def too_large(client: httpx.Client, rng: random.Random, number: int) -> int:
    return client.post(
        "/classify", params={"labels": "cat"}, content=iter([bytes(1_000_000)] * 3), headers=PNG
    ).status_code


def short_deadline(client: httpx.Client, rng: random.Random, number: int) -> int:
    return classify(client, rng, number, **{"X-Request-Timeout-Ms": str(rng.randrange(1, 30))})


def disconnect(client: httpx.Client, rng: random.Random, number: int) -> int:
    image = rng.choice(IMAGES)
    head = f"POST /classify?labels=cat HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {len(image)}"
    with socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=30) as connection:
        connection.sendall(head.encode() + b"\r\n\r\n" + image[: rng.choice([100, len(image)])])
        time.sleep(rng.random() / 100)
    return 0


def unknown_path(client: httpx.Client, rng: random.Random, number: int) -> int:
    method = rng.choice(["GET", "DELETE", "PATCH"])
    return client.request(method, rng.choice([f"/nowhere/{number}", "/classify", "/embed/text"])).status_code


def probe(client: httpx.Client, rng: random.Random, number: int) -> int:
    paths = ["/health/live", "/health/ready", "/health/startup", "/info", "/metrics", "/openapi.json"]
    return client.get(rng.choice(paths)).status_code


# Kind -> weight, function, and the statuses that it may have.
KINDS: dict[str, tuple[int, Callable[..., int], set[int]]] = {
    "good": (50, classify, {200}),
    "batch": (4, batch, {200}),
    "embed": (4, embed, {200}),
    "label set": (8, label_set, {200, 201, 204, 404}),
    "truncated image": (5, truncated, {415, 422}),
    "damaged image": (5, damaged, {200, 413, 415, 422}),
    "garbage for an image": (4, random_bytes, {415, 422}),
    "30,000 x 30,000 pixels": (2, too_many_pixels, {413}),
    "malformed body": (5, malformed, {400, 415, 422}),
    "body too large": (2, too_large, {413}),
    "deadline of 1 to 30 ms": (4, short_deadline, {200, 504}),
    "client leaves": (3, disconnect, {0}),
    "unknown path or method": (2, unknown_path, {404, 405}),
    "probes and facts": (2, probe, {200}),
}
