"""Architectures and names."""

import json
from dataclasses import replace

import pytest

from model.config import (
    EMBEDDED,
    VARIANTS,
    CheckpointError,
    SigLIPConfig,
    TextConfig,
    VisionConfig,
    choose_weights,
    variant_of,
)
from tests.golden.published import PUBLISHED


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: f"{row.variant}-{row.weights}")
def test_the_nine_published_checkpoints_are_what_the_specification_says(row):
    tower = {"width": row.width, "depth": row.depth, "num_heads": row.num_heads, "mlp_dim": row.mlp_dim}
    assert VARIANTS[row.variant][row.weights].hub_id == row.hub_id
    assert VARIANTS[row.variant][row.weights].config == SigLIPConfig(
        vision=VisionConfig(image_size=(row.image_size, row.image_size), patch_size=row.patch_size, **tower),
        text=TextConfig(vocab_size=row.vocab_size, context_length=row.context_length, **tower),
        embed_dim=row.width,
    )


def test_besides_the_nine_there_is_the_embedded_one_alone():
    named = {(variant, weights) for variant, known in VARIANTS.items() for weights in known}
    assert named == {row[:2] for row in PUBLISHED} | {EMBEDDED}
    assert VARIANTS[EMBEDDED[0]][EMBEDDED[1]].hub_id is None


def test_a_config_survives_json():
    config = VARIANTS["SigLIPSo400mP14"]["google_384"].config.with_image_size(378, 252)
    assert SigLIPConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert config.vision.grid == (27, 18)


@pytest.mark.parametrize(
    ("variant", "weights", "meant"),
    [
        (None, None, EMBEDDED),
        ("SigLIPBaseP16", None, ("SigLIPBaseP16", "google_224")),
        ("SigLIPLargeP16", "google_384", ("SigLIPLargeP16", "google_384")),
        (None, "google_512", ("SigLIPBaseP16", "google_512")),
        (None, EMBEDDED[1], EMBEDDED),
        (None, "some/where", None),
        ("SigLIPBaseP16", "./somewhere", None),
    ],
)
def test_names_are_completed_or_left_as_directory_or_hub_id(variant, weights, meant):
    assert choose_weights(variant, weights) == meant


@pytest.mark.parametrize(
    ("variant", "weights", "known"),
    [
        ("SigLIPHugeP14", None, list(VARIANTS)),
        (None, "google_1024", [row.weights for row in PUBLISHED]),
        ("SigLIPLargeP16", "google_224", ["google_256", "google_384"]),
        (None, "google_384", ["SigLIPBaseP16", "SigLIPLargeP16", "SigLIPSo400mP14"]),
    ],
)
def test_an_unknown_or_ambiguous_name_lists_the_known_ones(variant, weights, known):
    with pytest.raises(CheckpointError) as caught:
        choose_weights(variant, weights)
    assert [name for name in known if name not in str(caught.value)] == []


def test_a_variant_is_known_by_its_towers_whatever_the_image_size_and_vocabulary():
    config = VARIANTS["SigLIPBaseP16"]["google_224"].config
    assert (
        variant_of(replace(config.with_image_size(512, 256), text=replace(config.text, vocab_size=256_000)))
        == "SigLIPBaseP16"
    )
    assert variant_of(replace(config, text=replace(config.text, depth=6))) is None
