"""An overview image for checking the data by eye: a row per concept, a column per set and variant."""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

BACKGROUND = (235, 235, 225)  # neither black nor white, so that both are visible, and transparency too


def contact_sheet(images: np.ndarray, rows: Sequence[Mapping[str, object]], concepts: Sequence[int]) -> Image.Image:
    """Returns the sheet of some concepts. If a set does not draw a concept, its cell stays empty.

    Args:
        images: [M, S, S, 4] uint8, straight alpha.
        rows: The concept, set and variant of each image.
        concepts: The numbers of the concepts to show, top to bottom.
    """
    columns = list(dict.fromkeys((row["set"], row["variant"]) for row in rows))
    side = images.shape[1]
    sheet = Image.new("RGB", (side * len(columns), side * len(concepts)), BACKGROUND)
    for pixels, row in zip(images, rows, strict=True):
        if row["concept"] in concepts:
            image = Image.fromarray(pixels)
            at = side * columns.index((row["set"], row["variant"])), side * concepts.index(row["concept"])
            sheet.paste(image, at, image)
    return sheet
