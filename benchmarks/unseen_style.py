"""Labelled scenes with drawings in an art style that no other part of the project uses: Streamline Emojis (CC BY 4.0).

The embedded checkpoint was not trained on this style, and no constant was chosen with it. The scenes are as a person
might have them: turned drawings of several sizes, off-centre, on pastel grounds, some blurred, as JPEGs.
"""

import io
import json
import random
import re
from pathlib import Path

import resvg_py
from PIL import Image, ImageFilter

from training.art import IconSet
from training.packages import fetch

PACKAGE, VERSION = "@iconify-json/streamline-emojis", "1.2.4"
LABELS, IMAGES = 15, 20
RENDERED_SIDE = 256


def drawings(build: Path) -> dict[str, list[Image.Image]]:
    """Returns the style's drawings of each concept that the embedded checkpoint knows, by the concept's name.

    `build` is the folder that `python -m training.prepare` wrote. The style is fetched there with npm.
    """
    icons = IconSet(fetch(PACKAGE, build / "packages", VERSION))
    found: dict[str, list[Image.Image]] = {}
    for concept in json.loads((build / "concepts.json").read_text(encoding="utf-8")):
        slug = re.sub(r"\W+", "-", concept["name"].lower()).strip("-")
        for name in (slug, *(f"{slug}-{number}" for number in range(1, 6))):
            if name in icons:
                png = resvg_py.svg_to_bytes(svg_string=icons[name].svg(), width=RENDERED_SIDE, height=RENDERED_SIDE)
                found.setdefault(concept["name"], []).append(Image.open(io.BytesIO(png)).convert("RGBA"))
    return found


def scene(drawing: Image.Image, chance: random.Random) -> Image.Image:
    """Returns the drawing in a random scene, as it is after JPEG."""
    turned = drawing.rotate(chance.uniform(-18, 18), expand=True, resample=Image.Resampling.BICUBIC)
    side = chance.randint(150, 330)
    turned = turned.resize((side, int(side * chance.uniform(0.8, 1.2))))
    ground = (chance.randint(170, 255), chance.randint(170, 255), chance.randint(170, 255))
    image = Image.new("RGB", (chance.randint(380, 520), chance.randint(360, 480)), ground)
    left = chance.randint(0, max(0, image.width - turned.width))
    top = chance.randint(0, max(0, image.height - turned.height))
    image.paste(turned, (left, top), turned)
    if chance.random() < 0.4:
        image = image.filter(ImageFilter.GaussianBlur(chance.uniform(0.5, 2.5)))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=chance.randint(40, 92))
    return Image.open(file).convert("RGB")


def scenes(build: Path, seed: int) -> dict[str, list[Image.Image]]:
    """Returns the scenes of random concepts, by name."""
    chance = random.Random(seed)
    all_drawings = drawings(build)
    return {
        label: [scene(all_drawings[label][i % len(all_drawings[label])], chance) for i in range(IMAGES)]
        for label in chance.sample(sorted(all_drawings), LABELS)
    }
