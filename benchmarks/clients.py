"""What benchmarks send to a server: images and labels that nobody has seen, by many clients at once."""

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

chance = random.Random(0)
numbers = count()
coarse = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
canvas = Image.fromarray(coarse).resize((1280, 960), Image.Resampling.BICUBIC)


def new_image() -> bytes:
    """Returns a JPEG of 640x480 that was not there before."""
    number = next(numbers)
    left, top = number % 640, number // 640
    file = io.BytesIO()
    canvas.crop((left, top, left + 640, top + 480)).save(file, "JPEG", quality=90)
    return file.getvalue()


def new_labels(number: int) -> list[str]:
    """Returns labels of two words that nobody has seen."""
    return [" ".join("".join(chance.choices("abcdefghijklmnoprstuvw", k=6)) for _ in "ab") for _ in range(number)]


def prepared(address: str, image: bytes, labels: list[str]) -> httpx.Request:
    """Returns a request with its body made, so that making it is not measured."""
    files = {"image": ("image.jpg", image, "image/jpeg")}
    request = httpx.Request("POST", f"{address}/classify", files=files, data={"labels": labels})
    request.read()
    return request


def answer(client: httpx.Client, request: httpx.Request) -> Any:
    """Returns what the server has answered."""
    response = client.send(request)
    response.raise_for_status()
    return response.json()


def rate(address: str, images: list[bytes], labels: list[list[str]], clients: int = CLIENTS) -> float:
    """Returns how many requests a second were answered, by so many clients at once."""
    requests = [prepared(address, image, of_one) for image, of_one in zip(images, labels, strict=True)]
    at_once = min(clients, len(requests))
    limits = httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once, keepalive_expiry=None)
    with httpx.Client(timeout=TIMEOUT_S, limits=limits) as client, ThreadPoolExecutor(at_once) as pool:
        began_s = time.perf_counter()
        list(pool.map(lambda request: client.send(request).raise_for_status(), requests))
        return len(requests) / (time.perf_counter() - began_s)
