"""Small ICC profiles for tests, written byte by byte, and formulas for the colours of these profiles and of HDR.

The colorants and matrices are published ones; nothing here uses the service's own code.
"""

import struct
from collections.abc import Callable

import numpy as np
from PIL import ImageCms

D50 = (0.9642, 1.0, 0.8249)
# Linear RGB -> XYZ under D50
DISPLAY_P3_XYZ = ((0.51512, 0.29198, 0.1571), (0.2412, 0.69225, 0.06657), (-0.00105, 0.04189, 0.78407))
ADOBE_RGB_XYZ = ((0.60974, 0.20528, 0.14919), (0.31111, 0.62567, 0.06322), (0.01947, 0.06087, 0.74457))
PROPHOTO_XYZ = ((0.7976749, 0.1351917, 0.0313534), (0.2880402, 0.7118741, 0.0000857), (0.0, 0.0, 0.82521))
# XYZ under D50 -> linear sRGB
XYZ_TO_SRGB = np.array(
    ((3.1338561, -1.6168667, -0.4906146), (-0.9787684, 1.9161415, 0.0334540), (0.0719453, -0.2289914, 1.4052427))
)
# Linear RGB -> linear sRGB, as published. PQ's light is up to 49 times white's, so that BT.2087's 4 digits do not do.
BT2020_TO_SRGB = np.array(
    ((1.660491, -0.587641, -0.072850), (-0.124550, 1.132900, -0.008349), (-0.018151, -0.100579, 1.118730))
)
P3_TO_SRGB = np.array(((1.224940, -0.224940, 0.0), (-0.042057, 1.042057, 0.0), (-0.019638, -0.078636, 1.098274)))

Curve = Callable[[np.ndarray], np.ndarray]


def srgb_light(codes: np.ndarray) -> np.ndarray:
    """Returns the linear light of sRGB values from 0 to 1."""
    return np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4)


def srgb_pixels(light: np.ndarray) -> np.ndarray:
    """Returns the sRGB pixels, 0 to 255, of linear light."""
    light = light.clip(0, 1)
    return np.rint(255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)).astype(int)


def shown(pixels: np.ndarray, to_xyz: tuple, curve: Curve) -> np.ndarray:
    """Returns the sRGB pixels of pixels in another RGB space."""
    return srgb_pixels(curve(pixels / 255) @ np.array(to_xyz).T @ XYZ_TO_SRGB.T)


def lab_shown(lab: np.ndarray) -> np.ndarray:
    """Returns the sRGB pixels of CIE Lab under D50."""
    y = (lab[..., 0] + 16) / 116
    f = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * D50
    return srgb_pixels(xyz @ XYZ_TO_SRGB.T)


def pq_light(codes: np.ndarray) -> np.ndarray:
    """Returns light, whose white is 203 cd/m2, by SMPTE ST 2084."""
    root = codes ** (1 / 78.84375)
    return 10_000 / 203 * (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)


def hlg_light(codes: np.ndarray) -> np.ndarray:
    """Returns light on a display of 1,000 cd/m2, whose white is 203 cd/m2, by ITU-R BT.2100."""
    scene = np.where(codes <= 0.5, codes**2 / 3, (np.exp((codes - 0.55991073) / 0.17883277) + 0.28466892) / 12)
    luminance = scene @ (0.2627, 0.6780, 0.0593)
    return 1_000 / 203 * scene * luminance[..., None] ** 0.2


def fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + fixed(*values)


def gamma_curve(gamma: float) -> bytes:
    return b"para\0\0\0\0\0\0\0\0" + fixed(gamma)


SRGB_CURVE = b"para\0\0\0\0\0\3\0\0" + fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def profile(
    space: bytes, tags: dict[bytes, bytes], *, pcs: bytes = b"XYZ ", device: bytes = b"mntr", intent: int = 0
) -> bytes:
    """Returns an ICC profile of version 2.4."""
    start = 132 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(">I4x", start + len(body)) + b"\2\x40\0\0" + device + space + pcs + bytes(12) + b"acsp"
    header = header.ljust(64, b"\0") + struct.pack(">I", intent) + fixed(*D50)
    return header.ljust(128, b"\0") + table + body


def rgb_profile(to_xyz: tuple, curve: bytes, **options: object) -> bytes:
    """Returns a matrix profile."""
    columns = zip((b"rXYZ", b"gXYZ", b"bXYZ"), np.array(to_xyz).T, strict=True)
    tags = {name: xyz(*column) for name, column in columns} | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    return profile(b"RGB ", {b"wtpt": xyz(*D50), **tags}, **options)


def grey_profile(gamma: float) -> bytes:
    return profile(b"GRAY", {b"wtpt": xyz(*D50), b"kTRC": gamma_curve(gamma)})


# Lab of a press whose inks add up: 100% of all four inks are black.
PAPER = np.array([100.0, 0.0, 0.0])
INKS = np.array([[-20.0, -15, -20], [-20, 25, -5], [-10, -10, 25], [-50, 0, 0]])


def table(inputs: int, outputs: int, grid: int, codes: np.ndarray) -> bytes:
    """Returns the table of a profile, of 16-bit codes at the nodes of a grid."""
    linear = struct.pack(">2H", 0, 65535)
    head = b"mft2\0\0\0\0" + bytes([inputs, outputs, grid, 0]) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    head += struct.pack(">2H", 2, 2) + inputs * linear
    return head + np.rint(codes).clip(0, 65535).astype(">u2").tobytes() + outputs * linear


def cmyk_profile(inks: np.ndarray = INKS, *, grid: int = 3, intent: int = 0, white: tuple = D50) -> bytes:
    """Returns a press profile: tables of the Lab colours of CMYK inks, [4, 3], that add up on the paper.

    The inverse table prints all inks for black and no ink for white.
    """
    nodes = np.stack(np.meshgrid(*4 * [np.linspace(0, 1, grid)], indexing="ij"), axis=-1).reshape(-1, 4)
    lab = PAPER + nodes @ inks
    codes = np.stack([lab[:, 0] * 65280 / 100, (lab[:, 1] + 128) * 256, (lab[:, 2] + 128) * 256], axis=-1)
    inverse = np.repeat([65535, 0], 4 * 4)
    shown_inks, printed_lab = table(4, 3, grid, codes), table(3, 4, 2, inverse)
    tags = {b"wtpt": xyz(*white), b"A2B0": shown_inks, b"A2B1": shown_inks, b"B2A0": printed_lab}
    return profile(b"CMYK", tags, pcs=b"Lab ", device=b"prtr", intent=intent)


def cmyk_shown(pixels: np.ndarray) -> np.ndarray:
    """Returns the sRGB pixels of CMYK pixels, 0 to 255, in `cmyk_profile()`."""
    return lab_shown(PAPER + pixels / 255 @ INKS)


DISPLAY_P3 = rgb_profile(DISPLAY_P3_XYZ, SRGB_CURVE)
ADOBE_RGB = rgb_profile(ADOBE_RGB_XYZ, gamma_curve(563 / 256))
PROPHOTO = rgb_profile(PROPHOTO_XYZ, gamma_curve(1.8))
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
