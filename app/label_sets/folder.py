"""An operator's folder of label sets, read at the start: NAME.txt or NAME.json. Nothing is written here.

NAME.txt is UTF-8, with a byte order mark or without, one label a line; blank lines, and lines that begin with `#`, are
skipped. NAME.json is a list of labels, or the body of a PUT. Hidden files and folders are skipped; any other file is a
mistake, and a mistake ends the start: better no service than one whose labels are not those that were meant.
"""

from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path

from app.errors import InvalidLabels, ServiceError
from app.label_sets.definition import LabelSetDefinition, LabelWithPrompts, check_label_set
from app.label_sets.files import NAME
from app.validation import parse_json, validated


class LabelSetFolderError(Exception):
    """A file cannot be used; the message names it and says why."""


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
    """Yields the name and the definition of each file in the folder, in order, or what is wrong with it.

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
    """Raises a LabelSetFolderError if a file in the folder cannot give a set its name."""
    if path.exists() and not path.is_file():  # a pipe, which would be waited for
        raise LabelSetFolderError(f"{path}: this is no file")
    if path.suffix in READERS and not NAME.fullmatch(path.stem):
        raise LabelSetFolderError(f"{path}: this is no name for a label set; take a-z, 0-9, '.', '_' and '-'")
    if path.suffix == ".txt" and path.with_suffix(".json").exists():
        raise LabelSetFolderError(f"{path}: there is a .json file of the same name")


def read_file(path: Path, max_labels: int) -> LabelSetDefinition:
    """Returns the definition in a file, whatever its name is before the suffix.

    Raises:
        LabelSetFolderError: It cannot be read or used.
    """
    if path.suffix not in READERS:
        raise LabelSetFolderError(f"{path}: a label set is a .txt or a .json file")
    try:
        return READERS[path.suffix](path, max_labels)
    except OSError as error:
        raise LabelSetFolderError(f"{error.filename or path}: {error.strerror}") from None


def read_text(path: Path, max_labels: int) -> LabelSetDefinition:
    """Returns the definition in a file of lines."""
    labels: list[str | LabelWithPrompts] = []
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
    """Returns the definition in a file of JSON."""
    try:
        content = parse_json(path.read_bytes().removeprefix(BOM_UTF8), "The file")
        if isinstance(content, list):
            content = {"labels": content}
        return check_label_set(validated(LabelSetDefinition, content, strict=True), max_labels)
    except ServiceError as error:
        raise LabelSetFolderError(f"{path}: {error}") from None


READERS = {".txt": read_text, ".json": read_json}
