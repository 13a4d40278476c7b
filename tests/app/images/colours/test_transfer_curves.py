import numpy as np
import pytest

from app.images.colours.transfer_curves import CURVES, HLG, PQ, SRGB, light_of_codes, pq, srgb, srgb_codes

# Published points of the curves: code value, light
POINTS = [
    (SRGB, 0.04045, 0.0031308),
    (SRGB, 188 / 255, 0.5029),
    (1, 188 / 255, 0.5029),
    (4, 0.5, 0.2176),
    (5, 0.5, 0.1436),
    (7, 0.0913, 0.0228),
    (8, 0.5, 0.5),
    (17, 48 ** (1 / 2.6) / 52.37 ** (1 / 2.6), 1.0),  # white of digital cinema
    (PQ, 0.5081, 100),
    (PQ, 0.5807, 203),
    (PQ, 0.7518, 1_000),
    (PQ, 1.0, 10_000),
    (HLG, 0.5, 1 / 12),
    (HLG, 0.75, 0.2650),
    (HLG, 1.0, 1.0),
]


@pytest.mark.parametrize(("transfer", "code", "light"), POINTS)
def test_curves_go_through_published_points(transfer, code, light):
    assert CURVES[transfer](np.array(code)) == pytest.approx(light, rel=2e-3)


@pytest.mark.parametrize("transfer", CURVES)
def test_curves_begin_at_black_and_rise(transfer):
    light = light_of_codes(CURVES[transfer])
    assert light.shape == (256,)
    assert light[0] == pytest.approx(0, abs=1e-6)
    assert (np.diff(light) > 0).all()


def test_srgb_codes_are_the_inverse_of_srgb():
    codes = np.linspace(0, 1, 1_001)
    assert srgb_codes(srgb(codes)) == pytest.approx(codes, abs=1e-5)


def test_narrow_range_is_16_to_235():
    light = light_of_codes(pq, full_range=False)
    assert (light[:17] == light[0]).all()
    assert light[235:] == pytest.approx(10_000)
    assert light[17] > light[16]
    assert light[234] < light[235]
