"""Reads label sets as versions before the stores kept them. Nothing is written here.

label-sets/NAME.json                       {"format": 2, "labels": [...], "templates": [...], ...}
embeddings/ENCODER/DIGEST.npy              [K, E] float32; DIGEST is that of the definition's texts
"""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from app.label_sets.class_embeddings import embeddings_content, read_embeddings
from app.label_sets.definition import LabelSetDefinition
from app.label_sets.definition_text import read_definition
from app.label_sets.names import NAME
from app.label_sets.store import Embeddings

log = logging.getLogger("app")


def old_definitions(data_dir: Path) -> dict[str, LabelSetDefinition]:
    """Returns the definitions in the folder by name. A file that cannot be read is logged."""
    found = {}
    for path in listed(data_dir / "label-sets", ".json"):
        try:
            found[path.stem] = read_file(path)
        except (OSError, ValueError) as error:
            log.error("the label set in %s cannot be read and is not imported: %s", path, error)  # noqa: TRY400 (a line)
    return found


def read_file(path: Path) -> LabelSetDefinition:
    """Returns the definition in a file. Raises ValueError if its name or its content is not valid."""
    if not NAME.fullmatch(path.stem):
        raise ValueError("its name is not valid for a label set")
    return read_definition(path.read_bytes())


def old_embeddings(data_dir: Path, definition: LabelSetDefinition) -> Iterator[Embeddings]:
    """Yields the class embeddings of a definition, by each encoder. Damaged ones are skipped."""
    for folder in listed(data_dir / "embeddings"):
        path = folder / f"{definition.texts_digest}.npy"
        try:
            array: np.ndarray = np.load(path, allow_pickle=False)
            content = embeddings_content(array)
        except (OSError, ValueError, EOFError):
            continue
        if array.ndim == 2 and read_embeddings(content, len(definition.labels), array.shape[1]) is not None:
            yield Embeddings(folder.name, definition.texts_digest, content)


def listed(folder: Path, suffix: str = "") -> list[Path]:
    """Returns the paths in a folder that end with `suffix`, sorted; [] if the folder is missing or cannot be read."""
    try:
        return sorted(path for path in folder.iterdir() if path.name.endswith(suffix))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        log.error("%s cannot be read: %s", folder, error)  # noqa: TRY400 (no traceback)
        return []
