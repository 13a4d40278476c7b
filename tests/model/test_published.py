"""The published architectures, and the names of variants and weights."""

import math
from dataclasses import replace

import pytest

from model.config import CheckpointError, NaFlexVisionConfig, SigLIPConfig, TextConfig, TowerConfig, VisionConfig
from model.network.siglip import SigLIP
from model.published import EMBEDDED, VARIANTS, choose_weights, variant_of
from tests.golden.cases import CONFIGS
from tests.golden.published import PUBLISHED


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: f"{row.variant}-{row.weights}")
def test_published_checkpoints_match_the_specification(row):
    named = VARIANTS[row.variant][row.weights]
    assert named.hub_id == row.hub_id
    assert named.generation == (2 if row.vocab_size == 256_000 else 1)
    sizes = {"patch_size": row.patch_size, **row.vision._asdict()}
    assert named.config == SigLIPConfig(
        vision=VisionConfig(image_size=(row.image_size, row.image_size), **sizes)
        if row.image_size
        else NaFlexVisionConfig(grid=(16, 16), **sizes),
        text=TextConfig(vocab_size=row.vocab_size, context_length=row.context_length, **row.text._asdict()),
        embed_dim=row.vision.width,
    )


def parameters(config: SigLIPConfig) -> int:
    """Returns the number of parameters, computed from the shapes in the paper.

    The giant model is too large to build in a test.
    """

    def mlp(tower: TowerConfig) -> int:
        return 2 * tower.width * tower.mlp_dim + tower.width + tower.mlp_dim

    def attention(tower: TowerConfig) -> int:
        return 4 * (tower.width**2 + tower.width)

    def transformer(tower: TowerConfig) -> int:
        return tower.depth * (attention(tower) + mlp(tower) + 4 * tower.width) + 2 * tower.width

    vision, text = config.vision, config.text
    patches = math.prod(vision.grid) * vision.width + (3 * vision.patch_size**2 + 1) * vision.width
    pooling = vision.width + attention(vision) + mlp(vision) + 2 * vision.width
    tokens = (text.vocab_size + text.context_length) * text.width
    head = (text.width + 1) * config.embed_dim
    return patches + transformer(vision) + pooling + tokens + transformer(text) + head + 2


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: f"{row.variant}-{row.weights}")
def test_every_published_checkpoint_has_the_published_number_of_parameters(row):
    assert round(parameters(VARIANTS[row.variant][row.weights].config) / 1e6, 2) == row.millions


@pytest.mark.parametrize("name", CONFIGS)
def test_a_small_model_has_the_computed_number_of_parameters(name):
    assert SigLIP(CONFIGS[name]).count_params() == parameters(CONFIGS[name])


def test_the_named_weights_are_the_published_ones_and_the_embedded_one():
    named = {(variant, weights) for variant, known in VARIANTS.items() for weights in known}
    assert named == {row[:2] for row in PUBLISHED} | {EMBEDDED}
    assert VARIANTS[EMBEDDED[0]][EMBEDDED[1]].hub_id is None


@pytest.mark.parametrize(
    ("variant", "weights", "meant"),
    [
        (None, None, EMBEDDED),
        ("SigLIPBaseP16", None, ("SigLIPBaseP16", "google_224")),
        ("SigLIPLargeP16", "google_384", ("SigLIPLargeP16", "google_384")),
        ("SigLIP2GiantOptP16", None, ("SigLIP2GiantOptP16", "google_256")),
        (None, "google_multilingual_256", ("SigLIPBaseP16", "google_multilingual_256")),
        (None, "google_i18n_256", ("SigLIPSo400mP16", "google_i18n_256")),
        ("SigLIPSo400mP16", None, ("SigLIPSo400mP16", "google_i18n_256")),
        (None, EMBEDDED[1], EMBEDDED),
        (None, "some/where", None),
        ("SigLIPBaseP16", "./somewhere", None),
    ],
)
def test_choose_weights_completes_names_and_returns_none_for_a_directory_or_hub_id(variant, weights, meant):
    assert choose_weights(variant, weights) == meant


@pytest.mark.parametrize(
    ("variant", "weights", "known"),
    [
        ("SigLIPHugeP14", None, list(VARIANTS)),
        (None, "google_1024", [row.weights for row in PUBLISHED]),
        ("SigLIPLargeP16", "google_224", ["google_256", "google_384"]),
        (None, "google_384", [row.variant for row in PUBLISHED if row.weights == "google_384"]),
    ],
)
def test_the_error_for_an_unknown_or_ambiguous_name_lists_the_known_ones(variant, weights, known):
    with pytest.raises(CheckpointError) as caught:
        choose_weights(variant, weights)
    assert [name for name in known if name not in str(caught.value)] == []


def test_variant_of_compares_generation_and_towers_but_not_image_size_or_vocabulary():
    config = VARIANTS["SigLIPBaseP16"]["google_224"].config
    tuned = replace(config.with_image_size(512, 256), text=replace(config.text, vocab_size=256_000))
    assert (variant_of(tuned), variant_of(tuned, generation=2)) == ("SigLIPBaseP16", "SigLIP2BaseP16")
    assert variant_of(replace(config, text=replace(config.text, depth=6))) is None
    giant = VARIANTS["SigLIP2GiantOptP16"]["google_384"].config
    assert (variant_of(giant), variant_of(giant, generation=2)) == (None, "SigLIP2GiantOptP16")
