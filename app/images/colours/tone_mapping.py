"""Maps HDR colours (PQ and HLG) to sRGB.

The rule: the reference white of HDR, 203 cd/m2 (ITU-R BT.2408), becomes white. Each channel that is brighter in sRGB's
primaries is clipped. PQ gives the light in cd/m2. HLG is shown as on a display of 1,000 cd/m2, for which ITU-R BT.2100
gives the system gamma 1.2; its reference white then has 75% of the code range.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image

from app.images.colours.made_profiles import PRIMARIES, SRGB_CHROMATICITIES, adapt_to_d50, xyz_matrix
from app.images.colours.transfer_curves import CURVES, HLG, light_of_codes, srgb_codes

REFERENCE_WHITE, HLG_PEAK = 203, 1_000  # cd/m2
HLG_GAMMA = 1.2

# The 8-bit sRGB code of linear light from 0 to 1. Two neighbours differ by at most a quarter of a code.
ENCODED = np.rint(255 * srgb_codes(np.linspace(0, 1, 2**14))).astype(np.uint8)


def tone_mapping(primaries: int, transfer: int, *, full_range: bool) -> Callable[[Image.Image], Image.Image]:
    """Returns a function from an L or RGB image to sRGB.

    Args:
        primaries: A code point of H.273 in `PRIMARIES`.
        transfer: `PQ` or `HLG`.
        full_range: Whether the codes use the full range, or 16 to 235.
    """
    to_xyz = xyz_matrix(PRIMARIES[primaries])
    from_srgb = adapt_to_d50(xyz_matrix(SRGB_CHROMATICITIES))
    to_srgb = np.linalg.solve(from_srgb, adapt_to_d50(to_xyz)).astype(np.float32)
    light = light_of_codes(CURVES[transfer], full_range=full_range)
    light_by_code = (light * (HLG_PEAK if transfer == HLG else 1) / REFERENCE_WHITE).astype(np.float32)
    luminance = (to_xyz[1] * REFERENCE_WHITE / HLG_PEAK).astype(np.float32)  # of the scene, from 0 to 1

    def convert(image: Image.Image) -> Image.Image:
        rgb = light_by_code[np.asarray(image.convert("RGB"))]
        if transfer == HLG:
            rgb *= ((rgb @ luminance) ** (HLG_GAMMA - 1))[..., None]
        rgb = rgb @ to_srgb.T
        np.clip(rgb, 0, 1, out=rgb)
        rgb *= len(ENCODED) - 1
        return Image.fromarray(ENCODED[np.rint(rgb, out=rgb).astype(np.uint16)])

    return convert
