"""The bare towers in a process of their own, for benchmarks that set the service beside them.

The `SIGLIP_*` variables that the service reads choose the checkpoint, the device and the largest batch.
"""

import subprocess
import sys
import time
from typing import IO, cast

import numpy as np

from benchmarks.service import ROOT

BATCHES = (1, 2, 4, 8, 16, 32)


class Tower:
    """A bare tower, of images or of texts, in a process of its own."""

    def __init__(self, environment: dict[str, str], inputs: str = "images"):
        command = [sys.executable, "-m", "benchmarks.bare_tower", inputs]
        self.process = subprocess.Popen(
            command, env=environment, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.seconds(1)

    def seconds(self, batch: int, batches: int = 1) -> float:
        """Returns how long it takes for one batch of so many images or texts, or for more than one."""
        asked, told = cast("IO[str]", self.process.stdin), cast("IO[str]", self.process.stdout)
        asked.write(f"{batch} {batches}\n")
        asked.flush()
        return float(told.readline())

    def best_batch(self, batches: tuple[int, ...] = BATCHES) -> int:
        """Returns the batch in which as many rows take the least time."""
        return min(batches, key=lambda batch: min(self.seconds(batch, max(batches) // batch) for _ in "ab"))


def serve(inputs: str) -> None:
    """Answers each batch size and number of batches on standard input with the seconds that the tower takes."""
    from app.inference.encoder import load_encoder
    from app.settings import load_settings

    settings = load_settings()
    encoder = load_encoder(settings, lambda stage: None)
    encoder.warm_up()
    chance = np.random.default_rng(0)
    if inputs == "images":
        rows = chance.integers(0, 256, (settings.max_batch, *encoder.info.image_size, 3), np.uint8)
        encode = encoder.encode_images
    else:  # as long for any tokens as for others: every text is as many
        rows = chance.integers(encoder.info.vocab_size, size=(settings.max_batch, encoder.info.context_length))
        rows, encode = rows.astype(np.int32), encoder.encode_texts
    for line in sys.stdin:
        batch, batches = map(int, line.split())
        began_s = time.perf_counter()
        for _ in range(batches):
            encode(rows[:batch])
        print(time.perf_counter() - began_s, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
