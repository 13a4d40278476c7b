"""Transfer curves: from code values to linear light, by their code points in ITU-T H.273, and sRGB's inverse."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

UNSPECIFIED, SRGB, PQ, HLG = 2, 13, 16, 18
HDR = (PQ, HLG)

# SMPTE ST 2084 (PQ) and ARIB STD-B67 (HLG)
PQ_M1, PQ_M2, PQ_C1, PQ_C2, PQ_C3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
PQ_PEAK = 10_000  # cd/m2
HLG_A, HLG_B, HLG_C = 0.17883277, 0.28466892, 0.55991073


def srgb(codes: Floats) -> Floats:
    """Returns the light of sRGB code values."""
    return np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4)


def srgb_codes(light: Floats) -> Floats:
    """Returns the sRGB code values of light."""
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def power(exponent: float, scale: float = 1.0) -> Callable[[Floats], Floats]:
    """Returns the curve that raises code values to a power."""
    return lambda codes: scale * codes**exponent


def smpte_240m(codes: Floats) -> Floats:
    """Returns the light of SMPTE 240M code values."""
    return np.where(codes <= 0.0913, codes / 4, ((codes + 0.1115) / 1.1115) ** (1 / 0.45))


def pq(codes: Floats) -> Floats:
    """Returns the light of PQ code values in cd/m2."""
    root = codes ** (1 / PQ_M2)
    return PQ_PEAK * (np.maximum(root - PQ_C1, 0) / (PQ_C2 - PQ_C3 * root)) ** (1 / PQ_M1)


def hlg(codes: Floats) -> Floats:
    """Returns the light of the scene of HLG code values, from 0 to 1."""
    return np.where(codes <= 0.5, codes**2 / 3, (np.exp((codes - HLG_C) / HLG_A) + HLG_B) / 12)


# H.273 defines the curves of television (BT.709, BT.601, xvYCC, BT.1361, BT.2020) for cameras, not for displays.
# Chromium and most media players display them with sRGB's curve, and so does this service.
CURVES: dict[int, Callable[[Floats], Floats]] = {
    **dict.fromkeys((1, 6, 11, 12, 14, 15, SRGB), srgb),
    4: power(2.2),
    5: power(2.8),
    7: smpte_240m,
    8: power(1),
    17: power(2.6, 52.37 / 48),
    PQ: pq,
    HLG: hlg,
}


def light_of_codes(curve: Callable[[Floats], Floats], *, full_range: bool = True) -> Floats:
    """Returns the light of each 8-bit code, [256]. In narrow range, 16 is black and 235 is white."""
    codes = np.arange(256) / 255
    if not full_range:
        codes = ((255 * codes - 16) / 219).clip(0, 1)
    return curve(codes)
