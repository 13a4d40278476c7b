"""Published accuracy, and the protocol that it was measured with: `presets.json` has both.

The protocol: names and templates of CLIP_benchmark, for ImageNet also the bare label as a template; all prompts
canonicalised, for SigLIP 2 too, whose tokenizer keeps punctuation; the mean over templates, normalised again; the
largest cosine; images squashed and without colour management.

None of the published numbers was measured with this code: it needs the data sets and the weights.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from app.evaluation.metrics import Summary
from app.evaluation.names import DataError
from app.evaluation.result import Estimate
from app.label_sets.definition import LabelDefinition, LabelSetDefinition
from model import zero_shot
from model.text.tokenizer import canonicalize

BARE_TEMPLATE = "{}"


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A data set, and how it is evaluated.

    `key` is its name in CLIP_benchmark's files; `labels`, `images` and `templates` are their numbers there.
    """

    name: str
    title: str
    key: str
    labels: int
    images: int
    templates: int
    bare_template: bool
    metric: Literal["top1", "macro_recall"]

    def definition(self, names: Sequence[str], templates: Sequence[str]) -> LabelSetDefinition:
        """Returns the labels with the prompts of the protocol.

        Raises:
            DataError: The names or templates are not the published ones.
        """
        for what, given, published in (
            ("names", len(names), self.labels),
            ("templates", len(templates), self.templates),
        ):
            if given != published:
                raise DataError(f"{self.title} was published with {published:,} {what}. The file has {given:,}")
        every = [*templates, BARE_TEMPLATE] if self.bare_template else list(templates)
        labels: list[str | LabelDefinition] = [
            LabelDefinition(label=name, prompts=[canonical(prompt) for prompt in zero_shot.prompts([name], every)])
            for name in names
        ]
        return LabelSetDefinition(labels=labels)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A measured accuracy and the published one, in percent."""

    preset: str
    metric: str
    expected: float
    measured: float
    tolerance: float
    within: bool
    images: int
    published_images: int

    @property
    def sentence(self) -> str:
        """The verdict for people."""
        place = "within" if self.within else "not within"
        others = ""
        if self.images != self.published_images:
            others = f". These are {self.images:,} images, but the published number is of {self.published_images:,}"
        return (
            f"{self.preset}: {self.metric} expected {self.expected:.2f}, measured {self.measured:.2f}, {place} the "
            f"tolerance of {self.tolerance:g}{others}"
        )


def canonical(prompt: str) -> str:
    """Returns a prompt as the published numbers have it: `a photo of a T-shirt.` is `a photo of a tshirt`.

    | step                                                        |
    |-------------------------------------------------------------|
    | `_` to a space                                              |
    | ASCII punctuation deleted, lower case, white space collapsed|

    Source: big_vision, pp/tokenizer.py, `canonicalize_text`.
    """
    return canonicalize(prompt.replace("_", " "))


@cache
def _content() -> dict[str, Any]:
    text = files("app.evaluation").joinpath("presets.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


def preset_names() -> list[str]:
    """Returns the names of all presets."""
    return list(_content()["datasets"])


def find_preset(name: str) -> Preset:
    """Returns the preset of a data set in `preset_names`."""
    return Preset(name=name, **_content()["datasets"][name])


def expected_accuracy(preset: Preset, variant: str, weights: str) -> float:
    """Returns the published accuracy in percent.

    Raises:
        DataError: None was published for these weights.
    """
    accuracy: dict[str, dict[str, float]] = _content()["accuracy"]
    model = f"{variant} {weights}"
    known = [name for name, values in accuracy.items() if preset.name in values]
    if model not in known:
        raise DataError(f"no accuracy on {preset.title} is published for {model}. It is for {', '.join(known)}")
    return accuracy[model][preset.name]


def judge(preset: Preset, expected: float, summary: Summary, images: int) -> Verdict:
    """Returns the measured accuracy compared with the published one.

    Args:
        preset: The data set.
        expected: See `expected_accuracy`.
        summary: The measured numbers.
        images: The number of evaluated images.

    Raises:
        DataError: The metric cannot be computed for these images.
    """
    estimate: Estimate | None = summary.top1 if preset.metric == "top1" else summary.macro_recall
    if estimate is None:
        raise DataError(f"{preset.metric} cannot be computed for these images")
    measured, tolerance = 100 * estimate.value, float(_content()["tolerance"])
    return Verdict(
        preset=preset.title,
        metric=preset.metric,
        expected=expected,
        measured=measured,
        tolerance=tolerance,
        within=abs(measured - expected) <= tolerance + 1e-9,
        images=images,
        published_images=preset.images,
    )
