"""Our model's answer at every stage that is compared with the reference, and how far apart the two may be."""

from typing import NamedTuple

import numpy as np

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
COSINE, LOGIT = 5e-6, 1e-3


class Agreement(NamedTuple):
    """How far two models are apart: worst cosine, logit, and stage in units of its spread; and the ranking."""

    cosine: float
    logit: float
    stage: float
    same_ranking: bool
    cosine_spread: float


def our_stages(model: SigLIP, images: np.ndarray, token_ids: np.ndarray) -> dict[str, np.ndarray]:
    """Returns each stage's answer as NumPy; the embeddings and logits are those of the whole model's call."""
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


def agreement(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> Agreement:
    """Returns how far two answers are apart; the cosines are computed in float64 from the embeddings."""
    cosines = [np.float64(s["image_embedding"]) @ np.float64(s["text_embedding"]).T for s in (ours, theirs)]
    return Agreement(
        cosine=float(np.abs(cosines[0] - cosines[1]).max()),
        logit=max(float(np.abs(ours[name] - theirs[name]).max()) for name in ("image_logits", "text_logits")),
        stage=max(float(np.abs(ours[name] - theirs[name]).max() / theirs[name].std()) for name in STAGES),
        same_ranking=bool((ours["image_logits"].argsort() == theirs["image_logits"].argsort()).all()),
        cosine_spread=float(min(cosines[1].std(axis=axis).mean() for axis in (0, 1))),
    )
