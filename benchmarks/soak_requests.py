"""What the soak sends: good and bad requests of every kind, chosen by a seeded chance."""

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


def send(client: httpx.Client, chance: random.Random, number: int) -> tuple[str, int]:
    """Sends one request of a kind chosen by chance; returns the kind and the status, 0 where the client has left."""
    kind = chance.choices(list(KINDS), [weight for weight, _, _ in KINDS.values()])[0]
    return kind, KINDS[kind][1](client, chance, number)


def classify(client: httpx.Client, chance: random.Random, number: int, image: bytes | None = None, **headers) -> int:
    labels = chance.sample(WORDS, 5) + [f"thing {number}"] * (number % 4 == 0)
    image = chance.choice(IMAGES) if image is None else image
    match number % 3:
        case 0:
            answer = client.post("/classify", files={"image": image}, data={"labels": labels}, headers=headers)
        case 1:
            body = {"image": base64.b64encode(image).decode(), "labels": labels, "templates": ["a {}", "the {}"]}
            answer = client.post("/classify", json=body, headers=headers)
        case _:
            answer = client.post("/classify", content=image, params={"labels": labels}, headers=PNG | headers)
    return answer.status_code


def truncated(client: httpx.Client, chance: random.Random, number: int) -> int:
    image = chance.choice(IMAGES)
    # A PNG's last 20 bytes are two checksums and the end's mark: without them the image is still whole.
    return classify(client, chance, number, image[: chance.randrange(len(image) - 24)])


def damaged(client: httpx.Client, chance: random.Random, number: int) -> int:
    image = bytearray(chance.choice(IMAGES))
    for _ in range(20):
        image[chance.randrange(8, len(image))] = chance.randrange(256)
    return classify(client, chance, number, bytes(image))


def garbage(client: httpx.Client, chance: random.Random, number: int) -> int:
    return classify(client, chance, number, chance.randbytes(chance.randrange(20_000)))


def huge(client: httpx.Client, chance: random.Random, number: int) -> int:
    header = b"IHDR" + (30_000).to_bytes(4, "big") * 2 + IMAGES[0][24:29]
    return classify(client, chance, number, IMAGES[0][:12] + header + crc32(header).to_bytes(4, "big"))


def batch(client: httpx.Client, chance: random.Random, number: int) -> int:
    images = [chance.choice([*IMAGES, b"no image"]) for _ in range(chance.randrange(1, 9))]
    files = [("images", image) for image in images]
    return client.post("/classify/batch", files=files, data={"labels": WORDS[:3]}).status_code


def embed(client: httpx.Client, chance: random.Random, number: int) -> int:
    if number % 2:
        return client.post("/embed/image", content=chance.choice(IMAGES), headers=PNG).status_code
    return client.post("/embed/text", json={"texts": chance.sample(WORDS, 3)}).status_code


def label_set(client: httpx.Client, chance: random.Random, number: int) -> int:
    url = f"/label-sets/set-{number % 5}"
    match number % 4:
        case 0:
            return client.put(url, json={"labels": chance.sample(WORDS, 8)}).status_code
        case 1:
            return client.get(url).status_code
        case 2:
            body = {"image": base64.b64encode(IMAGES[0]).decode(), "label_set": url.rpartition("/")[2]}
            return client.post("/classify", json=body).status_code
        case _:
            return client.delete(url).status_code if number % 3 == 0 else client.get("/label-sets").status_code


def malformed(client: httpx.Client, chance: random.Random, number: int) -> int:
    bodies = [b"", b"{", b'{"image": 3}', b'{"image": "", "labels": []}', b"[" * 5000, chance.randbytes(300)]
    headers = {"Content-Type": chance.choice(["application/json", "multipart/form-data; boundary=x", "text/html"])}
    return client.post("/classify", content=chance.choice(bodies), headers=headers).status_code


def too_large(client: httpx.Client, chance: random.Random, number: int) -> int:
    return client.post(
        "/classify", params={"labels": "cat"}, content=iter([bytes(1_000_000)] * 3), headers=PNG
    ).status_code


def late(client: httpx.Client, chance: random.Random, number: int) -> int:
    return classify(client, chance, number, **{"X-Request-Timeout-Ms": str(chance.randrange(1, 30))})


def leaver(client: httpx.Client, chance: random.Random, number: int) -> int:
    image = chance.choice(IMAGES)
    head = f"POST /classify?labels=cat HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {len(image)}"
    with socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=30) as connection:
        connection.sendall(head.encode() + b"\r\n\r\n" + image[: chance.choice([100, len(image)])])
        time.sleep(chance.random() / 100)
    return 0


def elsewhere(client: httpx.Client, chance: random.Random, number: int) -> int:
    method = chance.choice(["GET", "DELETE", "PATCH"])
    return client.request(method, chance.choice([f"/nowhere/{number}", "/classify", "/embed/text"])).status_code


def facts(client: httpx.Client, chance: random.Random, number: int) -> int:
    paths = ["/health/live", "/health/ready", "/health/startup", "/info", "/metrics", "/openapi.json"]
    return client.get(chance.choice(paths)).status_code


# Kind: how often, how, and with which statuses it may end.
KINDS: dict[str, tuple[int, Callable[..., int], set[int]]] = {
    "good": (50, classify, {200}),
    "batch": (4, batch, {200}),
    "embed": (4, embed, {200}),
    "label set": (8, label_set, {200, 201, 204, 404}),
    "truncated image": (5, truncated, {415, 422}),
    "damaged image": (5, damaged, {200, 413, 415, 422}),
    "garbage for an image": (4, garbage, {415, 422}),
    "30,000 x 30,000 pixels": (2, huge, {413}),
    "malformed body": (5, malformed, {400, 415, 422}),
    "body too large": (2, too_large, {413}),
    "deadline of 1 to 30 ms": (4, late, {200, 504}),
    "client leaves": (3, leaver, {0}),
    "unknown path or method": (2, elsewhere, {404, 405}),
    "probes and facts": (2, facts, {200}),
}
