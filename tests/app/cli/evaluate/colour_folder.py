"""The labels, the images and the expected scores of the folder that most tests of the command use."""

from pathlib import Path

import numpy as np

from tests.app.image_files import encoded, plain_image
from tests.fakes import FakeEncoder

LABELS = ["blue", "green", "red"]
TEMPLATE = "This is a photo of {}."


def colours(label: int, count: int = 6) -> list[tuple[int, int, int]]:
    """Returns different colours, the images of a label."""
    return [(10 + 20 * label, 7 * index, 200 - label) for index in range(count)]


def write_folder(folder: Path, count: int) -> Path:
    """Writes a folder with three labels of `count` images each. Returns it."""
    for label, name in enumerate(LABELS):
        (folder / name).mkdir(parents=True)
        for index, colour in enumerate(colours(label, count)):
            (folder / name / f"{index}.png").write_bytes(encoded(plain_image(colour)))
    return folder


def expected_logits(prompts: list[str]) -> np.ndarray:
    """Returns the logits of the folder's 18 images, in order, [18, K]."""
    encoder = FakeEncoder()
    return np.array(
        [[encoder.logit(plain_image(colour), prompt) for prompt in prompts] for k in range(3) for colour in colours(k)]
    )


def top1(prompts: list[str], labels: list[int] | None = None) -> float:
    """Returns the share of the folder's images whose best prompt is that of its label."""
    true = np.repeat(labels or [0, 1, 2], 6)
    return float((expected_logits(prompts).argmax(axis=1) == true).mean())
