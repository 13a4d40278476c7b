"""An operator's folder of label sets, read at the start: NAME.txt or NAME.json. Nothing is written here.

NAME.txt is UTF-8, with a byte order mark or without, one label a line; blank lines, and lines that begin with `#`, are
skipped. NAME.json is a list of labels, or the body of a PUT. Hidden files and folders are skipped; any other file is a
mistake, and a mistake ends the start: better no service than one whose labels are not those that were meant.
"""

from codecs import BOM_UTF8
from pathlib import Path

from app.errors import InvalidLabels, ServiceError
from app.label_sets.definition import LabelSetDefinition, LabelWithPrompts
from app.label_sets.files import NAME
from app.labels import check_label_set
from app.schemas import validated
from app.strict_json import parse_json


class LabelSetFolderError(Exception):
    """A file cannot be used; the message names it and says why."""


def read_folder(folder: Path, max_labels: int) -> dict[str, LabelSetDefinition]:
    """Returns the definitions in the folder by name.

    Raises:
        LabelSetFolderError: The folder cannot be read, or a file in it cannot be used.
    """
    found: dict[str, LabelSetDefinition] = {}
    try:
        paths = sorted(path for path in folder.expanduser().iterdir() if not path.name.startswith("."))
        for path in (path for path in paths if not path.is_dir()):
            if path.suffix not in READERS:
                raise LabelSetFolderError(f"{path}: a label set is a .txt or a .json file")
            if not NAME.fullmatch(path.stem):
                raise LabelSetFolderError(f"{path}: this is no name for a label set; take a-z, 0-9, '.', '_' and '-'")
            if path.stem in found:
                raise LabelSetFolderError(f"{path}: there is a .json file of the same name")
            found[path.stem] = READERS[path.suffix](path, max_labels)
    except OSError as error:
        raise LabelSetFolderError(f"{error.filename or folder}: {error.strerror}") from None
    return found


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
