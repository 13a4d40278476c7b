"""Labelled images: which files, and which labels are true for each. No image is decoded here.

| source                                   | labels                                                             |
|------------------------------------------|--------------------------------------------------------------------|
| a folder                                 | its sub-folders; images may be at any depth                        |
| `.csv` with the columns `path`, `label`  | a text, or a JSON list of texts; a path may have several rows      |
| `.jsonl`, objects with `path`, `label`   | a text or a list of texts; a path may have several lines           |
| `.tar` of webdataset, or a folder of them| see `webdataset`                                                   |

An empty text, an empty list or null means that no label is true. Paths in a table begin at the table's folder.
"""

import csv
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidRequest
from app.evaluation.names import DataError, read_text, shown
from app.validation import parse_json


class Part(NamedTuple):
    """Where a file is inside a tar file, in bytes."""

    start: int
    size: int


class LabelledImage(NamedTuple):
    """An image file, and the indices of its true keys. `fault` says why it cannot be used."""

    name: str
    """For people: the path, or the tar file's path and the member's name."""
    file: Path
    keys: tuple[int, ...] = ()
    part: Part | None = None
    fault: str = ""


class LabelledImages(NamedTuple):
    """Labelled images. A key stands for a label: a folder's name, a text in a table, or a class number."""

    keys: list[str]
    images: list[LabelledImage]
    numbered: bool = False
    """Whether the keys are class numbers."""
    outside: tuple[str, ...] = ()
    """Files next to the folders of the labels. They belong to no label and are not used."""


# A path, and why it cannot be read, or "".
Files = Callable[[str], Iterable[tuple[str, str]]]


def read_folder(folder: Path, files_below: Files, none_folders: Collection[str] = ()) -> LabelledImages:
    """Returns the images in a folder whose sub-folders are the labels. Hidden files and folders are ignored.

    Args:
        folder: The folder.
        files_below: Yields all files below a folder.
        none_folders: Names of sub-folders with images for which no label is true.

    Raises:
        DataError: It cannot be read, has no sub-folders of labels, or a folder of `none_folders` does not exist.
    """
    try:
        with os.scandir(folder) as found:
            entries = sorted((entry for entry in found if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"{folder}: {error.strerror or error}") from None
    folders = [entry.name for entry in entries if entry.is_dir()]
    if missing := [name for name in none_folders if name not in folders]:
        raise DataError(f"{folder} has no sub-folder {shown(missing)} for images without a label")
    keys = [name for name in folders if name not in none_folders]
    if not keys:
        raise DataError(f"{folder} has no sub-folders: each label needs one with its images")
    index_of = {key: (index,) for index, key in enumerate(keys)}
    images = [
        LabelledImage(path, Path(path), index_of.get(name, ()), fault=fault)
        for name in folders
        for path, fault in files_below(os.path.join(folder, name))
    ]
    outside = tuple(entry.path for entry in entries if entry.name not in folders)
    return LabelledImages(keys, images, outside=outside)


def read_table(path: Path, none_labels: Collection[str] = ()) -> LabelledImages:
    """Returns the images in a .csv or .jsonl file, in its order. The keys are sorted.

    Args:
        path: The file.
        none_labels: Labels that mean that no label is true.

    Raises:
        DataError: The file cannot be read or used.
    """
    rows = {".csv": _csv_rows, ".jsonl": _json_rows}[path.suffix]
    labels_of: dict[str, set[str]] = {}
    for number, name, label in rows(path):
        texts = [text.strip() for text in _label_texts(label, f"{path}, line {number}")]
        labels_of.setdefault(name, set()).update(text for text in texts if text and text not in none_labels)
    keys = sorted(set().union(*labels_of.values()))
    if not keys:
        raise DataError(f"{path} has no labels")
    index_of = {key: index for index, key in enumerate(keys)}
    images = []
    for name, used in labels_of.items():
        file = path.parent / name
        images.append(LabelledImage(str(file), file, tuple(sorted(index_of[text] for text in used))))
    return LabelledImages(keys, images)


def _csv_rows(path: Path) -> Iterator[tuple[int, str, Any]]:
    rows = csv.DictReader(StringIO(read_text(path), newline=""), strict=True)
    try:
        if not {"path", "label"} <= set(rows.fieldnames or ()):
            raise DataError(f"{path}: the first line must name the columns path and label")
        for row in rows:
            if not row["path"] or row["label"] is None:
                raise DataError(f"{path}, line {rows.line_num}: path or label is missing")
            label = row["label"]
            if label.startswith("["):
                label = _parsed(label, f"{path}, line {rows.line_num}: the label")
            yield rows.line_num, row["path"], label
    except csv.Error as error:
        raise DataError(f"{path}, line {rows.line_num}: {error}") from None


def _json_rows(path: Path) -> Iterator[tuple[int, str, Any]]:
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        row = _parsed(line, where)
        if not isinstance(row, dict) or not isinstance(row.get("path"), str) or "label" not in row or not row["path"]:
            raise DataError(f"{where}: it must be an object with path and label")
        yield number, row["path"], row["label"]


def _parsed(text: str, where: str) -> Any:
    try:
        return parse_json(text, "It")
    except InvalidRequest as error:
        raise DataError(f"{where}: {error.detail}") from None


def _label_texts(label: Any, where: str) -> list[str]:
    texts = [] if label is None else [label] if isinstance(label, str) else label
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise DataError(f"{where}: label must be a text or a list of texts")
    return texts


def truth_matrix(images: Sequence[LabelledImage], label_of: Sequence[int], num_labels: int) -> NDArray[np.bool_]:
    """Returns which labels are true for which image, [N, K].

    Args:
        images: N images.
        label_of: The index of each key's label.
        num_labels: K.
    """
    truth = np.zeros((len(images), num_labels), dtype=bool)
    for row, image in enumerate(images):
        truth[row, [label_of[key] for key in image.keys]] = True
    return truth


def leaks(images: Iterable[LabelledImage], digests: Iterable[str]) -> list[list[str]]:
    """Returns the names of equal files with different labels, a list for each file.

    Args:
        images: The images.
        digests: The SHA-256 of each image's file.
    """
    found: dict[str, list[LabelledImage]] = {}
    for image, digest in zip(images, digests, strict=True):
        found.setdefault(digest, []).append(image)
    return [[image.name for image in same] for same in found.values() if len({image.keys for image in same}) > 1]
