"""`python -m training.prepare`: makes the embedded model's training data: concepts, images and vocabulary.

All files are written to one folder; each file is complete or absent. A step whose files exist is skipped, so an
interrupted run continues where it stopped. Once a step runs, all later steps run too, because they use its numbering
of the concepts.
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
    """Returns the rows of concepts.json: concepts that enough sets and OpenMoji draw, with a name in every language."""
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
    """Writes `name`.npy, [M, S, S, 4] uint8, and `name`.json. Leaves out and lists drawings that cannot be rendered."""
    images = np.empty((len(drawings), IMAGE_SIZE, IMAGE_SIZE, 4), np.uint8)
    rows: list[dict[str, Any]] = []
    failed = []
    rendered = render_all([drawing.svg for drawing in drawings])
    for drawing, image in tqdm(zip(drawings, rendered, strict=True), desc=name, total=len(drawings)):
        if image is None:
            failed.append(f"{drawing.set}/{drawing.variant}/{drawing.concept}")
            continue
        images[len(rows)] = image
        rows.append({"concept": drawing.concept, "set": drawing.set, "variant": drawing.variant})
    if failed:
        print(f"{name}: left out {len(failed)} blank or invalid drawings: {' '.join(failed)}", file=sys.stderr)
    with whole(out / f"{name}.npy") as path, path.open("wb") as file:
        np.save(file, images[: len(rows)])
    # Written last: if it exists, both files are complete.
    write_json(out / f"{name}.json", rows)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yields a temporary path to write to. It is renamed to `path` only if the block succeeds."""
    partial = path.with_name(f"partial-{path.name}")
    yield partial
    os.replace(partial, path)


def write_json(path: Path, value: Any) -> None:
    """Writes the value as JSON. The file is complete or absent."""
    with whole(path) as partial:
        partial.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")


def write_vocabulary(out: Path) -> None:
    """Writes spiece.model and prints how many texts are longer than the model reads."""
    rows = read_json(out, "concepts.json")
    model = vocabulary.train(vocabulary.corpus(rows))
    share = vocabulary.share_of_long_texts(model, rows)
    print(f"texts longer than {vocabulary.MAX_TOKENS} tokens: {share:.2%}")
    with whole(out / "spiece.model") as path:
        path.write_bytes(model)


def write_sheet(out: Path) -> None:
    """Writes contact_sheet.png: evenly spaced concepts in every set and variant, held-out sets last."""
    images = np.concatenate([np.load(out / "images.npy", mmap_mode="r"), np.load(out / "heldout.npy", mmap_mode="r")])
    rows = [*read_json(out, "images.json"), *read_json(out, "heldout.json")]
    shown = np.linspace(0, rows[-1]["concept"], SHEET_CONCEPTS).astype(int).tolist()
    with whole(out / "contact_sheet.png") as path:
        contact_sheet(images, rows, shown).save(path)


def sources(packages: dict[str, Path], out: Path) -> list[dict[str, Any]]:
    """Returns the credits: one row per package, with the number of images rendered from it."""
    rows = [*read_json(out, "images.json"), *read_json(out, "heldout.json")]
    counts = Counter(row["set"] for row in rows)
    return [
        {**attribution(name, package), "num_images": counts[name.split("/")[-1]]} for name, package in packages.items()
    ]


def prepare(out: Path) -> None:
    """Makes every file in `out` that is missing or older than a step that ran."""
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
        trained = [Concept(**{field.name: row[field.name] for field in fields(Concept)}) for row in rows]
        draw([drawing for number, concept in enumerate(trained) for drawing in drawings_of(number, concept)], out, name)

    step(["concepts.json"], lambda: write_json(out / "concepts.json", choose(packages, gallery)))
    step(["images.npy", "images.json"], lambda: draw_all("images", gallery.training))
    step(["heldout.npy", "heldout.json"], lambda: draw_all("heldout", gallery.held_out))
    step(["contact_sheet.png"], lambda: write_sheet(out))
    step(["sources.json"], lambda: write_json(out / "sources.json", sources(packages, out)))
    step(["spiece.model"], lambda: write_vocabulary(out))


def main() -> None:
    """Runs the preparation. Prints one line if a package cannot be fetched."""
    parser = argparse.ArgumentParser(prog="python -m training.prepare", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("training/build"), help="output folder")
    try:
        prepare(parser.parse_args().out)
    except PackageError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
