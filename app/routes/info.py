"""GET /info: what is loaded, how it treats its input, and what it accepts."""

import math
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from app import __version__, images, labels
from app.errors import NotReady
from app.inference.engine import Engine
from app.label_sets.store import MAX_LABEL_SETS
from app.schemas import problem_responses
from app.settings import Settings

router = APIRouter()


class Limits(BaseModel):
    """What a request may not exceed."""

    max_body_bytes: int
    max_image_pixels: int
    max_side_pixels: int
    max_frames: int
    max_images: int
    max_labels: int
    max_label_characters: int
    max_text_characters: int
    max_label_sets: int
    request_timeout_s: Annotated[float | None, Field(description="null: no limit")]
    max_templates: int
    image_formats: list[str]


class Info(BaseModel):
    """`scale` and `bias` make a logit of a cosine: logit = scale * cos + bias."""

    variant: str
    weights: str
    revision: str | None
    sha256: str
    demonstration: bool
    image_size: tuple[int, int]
    context_length: int
    embed_dim: int
    vocab_size: int
    dtype: str
    device: str
    engine: str
    preprocessing: str
    canonicalisation: str
    scale: float
    bias: float
    limits: Limits
    version: str


@router.get("/info", responses=problem_responses(NotReady))
async def info(request: Request) -> Info:
    """Answers the facts about the loaded model. A demonstration model is for pictograms, not photos."""
    settings: Settings = request.app.state.settings
    engine: Engine = request.app.state.engine
    encoder = engine.encoder
    limits = Limits(
        max_body_bytes=settings.max_body_bytes,
        max_image_pixels=settings.max_image_pixels,
        max_side_pixels=images.MAX_SIDE_PIXELS,
        max_frames=images.MAX_FRAMES,
        max_images=settings.max_images,
        max_labels=settings.max_labels,
        max_label_characters=labels.MAX_TEXT_CHARACTERS,
        max_text_characters=labels.MAX_PROMPT_CHARACTERS,
        max_label_sets=MAX_LABEL_SETS,
        request_timeout_s=None if math.isinf(settings.request_timeout_s) else settings.request_timeout_s,
        max_templates=labels.MAX_TEMPLATES,
        image_formats=[form.name for form in images.FORMATS],
    )
    facts = {name: getattr(encoder.info, name) for name in Info.model_fields if hasattr(encoder.info, name)}
    return Info(**facts, scale=encoder.scale, bias=encoder.bias, limits=limits, version=__version__)
