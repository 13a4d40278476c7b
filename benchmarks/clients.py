"""What benchmarks send to a server: new images and new labels, from many concurrent clients."""

import io
import random
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import httpx
import numpy as np
from PIL import Image

CLIENTS, MANY_CLIENTS, TIMEOUT_S = 16, 64, 900

rng = random.Random(0)
numbers = count()
coarse = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
canvas = Image.fromarray(coarse).resize((1280, 960), Image.Resampling.BICUBIC)


def new_image() -> bytes:
    """Returns a JPEG of 640x480 that differs from all earlier ones."""
    number = next(numbers)
    left, top = number % 640, number // 640
    file = io.BytesIO()
    canvas.crop((left, top, left + 640, top + 480)).save(file, "JPEG", quality=90)
    return file.getvalue()


def new_labels(number: int) -> list[str]:
    """Returns labels of two random words each, which no cache contains."""
    return [" ".join("".join(rng.choices("abcdefghijklmnoprstuvw", k=6)) for _ in "ab") for _ in range(number)]


def prepare_request(address: str, image: bytes, labels: list[str]) -> httpx.Request:
    """Returns a request with an encoded body, so that the encoding is not measured."""
    files = {"image": ("image.jpg", image, "image/jpeg")}
    request = httpx.Request("POST", f"{address}/classify", files=files, data={"labels": labels})
    request.read()
    return request


def fetch_json(client: httpx.Client, request: httpx.Request) -> Any:
    """Returns the JSON of the server's response."""
    response = client.send(request)
    response.raise_for_status()
    return response.json()


def rate(address: str, images: list[bytes], labels: list[list[str]], clients: int = CLIENTS) -> float:
    """Returns how many requests per second the server answers to `clients` concurrent clients."""
    requests = [prepare_request(address, image, texts) for image, texts in zip(images, labels, strict=True)]
    concurrent = min(clients, len(requests))
    limits = httpx.Limits(max_connections=concurrent, max_keepalive_connections=concurrent, keepalive_expiry=None)
    with httpx.Client(timeout=TIMEOUT_S, limits=limits) as client, ThreadPoolExecutor(concurrent) as pool:
        began_s = time.perf_counter()
        list(pool.map(lambda request: client.send(request).raise_for_status(), requests))
        return len(requests) / (time.perf_counter() - began_s)
