"""All icon sets together: which sets may be used for training, and which of their icons draws a concept.

Six sets list in `chars.json` which emoji their icons draw. The others are matched by the names that those six use.
"""

from pathlib import Path
from typing import NamedTuple

from training.art import Icon, IconSet, font_icons, line_art, match_names, names_by_hexcode, outlined
from training.concepts import Concept
from training.icon_names import FORMER_NAMES, FXEMOJI, MISDRAWN
from training.packages import read_json

ICONIFY = "@iconify-json/"
FONT = "@fontsource/noto-emoji"
FONT_SET = "noto-emoji"
FONT_WEIGHT = 400
ICON_SETS = (
    "noto",
    "noto-v1",
    "fxemoji",
    "fluent-emoji",
    "fluent-emoji-flat",
    "fluent-emoji-high-contrast",
    "twemoji",
    "emojione",
    "emojione-monotone",
)
TRAINING_SETS = (*ICON_SETS, FONT_SET)
HELD_OUT_SETS = ("openmoji", "emojione-v1")  # CC BY-SA: only for testing, never for training
OUTLINED_SETS = ("twemoji", "fluent-emoji-flat", "emojione", "noto", "fxemoji", "noto-v1")
LINE_SETS = ("twemoji", "fluent-emoji-flat", "emojione")

# In the order in which their names are tried. fluent-emoji uses the names of fluent-emoji-flat.
CHARS_OF = {
    "noto": "noto",
    "twemoji": "twemoji",
    "openmoji": "openmoji",
    "fluent-emoji-flat": "fluent-emoji-flat",
    "fluent-emoji-high-contrast": "fluent-emoji-high-contrast",
    "fluent-emoji": "fluent-emoji-flat",
}


class Drawing(NamedTuple):
    """One image to draw: concept number, set, variant and the SVG."""

    concept: int
    set: str
    variant: str
    svg: str


class Gallery:
    """The icons of every set, by concept."""

    def __init__(self, packages: dict[str, Path]) -> None:
        self.sets = {name: IconSet(packages[ICONIFY + name]) for name in (*ICON_SETS, *HELD_OUT_SETS)}
        self.chars = {
            name: names_by_hexcode(read_json(packages[ICONIFY + source], "chars.json"))
            for name, source in CHARS_OF.items()
        }
        self.font = font_icons(packages[FONT], FONT_WEIGHT)

    def icon(self, set_name: str, concept: Concept) -> Icon | None:
        """Returns the set's icon of the concept, or None if it has no icon or a wrong one."""
        if (set_name, concept.plain) in MISDRAWN:
            return None
        if set_name == FONT_SET:
            return self.font.get(concept.hexcode)
        icons = self.sets[set_name]
        own = FXEMOJI.get(concept.plain) if set_name == "fxemoji" else self.chars.get(set_name, {}).get(concept.hexcode)
        others = [chars[concept.hexcode] for chars in self.chars.values() if concept.hexcode in chars]
        name = match_names(icons, filter(None, [own, *others, FORMER_NAMES.get(concept.plain)]))
        return icons[name] if name else None

    def training(self, number: int, concept: Concept) -> list[Drawing]:
        """Returns the drawings of a concept for training: each set's icon, and outlined and line-art variants of it."""
        drawings = []
        for name in TRAINING_SETS:
            icon = self.icon(name, concept)
            if icon is None:
                continue
            drawings.append(Drawing(number, name, "original", icon.svg()))
            if name in OUTLINED_SETS:
                drawings.append(Drawing(number, name, "outlined", outlined(icon).svg()))
            if name in LINE_SETS:
                drawings.append(Drawing(number, name, "line", line_art(icon).svg()))
        return drawings

    def held_out(self, number: int, concept: Concept) -> list[Drawing]:
        """Returns the drawings of a concept for testing."""
        icons = ((name, self.icon(name, concept)) for name in HELD_OUT_SETS)
        return [Drawing(number, name, "original", icon.svg()) for name, icon in icons if icon is not None]
