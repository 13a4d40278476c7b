"""Reads an operator's folder of label sets at the start: NAME.txt or NAME.json. Nothing is written here.

NAME.txt is UTF-8, with or without a byte order mark, with one label per line. Blank lines and lines that begin with `#`
are skipped. NAME.json is a list of labels, or the body of a PUT. Hidden files and folders are skipped. Any other file
is an error, and an error ends the start, so that the service never runs with the wrong labels.
"""

from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path

from app.errors import InvalidLabels, ServiceError
from app.label_sets.definition import LabelDefinition, LabelSetBody, LabelSetDefinition, check_label_set
from app.label_sets.names import NAME
from app.validation import parse_json, validated


class LabelSetFolderError(Exception):
    """The folder or a file in it cannot be used. The message has the path and the reason."""


def read_folder(folder: Path, max_labels: int) -> dict[str, LabelSetDefinition]:
    """Returns the definitions in the folder by name.

    Raises:
        LabelSetFolderError: The folder cannot be read, or a file in it cannot be used.
    """
    found = {}
    for name, read in read_all(folder, max_labels):
        if isinstance(read, LabelSetFolderError):
            raise read
        found[name] = read
    return found


def read_all(folder: Path, max_labels: int) -> Iterator[tuple[str, LabelSetDefinition | LabelSetFolderError]]:
    """Yields the name and the definition, or the error, of each file in the folder, sorted by name.

    Raises:
        LabelSetFolderError: The folder cannot be read.
    """
    try:
        paths = sorted(path for path in folder.expanduser().iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise LabelSetFolderError(f"{error.filename or folder}: {error.strerror}") from None
    for path in (path for path in paths if not path.is_dir()):
        try:
            check_file_name(path)
            yield path.stem, read_file(path, max_labels)
        except LabelSetFolderError as error:
            yield path.stem, error


def check_file_name(path: Path) -> None:
    """Raises `LabelSetFolderError` if a file cannot be a label set because of its name or type."""
    if path.exists() and not path.is_file():  # reading from a pipe would block
        raise LabelSetFolderError(f"{path}: this is not a regular file")
    if path.suffix in READERS and not NAME.fullmatch(path.stem):
        raise LabelSetFolderError(f"{path}: this is not a valid name for a label set; use a-z, 0-9, '.', '_' and '-'")
    if path.suffix == ".txt" and path.with_suffix(".json").exists():
        raise LabelSetFolderError(f"{path}: there is a .json file of the same name")


def read_file(path: Path, max_labels: int) -> LabelSetDefinition:
    """Returns the definition in a .txt or .json file with any name.

    Raises:
        LabelSetFolderError: The file cannot be read or used.
    """
    if path.suffix not in READERS:
        raise LabelSetFolderError(f"{path}: a label set is a .txt or a .json file")
    try:
        return READERS[path.suffix](path, max_labels)
    except OSError as error:
        raise LabelSetFolderError(f"{error.filename or path}: {error.strerror}") from None


def read_text(path: Path, max_labels: int) -> LabelSetDefinition:
    """Returns the definition in a text file."""
    labels: list[str | LabelDefinition] = []
    numbers = []
    for number, line in enumerate(path.read_bytes().removeprefix(BOM_UTF8).split(b"\n"), start=1):
        try:
            label = line.decode().strip()
        except UnicodeDecodeError:
            raise LabelSetFolderError(f"{path}, line {number}: it is not UTF-8") from None
        if label and not label.startswith("#"):
            labels.append(label)
            numbers.append(number)
    try:
        return check_label_set(LabelSetDefinition(labels=labels), max_labels)
    except InvalidLabels as error:
        place = error.faults[0].pointer.removeprefix("/labels").removeprefix("/")
        where = f"{path}, line {numbers[int(place)]}" if place else path
        raise LabelSetFolderError(f"{where}: {error.faults[0].message}") from None


def read_json(path: Path, max_labels: int) -> LabelSetDefinition:
    """Returns the definition in a JSON file."""
    try:
        content = parse_json(path.read_bytes().removeprefix(BOM_UTF8), "The file")
        if isinstance(content, list):
            content = {"labels": content}
        return check_label_set(validated(LabelSetBody, content, strict=True), max_labels)
    except ServiceError as error:
        raise LabelSetFolderError(f"{path}: {error}") from None


READERS = {".txt": read_text, ".json": read_json}
