"""A checkpoint of SigLIPBaseP16's size and random weights, for who has no real ones: speed does not depend on them.

    python -m benchmarks.random_checkpoint DIRECTORY [VARIANT WEIGHTS]     0.8 GB

No tensor is at its initial value, as in the parity tests, so that embeddings differ from image to image. Texts are
read by the embedded checkpoint's vocabulary. What it says about an image means nothing.
"""

import sys

import numpy as np

from model.checkpoint.tensor_table import tensor_table, to_keras
from model.checkpoint.weights import save_checkpoint
from model.network.siglip import SigLIP
from model.processor import SigLIPProcessor
from model.published import EMBEDDED, VARIANTS
from tests.golden.cases import perturbed_tensor


def main(directory: str, variant: str = "SigLIPBaseP16", weights: str = "google_224") -> None:
    """Writes the checkpoint."""
    model = SigLIP(VARIANTS[variant][weights].config)
    for name, slot in tensor_table(model).items():
        for variable, part in zip(
            slot.variables, np.split(perturbed_tensor(name, slot.shape()), len(slot.variables)), strict=True
        ):
            variable.assign(to_keras(slot.layout, part))
    save_checkpoint(model, directory, tokenizer=SigLIPProcessor(*EMBEDDED).tokenizer)
    print(f"{directory}: {variant} at the size of {weights}, of random weights")


if __name__ == "__main__":
    main(*sys.argv[1:])
