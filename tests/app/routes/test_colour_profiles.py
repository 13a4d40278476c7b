"""`SIGLIP_COLOR_PROFILES`, from the setting to the scores."""

from itertools import product

import numpy as np
import pytest

from tests.app.image_files import encoded, plain_image
from tests.app.images.colours.icc_profiles import ADOBE_RGB
from tests.fakes import FakeEncoder

STORED = (120, 160, 90)
FILE = encoded(plain_image(STORED), icc_profile=ADOBE_RGB)


def in_srgb(adobe: tuple[int, int, int]) -> np.ndarray:
    """Returns sRGB values for Adobe RGB ones, by the formulas of IEC 61966-2-1 and of Adobe RGB (1998), 4.3."""
    to_xyz = np.array([[0.57667, 0.18556, 0.18823], [0.29734, 0.62736, 0.07529], [0.02703, 0.07069, 0.99134]])
    to_rgb = np.array([[3.24096, -1.53737, -0.49861], [-0.96924, 1.87597, 0.04156], [0.05563, -0.20398, 1.05697]])
    light = (to_rgb @ to_xyz @ (np.array(adobe) / 255) ** (563 / 256)).clip(0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize(
    ("policy", "colour", "tolerance", "notes"),
    [("convert", in_srgb(STORED), 1, ["converted_from_icc"]), ("ignore", np.array(STORED), 0, [])],
)
def test_the_setting_decides_which_pixels_are_scored(running, policy, colour, tolerance, notes):
    encoder = FakeEncoder()
    with running(encoder, color_profiles=policy) as client:
        answer = client.post("/classify", files={"image": FILE}, data={"labels": "cat"}).json()
        assert client.get("/info").json()["color_profiles"] == policy
    assert answer["image"]["notes"] == notes
    # The fake's logit differs for each colour. LittleCMS computes with 16 bits, so a channel may differ by one level.
    possible = [
        encoder.logit(plain_image(tuple(colour.round().astype(int) + step)), "This is a photo of cat.")
        for step in product(range(-tolerance, tolerance + 1), repeat=3)
    ]
    (score,) = answer["scores"]
    assert min(abs(score["logit"] - logit) for logit in possible) < 1e-5


def test_an_image_without_a_profile_is_the_same_for_both(running):
    answers = []
    for policy in ("convert", "ignore"):
        with running(color_profiles=policy) as client:
            form = {"files": {"image": encoded(plain_image(STORED))}, "data": {"labels": "cat"}}
            answers.append(client.post("/classify", **form).json())
    assert answers[0] == answers[1]
