"""Measures a checkpoint on art that it was not trained on: `python -m training.evaluate`.

N-way accuracy: the image is compared with its own name and with the names of N - 1 other concepts, drawn at random for
each image, in the service's default template. Concepts with the same name are never distractors.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from model import zero_shot
from model.engines.load import load_encoder
from model.published import EMBEDDED, EMBEDDED_DIRECTORY
from model.text.tokenizer import canonicalize

BUILD = Path(__file__).parent / "build"
LANGUAGES = ("en", "es", "fr", "de", "zh", "ar", "hi", "it", "pt", "nl", "pl", "ru", "ja", "ko")
WAYS = (10, 100)
DRAWS = 20
TRAINING_ART = "training art"


def on_white(rgba: np.ndarray, side: int) -> np.ndarray:
    """Returns images composited on white and resized, [B, side, side, 3] uint8, from [B, R, R, 4]."""
    images = []
    for image in rgba:
        canvas = Image.new("RGBA", image.shape[:2], "white")
        canvas.alpha_composite(Image.fromarray(image))
        images.append(np.asarray(canvas.convert("RGB").resize((side, side), Image.Resampling.BICUBIC)))
    return np.stack(images)


def n_way(logits: np.ndarray, truth: np.ndarray, allowed: np.ndarray, ways: int, rng: np.random.Generator) -> float:
    """Returns how often the true name has the highest logit among `ways` names.

    Args:
        logits: [M, C].
        truth: [M], the true column of each row.
        allowed: [C, C] bool, whether a column may be a distractor of a concept.
        ways: N, including the true name.
        rng: The random generator for the distractors.
    """
    hits = []
    for row, concept in zip(logits, truth, strict=True):
        others = np.flatnonzero(allowed[concept])
        for _ in range(DRAWS):
            distractors = rng.choice(others, ways - 1, replace=False)
            hits.append(row[concept] > row[distractors].max())
    return float(np.mean(hits))


def art_sets(build: Path) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yields name, images [M, R, R, 4] and true concepts [M] of each held-out set, then of original training art."""
    held_out = json.loads((build / "heldout.json").read_text(encoding="utf-8"))
    pixels = np.load(build / "heldout.npy", mmap_mode="r")
    for name in dict.fromkeys(image["set"] for image in held_out):
        rows = [i for i, image in enumerate(held_out) if image["set"] == name]
        yield name, pixels[rows], np.array([held_out[i]["concept"] for i in rows])
    art = json.loads((build / "images.json").read_text(encoding="utf-8"))
    pixels = np.load(build / "images.npy", mmap_mode="r")
    rows = [i for i, image in enumerate(art) if image["variant"] == "original"]
    yield TRAINING_ART, pixels[rows], np.array([art[i]["concept"] for i in rows])


def evaluate(directory: Path, build: Path) -> list[dict[str, Any]]:
    """Returns the rows of the model card: one per art set and language, for training art only in English."""
    encoder = load_encoder(None, str(directory), device="cpu", dtype="float32", max_batch=64)
    concepts = json.loads((build / "concepts.json").read_text(encoding="utf-8"))
    names = {language: [concept["texts"][language]["name"] for concept in concepts] for language in LANGUAGES}
    texts = {
        language: in_batches(encoder.encode_texts, encoder.prepare_text(zero_shot.prompts(names[language])))
        for language in tqdm(LANGUAGES, desc="texts")
    }
    rows = []
    for name, images, truth in art_sets(build):
        embeddings = in_batches(encoder.encode_images, on_white(images, encoder.info.image_size[0]))
        for language in tqdm(LANGUAGES if name != TRAINING_ART else LANGUAGES[:1], desc=name):
            logits = encoder.scale * embeddings @ texts[language].T + encoder.bias
            rows.append({"art": name, "language": language, **figures(logits, truth, names[language])})
    return rows


def in_batches(encode: Callable[[np.ndarray], np.ndarray], rows: np.ndarray) -> np.ndarray:
    """Returns the embeddings of any number of rows."""
    return np.concatenate([encode(rows[start : start + 64]) for start in range(0, len(rows), 64)])


def figures(logits: np.ndarray, truth: np.ndarray, names: list[str]) -> dict[str, float]:
    """Returns the N-way accuracies, top-1 among all names, and the mean sigmoid of true and of other names."""
    rng = np.random.default_rng(0)
    canonical = np.array([canonicalize(name) for name in names])
    allowed = canonical[:, None] != canonical[None, :]  # [C, C]
    own = logits[np.arange(len(truth)), truth]
    sigmoids = zero_shot.sigmoid(logits)
    return {
        **{f"{ways}_way": n_way(logits, truth, allowed, ways, rng) for ways in WAYS},
        "top_1": float(np.mean(own >= logits.max(axis=1))),
        "sigmoid_true": float(zero_shot.sigmoid(own).mean()),
        "sigmoid_distractor": float(sigmoids[allowed[truth]].mean()),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Returns the figures as the Markdown table of the model card."""
    lines = ["| art | language | 10-way | 100-way | top-1 of all | sigmoid true / other |", "|---|---|---|---|---|---|"]
    for row in rows:
        accuracies = " | ".join(f"{row[name]:.3f}" for name in ("10_way", "100_way", "top_1"))
        sigmoids = f"{row['sigmoid_true']:.3f} / {row['sigmoid_distractor']:.4f}"
        lines.append(f"| {row['art']} | {row['language']} | {accuracies} | {sigmoids} |")
    return "\n".join(lines)


def attribution(sources: list[dict[str, Any]]) -> str:
    """Returns the credits of the model card as a Markdown table."""
    rows = [
        f"| {source['package']} {source['version']} | {source['author']} | {source['license']} | {source['url']} | "
        f"{source['num_images'] or ''} |"
        for source in sources
    ]
    return "\n".join(["| package | author | licence | home | images |", "|---|---|---|---|---|", *rows])


def fill(card: str, section: str, content: str) -> str:
    """Returns the card with new content between a section's two marks.

    Raises:
        ValueError: The card has no such marks.
    """
    before, opening, rest = card.partition(f"<!-- {section} -->")
    _, closing, after = rest.partition(f"<!-- /{section} -->")
    if not (opening and closing):
        raise ValueError(f"the model card needs the marks <!-- {section} --> and <!-- /{section} -->")
    return f"{before}{opening}\n{content}\n{closing}{after}"


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=BUILD, help="folder that `python -m training.prepare` wrote")
    parser.add_argument("--checkpoint", type=Path, default=EMBEDDED_DIRECTORY / EMBEDDED[1])
    parser.add_argument(
        "--write-model-card", action="store_true", help="update the tables in the checkpoint's README.md"
    )
    options = parser.parse_args()
    if not (options.build / "concepts.json").is_file():
        parser.error(f"{options.build} has no prepared data. Run `python -m training.prepare` first.")
    measured = table(evaluate(options.checkpoint, options.build))
    print(measured)
    if options.write_model_card:
        path = options.checkpoint / "README.md"
        credits_table = attribution(json.loads((options.build / "sources.json").read_text(encoding="utf-8")))
        card = fill(path.read_text(encoding="utf-8"), "evaluation", measured)
        path.write_text(fill(card, "attribution", credits_table), encoding="utf-8")
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
