"""Measures a checkpoint on art that it never saw: `python -m training.evaluate`.

N-way accuracy: the picture against its own name and N - 1 other concepts' names, drawn afresh for each picture, in
the service's default template. Concepts that share the name are never distractors.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from model import zero_shot
from model.config import EMBEDDED_DIRECTORY, EMBEDDED, VARIANTS, read_config
from model.tokenizer import SigLIPTokenizer, canonicalize
from model.variants import load_model

BUILD = Path(__file__).parent / "build"
LANGUAGES = ("en", "es", "fr", "de", "zh", "ar", "hi", "it", "pt", "nl", "pl", "ru", "ja", "ko")
WAYS = (10, 100)
DRAWS = 20


def on_white(rgba: np.ndarray, side: int) -> np.ndarray:
    """Returns pictures composited on white and resized, [B, side, side, 3] uint8, from [B, R, R, 4]."""
    pictures = []
    for image in rgba:
        canvas = Image.new("RGBA", image.shape[:2], "white")
        canvas.alpha_composite(Image.fromarray(image))
        pictures.append(np.asarray(canvas.convert("RGB").resize((side, side), Image.Resampling.BICUBIC)))
    return np.stack(pictures)


def n_way(logits: np.ndarray, truth: np.ndarray, allowed: np.ndarray, ways: int, rng: np.random.Generator) -> float:
    """Returns how often the true name has the highest logit among `ways` names.

    Args:
        logits: [M, C].
        truth: [M], the true column of each row.
        allowed: [C, C] bool, whether a column may be a distractor of a concept.
        ways: N, the true one included.
        rng: The source of the distractors.
    """
    hits = []
    for row, concept in zip(logits, truth, strict=True):
        others = np.flatnonzero(allowed[concept])
        for _ in range(DRAWS):
            distractors = rng.choice(others, ways - 1, replace=False)
            hits.append(row[concept] > row[distractors].max())
    return float(np.mean(hits))


def evaluate(directory: Path, build: Path) -> dict[str, Any]:
    """Returns the figures of the model card: per art set and language, N-way accuracies and mean sigmoids."""
    config = read_config(directory)
    model = load_model(None, str(directory))
    tokenizer = SigLIPTokenizer(directory / "spiece.model", config.text.context_length, config.text.vocab_size)
    concepts = json.loads((build / "concepts.json").read_text(encoding="utf-8"))
    scale, bias = float(np.exp(model.logit_scale.numpy())), float(model.logit_bias.numpy())

    names = {language: [c["texts"][language]["name"] for c in concepts] for language in LANGUAGES}
    texts = {
        language: np.asarray(model.encode_texts(tokenizer(zero_shot.prompts(names[language])))) for language in LANGUAGES
    }
    results: dict[str, Any] = {"concepts": len(concepts), "scale": scale, "bias": bias, "sets": {}}
    for file, wanted in (("heldout", None), ("images", "original")):
        art = json.loads((build / f"{file}.json").read_text(encoding="utf-8"))
        pixels = np.load(build / f"{file}.npy", mmap_mode="r")
        for art_set in sorted({image["set"] for image in art}):
            rows = [i for i, a in enumerate(art) if a["set"] == art_set and a.get("variant", "original") == (wanted or "original")]
            truth = np.array([art[i]["concept"] for i in rows])
            pictures = on_white(pixels[rows], config.vision.image_size[0])
            images = np.concatenate([np.asarray(model.encode_images(part)) for part in np.array_split(pictures, max(1, len(rows) // 64))])
            languages = LANGUAGES if file == "heldout" else ("en",)
            results["sets"][art_set] = {
                "held_out": file == "heldout",
                "images": len(rows),
                **{language: figures(scale * images @ texts[language].T + bias, truth, names[language]) for language in languages},
            }
    return results


def figures(logits: np.ndarray, truth: np.ndarray, names: list[str]) -> dict[str, float]:
    """Returns the N-way accuracies, top-1 of all names, and the mean sigmoid of the true and of the other names."""
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


def table(results: dict[str, Any]) -> str:
    """Returns the figures as the Markdown table of the model card."""
    lines = [
        "| art | held out | language | 10-way | 100-way | top-1 of all | mean sigmoid true / other |",
        "|---|---|---|---|---|---|---|",
    ]
    for art_set, result in sorted(results["sets"].items(), key=lambda item: not item[1]["held_out"]):
        for language in LANGUAGES:
            if row := result.get(language):
                lines.append(
                    f"| {art_set} | {'yes' if result['held_out'] else 'no'} | {language} | {row['10_way']:.3f} | "
                    f"{row['100_way']:.3f} | {row['top_1']:.3f} | {row['sigmoid_true']:.3f} / {row['sigmoid_distractor']:.4f} |"
                )
    return "\n".join(lines)


def attribution(sources: list[dict[str, Any]]) -> str:
    """Returns the credits of the model card as a Markdown table."""
    rows = [
        f"| {source['package']} {source['version']} | {source['author']} | {source['license']} | {source['url']} | "
        f"{source['num_images'] or ''} |"
        for source in sources
    ]
    return "\n".join(["| package | author | licence | home | pictures |", "|---|---|---|---|---|", *rows])


def fill(card: str, section: str, content: str) -> str:
    """Returns the card with what stands between a section's two marks replaced.

    Raises:
        ValueError: The card has no such marks.
    """
    before, opening, rest = card.partition(f"<!-- {section} -->")
    _, closing, after = rest.partition(f"<!-- /{section} -->")
    if not (opening and closing):
        raise ValueError(f"the model card has no marks for {section!r}")
    return f"{before}{opening}\n{content}\n{closing}{after}"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=BUILD, help="what `python -m training.prepare` wrote")
    parser.add_argument("--checkpoint", type=Path, default=EMBEDDED_DIRECTORY / EMBEDDED[1])
    parser.add_argument("--write-model-card", action="store_true", help="fill in the README.md of the checkpoint")
    options = parser.parse_args()
    if not (options.build / "concepts.json").is_file():
        parser.error(f"{options.build} holds no prepared data: run `python -m training.prepare` first")
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
