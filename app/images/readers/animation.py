"""Composes the frames of GIF and APNG files. A frame may cover a part of the canvas, and leave the rest as it was."""

from collections.abc import Iterable
from typing import NamedTuple

from PIL import Image

# What happens to a frame before the next one is drawn.
KEEP, CLEAR, RESTORE = 0, 1, 2


class Frame(NamedTuple):
    """Where and how a frame is drawn.

    Attributes:
        left, top, width, height: Its place on the canvas.
        disposal: `KEEP` it, `CLEAR` its place, or `RESTORE` what was there.
        over: Whether the canvas shows through its transparent pixels. Otherwise they replace the canvas.
    """

    left: int
    top: int
    width: int
    height: int
    disposal: int = KEEP
    over: bool = True

    def covers(self, size: tuple[int, int]) -> bool:
        return (self.left, self.top, self.width, self.height) == (0, 0, *size)


def compose(size: tuple[int, int], frames: Iterable[tuple[Frame, Image.Image]]) -> Image.Image:
    """Returns the canvas, in RGBA, after the last of these frames is drawn. It is transparent at first."""
    canvas = Image.new("RGBA", size)
    behind, box = None, (0, 0, 0, 0)
    for frame, image in frames:
        if behind:
            canvas.paste(behind, box)
        box = (frame.left, frame.top, frame.left + frame.width, frame.top + frame.height)
        before, drawn = canvas.crop(box), image.convert("RGBA")
        canvas.paste(Image.alpha_composite(before, drawn) if frame.over else drawn, box)
        behind = {KEEP: None, CLEAR: Image.new("RGBA", before.size), RESTORE: before}[frame.disposal]
    return canvas
