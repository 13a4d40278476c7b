"""The files that `siglip evaluate` writes: label sets and reports."""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from app.batch.ahead import map_ordered
from app.batch.files import NotScored
from app.cli.evaluate.labelled_files import LabelledFile
from app.errors import ServiceError
from app.evaluation.evaluation import Evaluation
from app.evaluation.report import render_report
from app.evaluation.truth import LabelledImage
from app.evaluation.tuned_label_set import tuned_label_set
from app.images.thumbnail import ThumbnailPreprocessor, thumbnail
from app.inference.image_input import make_workers
from app.label_sets.definition import LabelSetDefinition
from app.settings import Settings

LISTS = ("unreadable", "leaks", "in_both")  # settings of a result that the report shows as warnings


def write_label_set(path: Path, definition: LabelSetDefinition, evaluation: Evaluation) -> None:
    """Writes the label set with the chosen thresholds and calibration.

    Raises:
        OSError: The file cannot be written.
    """
    content = tuned_label_set(definition, evaluation).whole
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def write_report(
    path: Path, evaluation: Evaluation, images: Sequence[LabelledImage], settings: Settings, title: str
) -> None:
    """Writes the report with thumbnails of the images that it shows.

    Args:
        path: The file.
        evaluation: The result.
        images: The images of its rows.
        settings: How images are decoded.
        title: The heading.

    Raises:
        OSError: The file cannot be written.
    """
    rows = {answer.image for answer in (*evaluation.mistakes, *evaluation.doubtful)}
    small = thumbnails({row: images[row] for row in sorted(rows)}, settings)
    shown = {name: value for name, value in evaluation.settings.items() if name not in LISTS}
    path.write_text(render_report(replace(evaluation, settings=shown), small, title), encoding="utf-8")


def thumbnails(images: Mapping[int, LabelledImage], settings: Settings) -> dict[int, bytes]:
    """Returns small JPEGs, without those of images that cannot be read any more."""

    def small(image: LabelledImage) -> bytes | None:
        try:
            prepared = workers.prepare(LabelledFile(image).read())
        except (NotScored, ServiceError):
            return None
        return thumbnail(prepared.pixels, prepared.facts)

    with closing(make_workers(ThumbnailPreprocessor(), settings)) as workers:
        made: Iterable[bytes | None] = map_ordered(
            small, images.values(), threads=workers.processes, ahead=2 * workers.processes
        )
        return {row: jpeg for row, jpeg in zip(images, made, strict=True) if jpeg}
