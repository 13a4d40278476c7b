"""Label texts and templates from files. `placement` says which label a folder or a class number means.

| file of `read_names`           | content                                                                    |
|--------------------------------|----------------------------------------------------------------------------|
| `.json`, an object of texts    | folder name -> label text                                                  |
| `.csv`                         | the columns `folder` and `label`                                           |
| `.json`, a list of texts       | the labels in the order of their numbers                                   |
| `.txt`                         | the same, one label a line, as `classnames.txt` of a webdataset            |
| `.json`, an object of lists    | CLIP_benchmark's `en_classnames.json`: data set -> labels in their order   |
"""

import csv
from codecs import BOM_UTF8
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from app.errors import InvalidRequest
from app.validation import parse_json

SHOWN = 3  # examples in a message

Names = dict[str, str] | list[str]  # folder name -> label text, or the label texts in their order


class DataError(Exception):
    """Labelled images, or a file about them, cannot be used. The message says where, and what to do."""


def label_text(key: str) -> str:
    """Returns the label text of a folder name: `running_shoe` is `running shoe`."""
    return " ".join(key.replace("_", " ").replace("-", " ").split())


def read_names(path: Path, dataset: str | None = None) -> Names:
    """Returns the label texts in a file; the module's table shows the formats.

    Args:
        path: The file.
        dataset: The key in a file of CLIP_benchmark's.

    Raises:
        DataError: The file cannot be read or used.
    """
    if path.suffix == ".txt":
        return _lines(path)
    if path.suffix == ".csv":
        return _columns(path)
    if path.suffix != ".json":
        raise DataError(f"{path}: a file of names is a .json, .csv or .txt file")
    content = _json(path)
    if isinstance(content, dict) and content and all(isinstance(value, str) for value in content.values()):
        return content
    return _texts(path, content, dataset)


def read_templates(path: Path, dataset: str | None = None) -> list[str]:
    """Returns the templates in a file: .txt with one a line, a JSON list, or CLIP_benchmark's JSON object of lists.

    CLIP_benchmark's placeholder `{c}` becomes `{}`.

    Raises:
        DataError: The file cannot be read or used, or a template has no placeholder.
    """
    if path.suffix not in (".txt", ".json"):
        raise DataError(f"{path}: a file of templates is a .json or .txt file")
    texts = _lines(path) if path.suffix == ".txt" else _texts(path, _json(path), dataset)
    templates = [text.replace("{c}", "{}") for text in texts]
    for number, template in enumerate(templates, start=1):
        if "{}" not in template:
            raise DataError(f"{path}: template {number} has neither {{}} nor {{c}} for the label")
    return templates


def _texts(path: Path, content: Any, dataset: str | None) -> list[str]:
    """Returns the list of texts in a JSON value, or in the entry of a data set."""
    if isinstance(content, dict):
        known = ", ".join(content)
        if dataset is None:
            raise DataError(f"{path} has entries for several data sets: choose one with --dataset. It has {known}")
        if dataset not in content:
            raise DataError(f"{path} has no entry for the data set {dataset}. It has {known}")
        content = content[dataset]
    if not isinstance(content, list) or not content or not all(isinstance(text, str) for text in content):
        raise DataError(f"{path}: it must be a list of texts, or an object of texts or of lists of texts")
    return content


def _json(path: Path) -> Any:
    try:
        return parse_json(read_bytes(path), "It")
    except InvalidRequest as error:
        raise DataError(f"{path}: {error.detail}") from None


def _lines(path: Path) -> list[str]:
    texts = [line.strip() for line in read_text(path).split("\n")]
    while texts and not texts[-1]:
        del texts[-1]
    if not texts:
        raise DataError(f"{path} is empty")
    if "" in texts:
        raise DataError(f"{path}, line {texts.index('') + 1}: it is blank, but each line is the text of one number")
    return texts


def _columns(path: Path) -> dict[str, str]:
    rows = csv.DictReader(StringIO(read_text(path), newline=""), strict=True)
    names: dict[str, str] = {}
    try:
        if not {"folder", "label"} <= set(rows.fieldnames or ()):
            raise DataError(f"{path}: the first line must name the columns folder and label")
        for row in rows:
            if not row["folder"] or not row["label"]:
                raise DataError(f"{path}, line {rows.line_num}: folder or label is missing")
            if names.setdefault(row["folder"], row["label"]) != row["label"]:
                raise DataError(f"{path}, line {rows.line_num}: there is another label for this folder above")
    except csv.Error as error:
        raise DataError(f"{path}, line {rows.line_num}: {error}") from None
    return names


def read_bytes(path: Path) -> bytes:
    """Returns a file without a byte order mark.

    Raises:
        DataError: It cannot be read.
    """
    try:
        return path.read_bytes().removeprefix(BOM_UTF8)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None


def read_text(path: Path) -> str:
    """Returns a UTF-8 file without a byte order mark.

    Raises:
        DataError: It cannot be read, or is not UTF-8.
    """
    try:
        return read_bytes(path).decode()
    except UnicodeDecodeError:
        raise DataError(f"{path}: it is not UTF-8") from None


def shown(texts: Sequence[str]) -> str:
    """Returns the first texts for a message, and how many more there are."""
    more = f" and {len(texts) - SHOWN:,} more" if len(texts) > SHOWN else ""
    return ", ".join(texts[:SHOWN]) + more
