"""Renders SVGs as RGBA images with straight alpha, [S, S, 4] uint8; all art is centred and equally large.

resvg runs in separate processes, because some SVGs crash it. If the process crashes or the image is blank, the result
is None.
"""

import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

import numpy as np
import resvg_py
from PIL import Image

IMAGE_SIZE = 96
ART_SIZE = 86  # the longer side of the art: 90 % of the image
RASTER_SIZE = 256  # rendered larger first, to find the bounds of the art
MIN_ALPHA = 16
CHUNK = 256
WORKERS = 2


def render(svg: str) -> np.ndarray | None:
    """Returns the image, [S, S, 4] uint8 with straight alpha, or None if it is blank or invalid."""
    try:
        png = resvg_py.svg_to_bytes(svg_string=svg, width=RASTER_SIZE, height=RASTER_SIZE, skip_system_fonts=True)
    except ValueError:
        return None
    image = Image.open(io.BytesIO(png)).convert("RGBA")
    box = image.getchannel("A").point(lambda alpha: 255 * (alpha >= MIN_ALPHA)).getbbox()
    if box is None:
        return None
    art = image.crop(box)
    scale = ART_SIZE / max(art.size)
    # Pillow resizes RGBA premultiplied, so transparent black does not bleed into the edges.
    art = art.resize([max(1, round(side * scale)) for side in art.size], Image.Resampling.LANCZOS)
    canvas = Image.new("RGBA", (IMAGE_SIZE, IMAGE_SIZE))
    canvas.paste(art, ((IMAGE_SIZE - art.width) // 2, (IMAGE_SIZE - art.height) // 2))
    return np.asarray(canvas)


def render_all(svgs: Sequence[str]) -> Iterator[np.ndarray | None]:
    """Yields one image or None for each SVG, in order, even if a rendering process crashes."""
    chunks = [svgs[start : start + CHUNK] for start in range(0, len(svgs), CHUNK)]
    with ThreadPoolExecutor(WORKERS) as threads:
        for images in threads.map(_render_chunk, chunks):
            yield from images


def _render_chunk(svgs: Sequence[str]) -> list[np.ndarray | None]:
    """Returns the images of a chunk, rendered in one process. If it crashes, each half gets a new process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        try:
            return list(process.map(render, svgs, chunksize=len(svgs)))
        except BrokenProcessPool:
            if len(svgs) == 1:
                return [None]
    middle = len(svgs) // 2
    return _render_chunk(svgs[:middle]) + _render_chunk(svgs[middle:])
