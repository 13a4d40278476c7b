"""The bare image tower in a process of its own, for benchmarks that set the service beside it.

The `SIGLIP_*` variables that the service reads choose the checkpoint and the device.
"""

import subprocess
import sys
import time
from typing import IO, cast

import numpy as np

from benchmarks.soak import ROOT

BATCHES = (1, 2, 4, 8, 16, 32)


class Tower:
    """The bare image tower in a process of its own."""

    def __init__(self, environment: dict[str, str]):
        command = [sys.executable, "-m", "benchmarks.bare_tower"]
        self.process = subprocess.Popen(
            command, env=environment, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.seconds(1)

    def seconds(self, batch: int) -> float:
        """Returns how long it takes for one batch of so many images."""
        asked, told = cast("IO[str]", self.process.stdin), cast("IO[str]", self.process.stdout)
        asked.write(f"{batch}\n")
        asked.flush()
        return float(told.readline())


def serve() -> None:
    """Answers each batch size on standard input with the seconds that the tower takes for it."""
    from app.config import load_settings
    from app.encoder import load_encoder

    encoder = load_encoder(load_settings(), lambda stage: None)
    encoder.warm_up()
    pixels = np.random.default_rng(0).integers(0, 256, (max(BATCHES), *encoder.info.image_size, 3), np.uint8)
    for line in sys.stdin:
        began_s = time.perf_counter()
        encoder.encode_images(pixels[: int(line)])
        print(time.perf_counter() - began_s, flush=True)


if __name__ == "__main__":
    serve()
