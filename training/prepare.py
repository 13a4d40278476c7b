"""`python -m training.prepare`: fetches, chooses, renders and tokenises all that the embedded model is trained on.

Everything lands in one folder, each file whole or not at all. A step whose files exist is skipped, so an interrupted
run goes on where it stopped; once a step runs, so do all that follow, since they number concepts as it does.
"""

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from training import concepts, vocabulary
from training.concepts import Concept
from training.contact_sheet import contact_sheet
from training.gallery import TRAINING_SETS, Drawing, Gallery
from training.packages import PACKAGES, PackageError, attribution, fetch, read_json
from training.render import IMAGE_SIZE, render_all

SHEET_CONCEPTS = 40


def choose(packages: dict[str, Path], gallery: Gallery) -> list[dict[str, Any]]:
    """Returns the rows of concepts.json: what is well drawn, held out as OpenMoji and named in all languages."""
    emojibase, cldr = packages["emojibase-data"], packages["cldr-annotations-full"]
    annotations = {
        language: read_json(cldr, f"annotations/{language}/annotations.json")["annotations"]["annotations"]
        for language in concepts.LANGUAGES
    }
    chosen, texts = [], []
    for concept in concepts.candidates(read_json(emojibase, "en/data.json"), read_json(emojibase, "meta/groups.json")):
        names = concepts.texts_of(concept, annotations)
        num_sets = sum(gallery.icon(name, concept) is not None for name in TRAINING_SETS)
        if names and num_sets >= concepts.MIN_TRAINING_SETS and gallery.icon("openmoji", concept):
            chosen.append(concept)
            texts.append(names)
    rows = []
    for concept, names in zip(chosen, concepts.drop_useless_keywords(texts), strict=True):
        names["en"]["keywords"] = concepts.everyday(concept, names["en"]["keywords"])
        rows.append({"name": names["en"]["name"], **vars(concept), "texts": names})
    return rows


def draw(drawings: Sequence[Drawing], out: Path, name: str) -> None:
    """Writes `name`.npy, [M, S, S, 4] uint8, and `name`.json beside it; what cannot be drawn is left out and said."""
    images = np.empty((len(drawings), IMAGE_SIZE, IMAGE_SIZE, 4), np.uint8)
    rows: list[dict[str, Any]] = []
    lost = []
    images = render_all([drawing.svg for drawing in drawings])
    for drawing, image in tqdm(zip(drawings, images, strict=True), desc=name, total=len(drawings)):
        if image is None:
            lost.append(f"{drawing.set}/{drawing.variant}/{drawing.concept}")
            continue
        images[len(rows)] = image
        rows.append({"concept": drawing.concept, "set": drawing.set, "variant": drawing.variant})
    if lost:
        print(f"{name}: {len(lost)} blank or undrawable, left out: {' '.join(lost)}", file=sys.stderr)
    with whole(out / f"{name}.npy") as path, path.open("wb") as file:
        np.save(file, images[: len(rows)])
    # Last, since its presence says that the pair is whole.
    write_json(out / f"{name}.json", rows)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yields where to write; the file gets its own name only when the block has ended well."""
    partial = path.with_name(f"partial-{path.name}")
    yield partial
    os.replace(partial, path)


def write_json(path: Path, value: Any) -> None:
    """Writes the value as JSON, whole or not at all."""
    with whole(path) as partial:
        partial.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")


def write_vocabulary(out: Path) -> None:
    """Writes spiece.model and says how many texts are longer than the model reads."""
    rows = read_json(out, "concepts.json")
    model = vocabulary.train(vocabulary.corpus(rows))
    share = vocabulary.share_of_long_texts(model, rows)
    print(f"texts longer than {vocabulary.MAX_TOKENS} tokens: {share:.2%}")
    with whole(out / "spiece.model") as path:
        path.write_bytes(model)


def write_sheet(out: Path) -> None:
    """Writes contact_sheet.png: some concepts, evenly chosen, in every set and variant, held-out ones last."""
    images = np.concatenate([np.load(out / "images.npy", mmap_mode="r"), np.load(out / "heldout.npy", mmap_mode="r")])
    rows = [*read_json(out, "images.json"), *read_json(out, "heldout.json")]
    shown = np.linspace(0, rows[-1]["concept"], SHEET_CONCEPTS).astype(int).tolist()
    with whole(out / "contact_sheet.png") as path:
        contact_sheet(images, rows, shown).save(path)


def sources(packages: dict[str, Path], out: Path) -> list[dict[str, Any]]:
    """Returns whose work was used: one row a package, with the number of images drawn from it."""
    rows = [*read_json(out, "images.json"), *read_json(out, "heldout.json")]
    counts = Counter(row["set"] for row in rows)
    return [
        {**attribution(name, package), "num_images": counts[name.split("/")[-1]]} for name, package in packages.items()
    ]


def prepare(out: Path) -> None:
    """Makes every file of `out` that is not there yet."""
    out.mkdir(parents=True, exist_ok=True)
    packages = {name: fetch(name, out / "packages") for name in tqdm(PACKAGES, desc="packages")}
    gallery = Gallery(packages)
    stale = False

    def step(names: Sequence[str], make: Callable[[], None]) -> None:
        nonlocal stale
        stale = stale or not all((out / name).exists() for name in names)
        if stale:
            make()

    def draw_all(name: str, drawings_of: Callable[[int, Concept], list[Drawing]]) -> None:
        rows = read_json(out, "concepts.json")
        taught = [Concept(**{field.name: row[field.name] for field in fields(Concept)}) for row in rows]
        draw([drawing for number, concept in enumerate(taught) for drawing in drawings_of(number, concept)], out, name)

    step(["concepts.json"], lambda: write_json(out / "concepts.json", choose(packages, gallery)))
    step(["images.npy", "images.json"], lambda: draw_all("images", gallery.training))
    step(["heldout.npy", "heldout.json"], lambda: draw_all("heldout", gallery.held_out))
    step(["contact_sheet.png"], lambda: write_sheet(out))
    step(["sources.json"], lambda: write_json(out / "sources.json", sources(packages, out)))
    step(["spiece.model"], lambda: write_vocabulary(out))


def main() -> None:
    """Runs the preparation, and says what is missing in one line if it cannot."""
    parser = argparse.ArgumentParser(prog="python -m training.prepare", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("training/build"), help="where everything is written")
    try:
        prepare(parser.parse_args().out)
    except PackageError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
