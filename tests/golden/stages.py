"""The outputs of each stage of our model, and their comparison with the reference."""

from typing import NamedTuple

import numpy as np

from model.network.naflex import split_records
from model.network.siglip import SigLIP

STAGES = (
    "image_tokens",
    "image_hidden",
    "image_pooled",
    "text_tokens",
    "text_pooled",
    "image_embedding",
    "text_embedding",
    "image_logits",
    "text_logits",
)
COSINE, LOGIT, STAGE = 5e-6, 1e-3, 1e-4


class Difference(NamedTuple):
    """The largest differences between two models: of cosines, logits and stage outputs, and whether rankings are equal.

    `stage` is in units of the standard deviation of the stage's output. `cosine_spread` is the smaller mean standard
    deviation of the reference's cosines, over images or over texts.
    """

    cosine: float
    logit: float
    stage: float
    same_ranking: bool
    cosine_spread: float

    @property
    def proves_equal(self) -> bool:
        """Whether all is within the tolerances, for cosines that differ enough: almost equal ones prove nothing."""
        small = self.cosine <= COSINE and self.logit <= LOGIT and self.stage <= STAGE
        return small and self.same_ranking and self.cosine_spread > 300 * COSINE


def our_stages(model: SigLIP, images: np.ndarray, token_ids: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the output of each stage as NumPy. Embeddings and logits come from a call of the whole model."""
    vision, text = model.vision, model.text
    x = tokens = vision.embedding(images.astype(np.float32) / 127.5 - 1)
    for block in vision.blocks:
        x = block(x)
    hidden = vision.norm(x)
    output = model({"images": images, "token_ids": token_ids})
    stages = {
        **output,
        "image_tokens": tokens,
        "image_hidden": hidden,
        "image_pooled": vision.head(hidden),
        "text_tokens": text.embedding(token_ids),
        "text_pooled": text(token_ids),
    }
    return {name: np.asarray(stages[name]) for name in STAGES}


def our_naflex_stages(model: SigLIP, records: np.ndarray, token_ids: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the output of each stage as NumPy, for records [B, R]; the positions of padding are zero."""
    vision, text = model.vision, model.text
    patches, grids = split_records(records, vision.patch_size)
    x = tokens = vision.embedding(np.asarray(patches, np.float32) / 127.5 - 1, grids)
    valid = np.arange(patches.shape[1]) < np.prod(grids, axis=1, keepdims=True)
    for block in vision.blocks:
        x = block(x, valid)
    hidden = vision.norm(x)
    stages = {
        **model({"images": records, "token_ids": token_ids}),
        "image_tokens": tokens * valid[:, :, None],
        "image_hidden": hidden * valid[:, :, None],
        "image_pooled": vision.head(hidden, valid),
        "text_tokens": text.embedding(token_ids),
        "text_pooled": text(token_ids),
    }
    return {name: np.asarray(stages[name]) for name in STAGES}


def compare_stages(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> Difference:
    """Returns the differences of two models' outputs at the stages of `ours`: all of them, or embeddings and logits.

    Cosines are computed from the embeddings in float64.
    """
    cosines = [np.float64(s["image_embedding"]) @ np.float64(s["text_embedding"]).T for s in (ours, theirs)]
    return Difference(
        cosine=float(np.abs(cosines[0] - cosines[1]).max()),
        logit=max(float(np.abs(ours[name] - theirs[name]).max()) for name in ("image_logits", "text_logits")),
        stage=max(float(np.abs(ours[name] - theirs[name]).max() / theirs[name].std()) for name in ours),
        same_ranking=bool((ours["image_logits"].argsort() == theirs["image_logits"].argsort()).all()),
        cosine_spread=float(min(cosines[1].std(axis=axis).mean() for axis in (0, 1))),
    )
