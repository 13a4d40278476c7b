"""Writes a checkpoint of SigLIPBaseP16's size with random weights, for measuring speed without the real weights.

    python -m benchmarks.random_checkpoint DIRECTORY [VARIANT WEIGHTS]     0.8 GB

As in the parity tests, no tensor keeps its initial value, so that different images get different embeddings. The
vocabulary is that of the embedded checkpoint. The scores have no meaning; the speed does not depend on the weights.
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
    print(f"wrote {directory}: {variant} {weights} with random weights")


if __name__ == "__main__":
    main(*sys.argv[1:])
