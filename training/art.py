"""Emoji art as SVG: reads and matches the icons of a set, and makes outlined and line-art variants of them.

Iconify's packages list in `chars.json` which emoji an icon draws. Four sets have no such list; their icons are matched
by name. The held-out OpenMoji is outline art and nearly all training art is flat, so flat SVGs are also outlined.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fontTools.pens.boundsPen import BoundsPen
from fontTools.pens.svgPathPen import SVGPathPen
from fontTools.ttLib import TTFont

from training.concepts import normalise_hexcode
from training.packages import read_json

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
ET.register_namespace("", SVG)
ET.register_namespace("xlink", XLINK)

MARGIN = 0.08  # of the viewBox, on each side, so that outlines are not cut off
OUTLINE_WIDTH = 0.055  # of the viewBox; half of it lies under the fill
LINE_WIDTH = 0.05
DARK_LUMINANCE = 0.15  # darker shapes are already lines (eyes, tyres); an outline would make them too thick

SHAPES = {"path", "circle", "ellipse", "rect", "polygon", "polyline", "line", "use"}
UNPAINTED = {"defs", "clipPath", "mask", "pattern", "symbol", "marker", "filter", "linearGradient", "radialGradient"}


@dataclass(frozen=True)
class Icon:
    """One icon: the content of its `<svg>` element, and its viewBox: left, top, width, height."""

    body: str
    box: tuple[float, float, float, float]

    def svg(self) -> str:
        """Returns a standalone SVG with a margin. `currentColor` is black."""
        left, top, width, height = self.box
        dx, dy = MARGIN * width, MARGIN * height
        box = f"{left - dx:g} {top - dy:g} {width + 2 * dx:g} {height + 2 * dy:g}"
        return f'<svg xmlns="{SVG}" xmlns:xlink="{XLINK}" viewBox="{box}" color="#000">{self.body}</svg>'


class IconSet:
    """The icons of one `@iconify-json` package, by name."""

    def __init__(self, package: Path) -> None:
        data = read_json(package, "icons.json")
        self.icons: dict[str, dict[str, Any]] = data["icons"]
        self.aliases: dict[str, dict[str, Any]] = data.get("aliases", {})
        self.size = (data.get("width", 16), data.get("height", 16))

    def __contains__(self, name: str) -> bool:
        return name in self.icons or name in self.aliases

    def __getitem__(self, name: str) -> Icon:
        if name in self.icons:
            drawn = self.icons[name]
            width, height = drawn.get("width", self.size[0]), drawn.get("height", self.size[1])
            return Icon(drawn["body"], (drawn.get("left", 0), drawn.get("top", 0), width, height))
        alias = self.aliases[name]
        icon = self[alias["parent"]]
        if not alias.get("hFlip"):
            return icon
        left, _, width, _ = icon.box
        return Icon(f'<g transform="matrix(-1 0 0 1 {2 * left + width:g} 0)">{icon.body}</g>', icon.box)


def names_by_hexcode(chars: Mapping[str, str]) -> dict[str, str]:
    """Returns the icon names of an Iconify `chars.json` by normalised hexcode."""
    return {normalise_hexcode(hexcode): name for hexcode, name in chars.items()}


def match_names(icons: IconSet, names: Iterable[str]) -> str | None:
    """Returns the first of the names that an icon has, as it is or without hyphens, or None."""
    for name in names:
        for spelling in (name, name.replace("-", "")):
            if spelling in icons:
                return spelling
    return None


def font_icons(package: Path, weight: int) -> dict[str, Icon]:
    """Returns the icons of a fontsource emoji font by normalised hexcode: only emoji of one code point.

    A ligature (polar bear) would need the font's GSUB table. The other sets draw those emoji.
    """
    icons = {}
    for path in sorted(package.glob(f"files/*-{weight}-normal.woff2")):
        with TTFont(path) as font:
            glyphs = font.getGlyphSet()
            for point, glyph in font.getBestCmap().items():
                bounds, outline = BoundsPen(glyphs), SVGPathPen(glyphs)
                glyphs[glyph].draw(bounds)
                glyphs[glyph].draw(outline)
                if bounds.bounds:
                    x0, y0, x1, y1 = bounds.bounds
                    body = f'<path fill="currentColor" transform="scale(1 -1)" d="{outline.getCommands()}"/>'
                    icons[f"{point:x}"] = Icon(body, (x0, -y1, x1 - x0, y1 - y0))
    return icons


def outlined(icon: Icon, width: float = OUTLINE_WIDTH) -> Icon:
    """Returns the icon with a black outline around each filled shape. The colours stay.

    The stroke is painted before the fill, so only its outer half shows and small shapes keep their colour.
    """
    return _traced(icon, width, lambda fill: fill)


def line_art(icon: Icon, width: float = LINE_WIDTH) -> Icon:
    """Returns the icon as black lines on white: each shape is white with a black outline; dark shapes are black."""
    return _traced(icon, width, lambda fill: "#000" if _is_dark(fill) else "#fff")


def _traced(icon: Icon, width: float, recolour: Callable[[str], str]) -> Icon:
    """Returns the icon with every filled shape outlined and recoloured."""
    stroke = {
        "stroke": "#000",
        "stroke-width": f"{width * max(icon.box[2:]):g}",
        "stroke-linejoin": "round",
        "paint-order": "stroke",
    }
    root = ET.fromstring(f'<g xmlns="{SVG}" xmlns:xlink="{XLINK}">{icon.body}</g>')  # noqa: S314 - pinned packages
    _trace(root, stroke, recolour, fill="#000", scale=1.0)
    return Icon(ET.tostring(root, encoding="unicode"), icon.box)


def _trace(
    element: ET.Element, stroke: dict[str, str], recolour: Callable[[str], str], fill: str, scale: float
) -> None:
    """Outlines the shapes below an element in place. Clip paths, masks and shading stay as they are."""
    tag = element.tag.removeprefix(f"{{{SVG}}}")
    if tag in UNPAINTED:
        return
    fill = element.get("fill", fill)
    scale *= _scale(element.get("transform", ""))
    if _is_shading(element):
        return
    if tag in SHAPES and fill != "none" and "stroke" not in element.attrib:
        if not _is_dark(fill):
            element.attrib |= stroke | {"stroke-width": f"{float(stroke['stroke-width']) / scale:g}"}
        element.set("fill", recolour(fill))
    for child in element:
        _trace(child, stroke, recolour, fill, scale)


def _is_shading(element: ET.Element) -> bool:
    """Returns whether an element is translucent, such as a shadow or a highlight, which gets no outline."""
    return any(float(element.get(name, 1)) < 1 for name in ("opacity", "fill-opacity"))


def _scale(transform: str) -> float:
    """Returns the factor by which a transform enlarges, so that all outlines can be equally wide."""
    match = re.search(r"(scale|matrix)\(([^)]*)\)", transform)
    if not match:
        return 1.0
    numbers = [float(number) for number in re.findall(r"-?[\d.]+(?:e-?\d+)?", match[2])]
    if match[1] == "scale":
        return abs(numbers[0]) or 1.0
    a, b, c, d = numbers[:4]
    return abs(a * d - b * c) ** 0.5 or 1.0


def _is_dark(fill: str) -> bool:
    """Returns whether a colour is nearly black. Gradients and named colours count as light."""
    digits = fill.removeprefix("#")
    if len(digits) == 3:
        digits = "".join(2 * digit for digit in digits)
    if not re.fullmatch("[0-9a-fA-F]{6}", digits):
        return fill == "currentColor"
    red, green, blue = (int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue < DARK_LUMINANCE
