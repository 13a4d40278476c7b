"""Makes the stored reference. It needs torch and transformers, which `make parity` installs:

    python -m tests.golden.make

It writes the vocabularies (`*.model`, `tokenizer.json`), `tokens*.json`, `pixels*.npz`, `patches.json` and one
`towers_*.npz` per config. `tests/model/` reads these files without torch. Tokens, pixels, patches and towers record the
package versions.
"""

import hashlib
import json
import platform
from importlib.metadata import version
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image
from transformers import GemmaTokenizer, Siglip2ImageProcessorPil, SiglipImageProcessorPil

from model.checkpoint.hf_config import config_json
from model.preprocess import BICUBIC, BILINEAR
from tests.golden.cases import (
    CONFIGS,
    HERE,
    NAFLEX,
    NAFLEX_PATCHES,
    OTHER_SIZES,
    PATCH_LIMITS,
    TEXTS,
    TEXTS_2,
    naflex_images,
    patch_photos,
    photos,
    pixels,
    token_ids,
)
from tests.golden.vocabulary import train_gemma_vocabulary, train_vocabulary
from tests.parity.reference import (
    Tokenizer,
    reference_model,
    reference_naflex_stages,
    reference_stages,
    siglip_2_tokenizer,
    siglip_tokenizer,
)

PACKAGES = ("torch", "transformers", "sentencepiece", "pillow", "numpy")
LENGTHS, SIDES = (64, 16), (32, 7)


def made_with() -> dict[str, str]:
    """Returns the versions of Python and of the packages that make the outputs."""
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


def make_naflex() -> None:
    model = reference_model(config_json(NAFLEX))
    stages = reference_naflex_stages(model, naflex_images(), token_ids(NAFLEX, 5), NAFLEX_PATCHES)
    np.savez_compressed(HERE / "towers_naflex.npz", made_with=json.dumps(made_with()), **stages)
    patches = {
        f"{name}, at most {limit}": naflex_facts(Image.fromarray(photo), limit)
        for name, photo in patch_photos().items()
        for limit in PATCH_LIMITS
    }
    written = json.dumps({"made_with": made_with(), **patches}, indent=1)
    (HERE / "patches.json").write_text(written + "\n", encoding="utf-8")


def naflex_facts(image: Image.Image, limit: int) -> list[int | str]:
    """Returns the rows and columns of an image's patches, and the sha256 of the patches and their padding."""
    values = Siglip2ImageProcessorPil(max_num_patches=limit)(
        image, return_tensors="np", do_rescale=False, do_normalize=False
    )
    patches = values["pixel_values"].astype(np.uint8)
    return [*values["spatial_shapes"][0].tolist(), hashlib.sha256(patches.tobytes()).hexdigest()]


def make_pixels(name: str, resample: int) -> None:
    answers = {}
    for side in SIDES:
        processor = SiglipImageProcessorPil(size={"height": side, "width": side}, resample=resample)
        for title, photo in photos().items():
            values = processor(Image.fromarray(photo), return_tensors="np", do_rescale=False, do_normalize=False)[
                "pixel_values"
            ][0]
            answers[f"{title} to {side}"] = values.transpose(1, 2, 0).astype(np.uint8)
    np.savez_compressed(HERE / f"{name}.npz", made_with=json.dumps(made_with()), **answers)


def make_tokens(name: str, tokenizer: Tokenizer, texts: list[str]) -> None:
    rows = {str(length): [" ".join(map(str, ids)) for ids in tokenizer(texts, length)] for length in LENGTHS}
    written = json.dumps({"made_with": made_with(), **rows}, indent=1)
    (HERE / f"{name}.json").write_text(written + "\n", encoding="utf-8")


if __name__ == "__main__":
    make_towers()
    make_naflex()
    make_pixels("pixels", BICUBIC)
    make_pixels("pixels_bilinear", BILINEAR)
    make_tokens("tokens", siglip_tokenizer(train_vocabulary(HERE / "spiece.model")), TEXTS)
    with TemporaryDirectory() as directory:
        vocabulary = train_gemma_vocabulary(Path(directory) / "tokenizer.model")
        make_tokens("tokens_2", siglip_2_tokenizer(vocabulary), TEXTS_2)
        GemmaTokenizer.from_pretrained(directory).save_pretrained(directory)
        copyfile(vocabulary, HERE / vocabulary.name)
        values = json.loads((Path(directory) / "tokenizer.json").read_text(encoding="utf-8"))
        (HERE / "tokenizer.json").write_text(json.dumps(values) + "\n", encoding="utf-8")
