"""The cost of NaFlex next to that of its fixed-resolution sibling; `python -m benchmarks.towers --naflex` runs it.

Both have random weights of the published image tower's size, and compute 256 patches of an image. The CPU time is that
of all threads. The memory is measured in a separate process. It is what the first image takes in addition to the
loaded model.
"""

import json
import random
import re
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine, result_file, versions
from benchmarks.towers import COSINE, COSINE_INT8, OURS, Embed, loaded, spread
from model.published import VARIANTS
from model.text.tokenizer import SIGLIP_2
from tests.golden.cases import NAFLEX, pixels
from tests.model.conftest import write_checkpoint

FIXED, NAFLEX_NAME = ("SigLIP2BaseP16", "google_256"), ("SigLIP2BaseP16NaFlex", "google_naflex")
SHAPES = {"square": (600, 600), "3:1": (350, 1050)}  # height, width
BATCHES, ROUNDS, PREPARED = (1, 8), (15, 5), 51
NUM_PATCHES = (256, 576, 1024)


def compare_naflex(folder: Path) -> dict[str, Any]:
    """Returns the time, the CPU time and the memory of NaFlex and of its sibling."""
    checkpoints = {}
    for variant, weights in (FIXED, NAFLEX_NAME):
        checkpoints[variant] = folder / variant
        if not checkpoints[variant].exists():
            config = replace(VARIANTS[variant][weights].config, text=NAFLEX.text)  # only image towers are measured
            write_checkpoint(checkpoints[variant], config, rules=SIGLIP_2)
    images = {shape: pixels(size, 1)[0] for shape, size in SHAPES.items()}
    encoders = {
        (variant, name): loaded(directory, name, folder / "engine", max_batch=max(BATCHES))
        for (variant, directory), name in product(checkpoints.items(), OURS)
    }
    rows = []
    for batch, rounds in zip(BATCHES, ROUNDS, strict=True):
        embeds = {
            (variant, name, shape): partial(encoder.encode_images, np.stack([encoder.preprocessor(image)] * batch))
            for (variant, name), encoder in encoders.items()
            for shape, image in images.items()
        }
        check_naflex(embeds)
        for (variant, name, shape), taken in in_turn(embeds, rounds).items():
            rows.append({"model": variant, "engine": name, "shape": shape, "batch": batch, **per_image(taken, batch)})
    preparation = []
    for variant, shape in product(checkpoints, images):
        prepare = partial(encoders[variant, "TensorFlow"].preprocessor, images[shape])
        taken = in_turn({0: prepare}, PREPARED)[0]
        preparation.append({"model": variant, "shape": shape, **per_image(taken, 1)})
    directory = checkpoints[NAFLEX_NAME[0]]
    del encoders, embeds
    more: dict[Any, Embed] = {}
    for patches, name in product(NUM_PATCHES, OURS):
        encoder = loaded(directory, name, folder / "engine", max_batch=1, max_num_patches=patches)
        more[patches, name] = partial(encoder.encode_images, encoder.preprocessor(images["square"])[None])
        more[patches, name]()  # the first run is slower
    patches_rows = [
        {"patches": patches, "engine": name, **per_image(taken, 1)}
        for (patches, name), taken in in_turn(more, ROUNDS[1]).items()
    ]
    print(" memory", file=sys.stderr, flush=True)  # which does not depend on how busy the machine is
    return {
        "rows": rows,
        "preparation": preparation,
        "patches": patches_rows,
        "memory": [
            {"patches": patches, "engine": name, "bytes": first_image_bytes(directory, name, folder, patches)}
            for patches, name in product(NUM_PATCHES, OURS)
        ],
    }


def check_naflex(embeds: dict[Any, Embed]) -> None:
    """Ends the benchmark if the engines do not compute the same embeddings. It is also the first, slower run."""
    found = {key: embed() for key, embed in embeds.items()}
    for (variant, name, shape), embeddings in found.items():
        cosine = float((embeddings * found[variant, "TensorFlow", shape]).sum(axis=-1).min())
        if cosine < (COSINE_INT8 if "int8" in name else COSINE):
            sys.exit(f"not the same embeddings: {variant}, {name}, {shape}: {cosine}")


def in_turn(embeds: dict[Any, Embed], rounds: int) -> dict[Any, list[tuple[float, float]]]:
    """Returns the seconds, and the CPU seconds, of each round, whose order is random."""
    taken: dict[Any, list[tuple[float, float]]] = {key: [] for key in embeds}
    order = random.Random(0)
    for _ in range(rounds):
        for key in order.sample(list(embeds), len(embeds)):
            began_s, began_cpu_s = time.perf_counter(), time.process_time()
            embeds[key]()
            taken[key].append((time.perf_counter() - began_s, time.process_time() - began_cpu_s))
            time.sleep(0.05)  # as in `measure`
        print(".", end="", file=sys.stderr, flush=True)
    return taken


def per_image(taken: list[tuple[float, float]], batch: int) -> dict[str, float]:
    """Returns the quartiles of the time per image, and the median of the CPU time, in milliseconds."""
    seconds, cpu_s = zip(*taken, strict=True)
    return spread(list(seconds), batch) | {"cpu_ms": round(statistics.median(cpu_s) / batch * 1000, 1)}


def first_image_bytes(directory: Path, name: str, folder: Path, patches: int) -> int:
    """Returns the memory that the first image takes in addition to the loaded NaFlex, in a new process."""
    command = [sys.executable, "-m", "benchmarks.naflex_towers", directory, name, folder, str(patches)]
    return int(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()[-1])


def print_first_image_bytes(directory: str, name: str, folder: str, patches: str) -> None:
    """Prints what `first_image_bytes` returns. Linux only."""
    encoder = loaded(directory, name, Path(folder) / "engine", max_batch=1, max_num_patches=int(patches))
    record = encoder.preprocessor(pixels((600, 600), 1)[0])[None]
    Path("/proc/self/clear_refs").write_text("5")  # from now on, the peak counts anew
    before_bytes = resident_bytes("VmRSS")
    encoder.encode_images(record)
    print(resident_bytes("VmHWM") - before_bytes)


def resident_bytes(field: str) -> int:
    """Returns this process's resident memory: now (VmRSS) or at its peak (VmHWM)."""
    (found,) = re.findall(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found) * 1024


def main(folder: Path) -> None:
    """Measures and saves."""
    about = {"machine": machine(), "versions": versions("tensorflow", "openvino", "nncf")}
    measured = about | compare_naflex(folder)
    result_file("naflex").write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    print_first_image_bytes(*sys.argv[1:])
