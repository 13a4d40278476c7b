"""GET /info: the loaded model, how it treats its input, and the limits."""

import math
from dataclasses import asdict, dataclass
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from app import __version__, labels
from app.errors import NotReady
from app.http.problems import problem_responses
from app.images.decode import PIXEL_PIPELINE
from app.images.identify import ACCEPTED
from app.images.raster import MAX_FRAMES, MAX_SIDE_PIXELS
from app.inference.embeddings import FINGERPRINT
from app.inference.engine import Engine
from app.inference.identity import cache_key, model_fingerprint
from app.label_sets.examples import MAX_LABEL_EXAMPLES
from app.label_sets.store import MAX_LABEL_SETS
from app.schemas import MODEL, example
from app.settings import Settings
from model.config import EncoderInfo

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
    max_examples: Annotated[int, Field(description="Of a label set, counterexamples included.")]
    max_label_examples: Annotated[int, Field(description="Of a label; and as many counterexamples.")]
    request_timeout_s: Annotated[float | None, Field(description="null: no limit")]
    max_templates: int
    image_formats: list[str]


@dataclass(frozen=True, kw_only=True)
class Info(EncoderInfo):
    """The facts about the model. `scale` and `bias` turn a cosine into a logit: logit = scale * cos + bias."""

    __pydantic_config__ = example(
        {
            **MODEL,
            "revision": "7fd15f0689c79d79e38b1c2e2e2370a7bf2761ed",
            "sha256": "2c63cb7d1f2e95ba501893cbb8faeb4ea9a3af295498d35097126228659c2af8",
            "demonstration": False,
            "image_size": [224, 224],
            "context_length": 64,
            "embed_dim": 768,
            "vocab_size": 32000,
            "dtype": "float32",
            "device": "CPU",
            "engine": "tensorflow",
            "preprocessing": "whole image squashed to 224 x 224 by Pillow's antialiased bicubic on uint8, "
            "then x / 127.5 - 1",
            "canonicalisation": "lower case, ASCII punctuation deleted, white space collapsed; pieces of spiece.model; "
            "</s>; padded with </s>",
            "scale": 117.3308,
            "bias": -12.93244,
            "pixel_pipeline": 2,
            "color_profiles": "convert",
            "model_fingerprint": FINGERPRINT,
            "cache_key": "0d3c5e0a4b9b8f7761a2c9d8e7f6051423324b5c6d7e8f90a1b2c3d4e5f60718",
            "limits": {
                "max_body_bytes": 20_000_000,
                "max_image_pixels": 50_000_000,
                "max_side_pixels": 32_768,
                "max_frames": 1_000,
                "max_images": 64,
                "max_labels": 10_000,
                "max_label_characters": 256,
                "max_text_characters": 1_024,
                "max_label_sets": 1_000,
                "max_examples": 10_000,
                "max_label_examples": 1_000,
                "request_timeout_s": 60.0,
                "max_templates": 100,
                "image_formats": ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"],
            },
            "version": "0.1.0",
        }
    )

    scale: float
    bias: float
    pixel_pipeline: Annotated[
        int, Field(description="How files become pixels. It grows whenever the pixels of some file change.")
    ]
    color_profiles: Annotated[str, Field(description="convert, or ignore: what is done with colour profiles.")]
    model_fingerprint: Annotated[
        str, Field(description="Stored embeddings, thresholds and examples are valid for encoders with the same one.")
    ]
    cache_key: Annotated[
        str, Field(description="For caches of embeddings: includes dtype, engine, device and versions.")
    ]
    limits: Limits
    version: str


@router.get("/info", responses=problem_responses(NotReady))
async def info(request: Request) -> Info:
    """Returns the facts about the loaded model. A demonstration model is for pictograms, not photos."""
    settings: Settings = request.app.state.settings
    engine: Engine = request.app.state.engine
    encoder = engine.encoder
    limits = Limits(
        max_body_bytes=settings.max_body_bytes,
        max_image_pixels=settings.max_image_pixels,
        max_side_pixels=MAX_SIDE_PIXELS,
        max_frames=MAX_FRAMES,
        max_images=settings.max_images,
        max_labels=settings.max_labels,
        max_label_characters=labels.MAX_TEXT_CHARACTERS,
        max_text_characters=labels.MAX_PROMPT_CHARACTERS,
        max_label_sets=MAX_LABEL_SETS,
        max_examples=settings.max_examples,
        max_label_examples=MAX_LABEL_EXAMPLES,
        request_timeout_s=None if math.isinf(settings.request_timeout_s) else settings.request_timeout_s,
        max_templates=labels.MAX_TEMPLATES,
        image_formats=ACCEPTED,
    )
    return Info(
        **asdict(encoder.info),
        scale=encoder.scale,
        bias=encoder.bias,
        pixel_pipeline=PIXEL_PIPELINE,
        color_profiles=settings.color_profiles,
        model_fingerprint=model_fingerprint(encoder.info, settings),
        cache_key=await engine.in_thread(cache_key, encoder.info, settings),
        limits=limits,
        version=__version__,
    )
