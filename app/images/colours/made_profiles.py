"""Makes ICC profiles for colours that a file describes by chromaticities and a curve."""

import struct

import numpy as np
from numpy.typing import ArrayLike, NDArray

Chromaticities = tuple[float, ...]  # x and y of white, red, green and blue

D65, C = (0.3127, 0.3290), (0.310, 0.316)
D50_XYZ = (0.9642, 1.0, 0.8249)  # the white of ICC's connection space
SMPTE_170M = (*D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070)
SRGB_CHROMATICITIES = (*D65, 0.640, 0.330, 0.300, 0.600, 0.150, 0.060)

# Code points of colour primaries in ITU-T H.273
PRIMARIES: dict[int, Chromaticities] = {
    1: SRGB_CHROMATICITIES,  # BT.709
    4: (*C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),  # BT.470 M
    5: (*D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),  # BT.470 BG
    6: SMPTE_170M,
    7: SMPTE_170M,  # SMPTE 240M
    8: (*C, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),  # film
    9: (*D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),  # BT.2020 and BT.2100
    10: (1 / 3, 1 / 3, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0),  # CIE XYZ
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),  # DCI-P3
    12: (*D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),  # Display P3
    22: (*D65, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077),  # EBU Tech 3213
}

BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def xyz_matrix(chromaticities: Chromaticities) -> NDArray[np.float64]:
    """Returns the matrix from linear RGB to CIE XYZ, [3, 3], which makes white's Y 1.

    Raises:
        ValueError: No such colour space exists.
    """
    x, y = np.array(chromaticities, np.float64).reshape(4, 2).T
    xyz = np.stack([x, y, 1 - x - y])
    white, primaries = xyz[:, 0], xyz[:, 1:]
    if not np.isfinite(xyz).all() or y[0] < 0.01 or abs(np.linalg.det(primaries)) < 0.001:
        raise ValueError("The chromaticities do not describe a colour space.")
    return primaries * np.linalg.solve(primaries, white / y[0])


def adapt_to_d50(to_xyz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns a matrix to CIE XYZ whose white is adapted to D50 by Bradford's method."""
    white = to_xyz.sum(axis=1)
    adapted = (BRADFORD @ to_xyz) * ((BRADFORD @ D50_XYZ) / (BRADFORD @ white))[:, None]
    return np.linalg.solve(BRADFORD, adapted)


def matrix_profile(chromaticities: Chromaticities, light: NDArray[np.float64]) -> bytes:
    """Returns an RGB profile of ICC version 2.

    Args:
        chromaticities: Of white, red, green and blue.
        light: The light of each 8-bit code, [256], from 0 to 1.

    Raises:
        ValueError: No such colour space exists.
    """
    columns = [D50_XYZ, *adapt_to_d50(xyz_matrix(chromaticities)).T]
    bodies = [b"XYZ \0\0\0\0" + fixed_point(column) for column in columns]
    bodies.append(b"curv\0\0\0\0" + struct.pack(">I256H", 256, *np.rint(65_535 * light.clip(0, 1)).astype(int)))
    names = [b"wtpt", b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC"]
    start = 128 + 4 + 12 * len(names)
    table, positions = struct.pack(">I", len(names)), np.cumsum([start, *map(len, bodies)])
    for number, name in enumerate(names):
        shared = min(number, len(bodies) - 1)  # the three channels have one curve
        table += name + struct.pack(">II", positions[shared], len(bodies[shared]))
    data = table + b"".join(bodies)
    header = struct.pack(">I4sI4s4s4s12x4s28x", 128 + len(data), b"", 0x02400000, b"mntr", b"RGB ", b"XYZ ", b"acsp")
    return (header + fixed_point(D50_XYZ)).ljust(128, b"\0") + data


def fixed_point(values: ArrayLike) -> bytes:
    """Returns numbers as ICC's s15Fixed16.

    Raises:
        ValueError: A number is too large.
    """
    scaled = np.rint(65_536 * np.asarray(values, np.float64))
    if not (np.abs(scaled) < 2**31).all():
        raise ValueError("A number is too large for an ICC profile.")
    return scaled.astype(">i4").tobytes()
