"""Makes the stored reference again, where torch and transformers are installed (`make parity` installs them):

    python -m tests.golden.make

Writes `spiece.model`, `tokens.json`, `pixels.npz` and one `towers_*.npz` a config. `tests/model/` reads them without
torch. Each file says what it was made with.
"""

import json
import platform
from importlib.metadata import version

import numpy as np
from PIL import Image
from transformers import SiglipImageProcessorPil, SiglipTokenizer

from model.hf_files import config_json
from tests.golden.cases import CONFIGS, HERE, OTHER_SIZES, TEXTS, photos, pixels, token_ids
from tests.golden.vocabulary import train_vocabulary
from tests.parity.reference import reference_model, reference_stages

PACKAGES = ("torch", "transformers", "sentencepiece", "pillow", "numpy")
LENGTHS, SIDES = (64, 16), (32, 7)


def made_with() -> dict[str, str]:
    """Returns the versions that the answers are of."""
    return {"python": platform.python_version(), **{package: version(package) for package in PACKAGES}}


def make_towers() -> None:
    for name, config in CONFIGS.items():
        model = reference_model(config_json(config))
        ids = token_ids(config, 5)
        answers = reference_stages(model, pixels(config.vision.image_size, 3), ids)
        for height, width in OTHER_SIZES.get(name, []):
            stages = reference_stages(model, pixels((height, width), 3), ids)
            answers[f"image_logits {height} x {width}"] = stages["image_logits"]
        np.savez_compressed(HERE / f"towers_{name}.npz", made_with=json.dumps(made_with()), **answers)


def make_pixels() -> None:
    answers = {}
    for side in SIDES:
        processor = SiglipImageProcessorPil(size={"height": side, "width": side})
        for name, photo in photos().items():
            values = processor(Image.fromarray(photo), return_tensors="np", do_rescale=False, do_normalize=False)[
                "pixel_values"
            ][0]
            answers[f"{name} to {side}"] = values.transpose(1, 2, 0).astype(np.uint8)
    np.savez_compressed(HERE / "pixels.npz", made_with=json.dumps(made_with()), **answers)


def make_tokens() -> None:
    tokenizer = SiglipTokenizer(str(train_vocabulary(HERE / "spiece.model")))
    answers = {
        str(length): tokenizer(TEXTS, padding="max_length", truncation=True, max_length=length)["input_ids"]
        for length in LENGTHS
    }
    rows = {
        "made_with": made_with(),
        **{length: [" ".join(map(str, ids)) for ids in rows] for length, rows in answers.items()},
    }
    (HERE / "tokens.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    make_towers()
    make_pixels()
    make_tokens()
