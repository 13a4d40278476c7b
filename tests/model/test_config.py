import json
from dataclasses import replace

import pytest

from model.config import SigLIPConfig, TextConfig, VisionConfig
from model.published import VARIANTS


def test_a_config_is_equal_after_a_round_trip_through_json():
    config = VARIANTS["SigLIPSo400mP14"]["google_384"].config.with_image_size(378, 252)
    assert SigLIPConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert config.vision.grid == (27, 18)


def test_a_naflex_config_is_equal_after_a_round_trip_through_json_and_has_no_image_size():
    config = VARIANTS["SigLIP2BaseP16NaFlex"]["google_naflex"].config
    assert SigLIPConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert config.vision.grid == (16, 16)
    with pytest.raises(ValueError, match="a NaFlex accepts images of any shape"):
        config.with_image_size(224, 224)


def test_the_width_must_be_a_multiple_of_the_number_of_heads():
    with pytest.raises(ValueError, match=r"multiple of num_heads. Received: 770, 12"):
        TextConfig(width=770)


def test_embed_dim_must_equal_the_width_of_the_image_tower():
    with pytest.raises(ValueError, match=r"embed_dim must equal vision.width, .* Received: 512, 768"):
        SigLIPConfig(embed_dim=512)


@pytest.mark.parametrize(("side", "patch", "grid"), [(224, 16, (14, 14)), (384, 14, (27, 27)), (100, 16, (6, 6))])
def test_the_grid_drops_pixels_that_do_not_fill_a_patch(side, patch, grid):
    assert VisionConfig(image_size=(side, side), patch_size=patch).grid == grid


def test_with_image_size_changes_only_the_image_size():
    config = SigLIPConfig()
    other = config.with_image_size(256, 512)
    assert other.vision.image_size == (256, 512)
    assert replace(other, vision=config.vision) == config
