import numpy as np
import pytest
from PIL import Image

from app.images.colours.tone_mapping import tone_mapping
from app.images.colours.transfer_curves import HLG, PQ
from tests.app.images.colours.icc_profiles import BT2020_TO_SRGB, P3_TO_SRGB, hlg_light, pq_light, srgb_pixels

PIXELS = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
BT2020, DISPLAY_P3 = 9, 12


def mapped(pixels: np.ndarray, primaries: int, transfer: int, *, full_range: bool = True) -> np.ndarray:
    image = tone_mapping(primaries, transfer, full_range=full_range)(Image.fromarray(pixels))
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


@pytest.mark.parametrize(
    ("primaries", "transfer", "light", "to_srgb"),
    [
        (BT2020, PQ, pq_light, BT2020_TO_SRGB),
        (DISPLAY_P3, PQ, pq_light, P3_TO_SRGB),
        (BT2020, HLG, hlg_light, BT2020_TO_SRGB),
    ],
)
@pytest.mark.parametrize("full_range", [True, False])
def test_light_is_clipped_at_reference_white(primaries, transfer, light, to_srgb, full_range):
    codes = PIXELS / 255 if full_range else ((PIXELS - 16.0) / 219).clip(0, 1)
    expected = srgb_pixels(light(codes) @ to_srgb.T)
    assert np.abs(mapped(PIXELS, primaries, transfer, full_range=full_range) - expected).max() <= 1


@pytest.mark.parametrize(("transfer", "white"), [(PQ, 148), (HLG, 191)])  # 58% of PQ and 75% of HLG are 203 cd/m2
def test_reference_white_is_white(transfer, white):
    levels = np.array([[0, white - 8, white, 255]], np.uint8)
    black, grey, *whites = mapped(levels, BT2020, transfer)[0]
    assert (black == 0).all()
    assert (grey < 250).all()
    assert (np.array(whites) >= 253).all()


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_grey_stays_grey_and_brighter_code_values_are_never_darker(transfer):
    ramp = mapped(np.arange(256, dtype=np.uint8)[None], BT2020, transfer)[0]
    assert np.ptp(ramp, axis=1).max() <= 1
    assert (np.diff(ramp[:, 1]) >= 0).all()
