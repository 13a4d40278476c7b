"""Runs a bare tower in a separate process, for benchmarks that compare the service with it.

The service's `SIGLIP_*` variables choose the checkpoint, the device and the largest batch.
"""

import subprocess
import sys
import time
from typing import IO, cast

import numpy as np

from benchmarks.service import ROOT

BATCHES = (1, 2, 4, 8, 16, 32)


class Tower:
    """A bare image or text tower in a separate process."""

    def __init__(self, environment: dict[str, str], inputs: str = "images"):
        command = [sys.executable, "-m", "benchmarks.bare_tower", inputs]
        self.process = subprocess.Popen(
            command, env=environment, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.seconds(1)

    def seconds(self, batch: int, batches: int = 1) -> float:
        """Returns how long the tower takes for `batches` batches of `batch` images or texts each."""
        requests, answers = cast("IO[str]", self.process.stdin), cast("IO[str]", self.process.stdout)
        requests.write(f"{batch} {batches}\n")
        requests.flush()
        return float(answers.readline())

    def best_batch(self, batches: tuple[int, ...] = BATCHES) -> int:
        """Returns the batch size with the least time per row."""
        return min(batches, key=lambda batch: min(self.seconds(batch, max(batches) // batch) for _ in "ab"))


def serve(inputs: str) -> None:
    """Reads a batch size and a number of batches from each line of stdin, and prints the seconds that they take."""
    from app.inference.encoder import load_encoder
    from app.settings import load_settings

    settings = load_settings()
    encoder = load_encoder(settings, lambda stage: None)
    encoder.warm_up()
    rng = np.random.default_rng(0)
    if inputs == "images":
        rows = rng.integers(0, 256, (settings.max_batch, *encoder.preprocessor.shape), np.uint8)
        encode = encoder.encode_images
    else:  # random tokens: all texts have the same length, so the time does not depend on them
        rows = rng.integers(encoder.info.vocab_size, size=(settings.max_batch, encoder.info.context_length))
        rows, encode = rows.astype(np.int32), encoder.encode_texts
    for line in sys.stdin:
        batch, batches = map(int, line.split())
        began_s = time.perf_counter()
        for _ in range(batches):
            encode(rows[:batch])
        print(time.perf_counter() - began_s, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
