"""Unpacks the samples of BMP files."""

import numpy as np

from app.errors import InvalidImage

STRIP_PIXELS = 1_000_000
SINGLE = [bytes([value]) for value in range(256)]


def indices(rows: np.ndarray, width: int, bits: int) -> np.ndarray:
    """Returns the indices into the palette, [H, W] uint8.

    Args:
        rows: [H, bytes] uint8, at least as long as needed.
        width: Of the image.
        bits: Per index: 1, 2, 4 or 8. The first pixel is in the highest bits.
    """
    per_byte = 8 // bits
    rows = rows[:, : -(-width // per_byte)]
    shifts = np.arange(8 - bits, -1, -bits, dtype=np.uint8)
    samples = (rows[..., None] >> shifts) & np.uint8((1 << bits) - 1)  # [H, bytes, indices per byte]
    return samples.reshape(len(rows), -1)[:, :width].copy()


def masked_samples(values: np.ndarray, masks: tuple[int, int, int, int]) -> np.ndarray:
    """Returns RGB, or RGBA if some alpha is not zero, [H, W, 3 or 4] uint8.

    Windows and Photoshop show an image as opaque if all of its alpha is zero.

    Args:
        values: One number per pixel, [H, W].
        masks: The bits of red, green, blue and alpha. No alpha is 0.
    """
    height, width = values.shape
    has_alpha = bool(masks[3]) and bool((values & values.dtype.type(masks[3])).any())
    samples = np.empty((height, width, 4 if has_alpha else 3), np.uint8)
    rows = max(1, STRIP_PIXELS // width)
    for top in range(0, height, rows):
        strip = values[top : top + rows]
        for channel in range(samples.shape[2]):
            samples[top : top + rows, :, channel] = eight_bits(strip, masks[channel])
    return samples


def eight_bits(values: np.ndarray, mask: int) -> np.ndarray:
    """Returns the masked bits with 8 bits: more bits are cut off, and fewer are scaled so that the largest is 255."""
    shift, bits = (mask & -mask).bit_length() - 1, mask.bit_count()
    number = values.dtype.type
    values = (values & number(mask)) >> number(shift + max(bits - 8, 0))
    if bits >= 8:
        return values.astype(np.uint8)
    largest = (1 << bits) - 1
    scaled: np.ndarray = np.rint(np.arange(largest + 1) * 255 / largest).astype(np.uint8)
    return scaled.take(values)


def run_lengths(data: bytes, width: int, height: int, bits: int) -> np.ndarray:
    """Returns the indices of an image with run lengths, [H, W] uint8. Skipped pixels have index 0.

    A pair of bytes is a run: how many pixels, and their index, or two indices of 4 bits that alternate. If the first
    byte is 0, the second is a command: 0 ends a row, 1 ends the image, 2 moves right and up, and a larger number is how
    many indices follow, padded to 16 bits. What is outside a row is left out.

    Raises:
        InvalidImage: The data ends before the image does.
    """
    image = bytearray(height * width)
    samples = np.frombuffer(image, np.uint8).reshape(height, width)  # of the same memory
    position, x, y = 0, 0, 0

    def draw(run: bytes) -> int:
        visible = run[: max(width - x, 0)]
        start = y * width + x
        image[start : start + len(visible)] = visible
        return x + len(run)

    while position + 2 <= len(data):
        count, value = data[position], data[position + 1]
        position += 2
        if count and bits == 8:
            x = draw(SINGLE[value] * count)
        elif count:
            x = draw((bytes([value >> 4, value & 15]) * 128)[:count])
        elif value == 0:
            x, y = 0, y + 1
        elif value == 1:
            return samples
        elif value == 2:
            if position + 2 > len(data):
                break
            x, y, position = x + data[position], y + data[position + 1], position + 2
        else:
            run = data[position : position + -(-value * bits // 8)]
            if len(run) < -(-value * bits // 8):
                break
            if bits == 4:
                run = bytes(half for byte in run for half in (byte >> 4, byte & 15))[:value]
            x = draw(run)
            position += -(-value * bits // 16) * 2
        if y >= height or (y == height - 1 and x >= width):  # the end marker may be missing
            return samples
    raise InvalidImage("The BMP is truncated: the file ends before the image does.")
