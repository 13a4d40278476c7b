"""Labelled images in webdataset's tar files: the members `0001.jpg` and `0001.cls` are one sample.

| member   | content                                                                          |
|----------|----------------------------------------------------------------------------------|
| an image | by its suffix, one a sample                                                      |
| `.cls`   | a class number, from 0                                                           |
| `.json`  | a class number, a text, a list of them, or an object with one as `cls` or `label`|

Images stay in the tar file; only their places are read here. Files of other suffixes are ignored.

Source: webdataset's rules for names: the part of a member's name before the first dot after the last slash is the
sample's.
"""

import tarfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from app.errors import InvalidRequest
from app.evaluation.names import DataError
from app.evaluation.truth import LabelledImage, LabelledImages, Part
from app.validation import parse_json

IMAGES = {"jpg", "jpeg", "jpe", "png", "webp", "gif", "bmp", "tif", "tiff", "avif", "heic", "heif", "jxl"}
LABELS = ("cls", "json")  # the first one that a sample has
MAX_LABEL_BYTES = 1_000_000

Label = int | str
Sample = dict[str, tarfile.TarInfo]  # suffix -> member


def tar_files(path: Path) -> list[Path]:
    """Returns the tar files that a path names: itself, or those in a folder; none if it is something else."""
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.suffix == ".tar" and not file.name.startswith("."))
    return [path] if path.suffix == ".tar" else []


def read_tars(paths: Sequence[Path], none_labels: Collection[str] = ()) -> LabelledImages:
    """Returns the images of all samples, in order.

    Args:
        paths: The tar files.
        none_labels: Texts or numbers that mean that no label is true.

    Raises:
        DataError: A file cannot be read, a label cannot be used, or some labels are numbers and some are texts.
    """
    found: list[tuple[LabelledImage, list[Label]]] = []
    for path in paths:
        try:
            with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
                found += _images(path, file, archive)
        except OSError as error:
            raise DataError(f"{path}: {error.strerror or error}") from None
        except tarfile.TarError as error:
            raise DataError(f"{path} cannot be read as a tar file without compression: {error}") from None
    used = {label for _, labels in found for label in labels if str(label) not in none_labels}
    kinds = {type(label) for label in used}
    if len(kinds) > 1:
        raise DataError("some labels in the tar files are class numbers and some are texts: use one kind")
    if not used:
        raise DataError(f"{paths[0].parent if len(paths) > 1 else paths[0]} has no labelled images")
    numbered = int in kinds
    order = sorted(used, key=lambda label: (label if isinstance(label, int) else 0, str(label)))
    index_of = {label: index for index, label in enumerate(order)}
    images = [
        image._replace(keys=tuple(sorted({index_of[label] for label in labels if label in index_of})))
        for image, labels in found
    ]
    return LabelledImages([str(label) for label in order], images, numbered)


def _images(path: Path, file: IO[bytes], archive: tarfile.TarFile) -> Iterator[tuple[LabelledImage, list[Label]]]:
    """Yields the image of each sample, and its labels."""
    samples: dict[str, Sample] = {}
    for member in archive:
        folder, slash, name = member.name.rpartition("/")
        stem, dot, suffix = name.partition(".")
        if member.isreg() and stem and dot:
            samples.setdefault(f"{folder}{slash}{stem}", {})[suffix.lower()] = member
    for name, sample in samples.items():
        suffixes = [suffix for suffix in sample if suffix.rpartition(".")[2] in IMAGES]
        kind = next((kind for kind in LABELS if kind in sample), None)
        if len(suffixes) != 1 or kind is None:
            reason = "no label: a .cls or .json file" if kind is None else f"{len(suffixes)} images instead of one"
            yield LabelledImage(f"{path}/{name}", path, fault=f"The sample has {reason}."), []
            continue
        label = sample[kind]
        if label.size > MAX_LABEL_BYTES:
            raise DataError(f"{path}/{label.name} has {label.size:,} bytes, which is too much for a label")
        file.seek(label.offset_data)
        labels = _labels(file.read(label.size), kind, f"{path}/{label.name}")
        image = sample[suffixes[0]]
        yield LabelledImage(f"{path}/{image.name}", path, part=Part(image.offset_data, image.size)), labels


def _labels(content: bytes, kind: str, where: str) -> list[Label]:
    """Returns the labels in a label file."""
    value: Any
    if kind == "cls":
        text = content.decode(errors="replace").strip()
        value = int(text) if text.isascii() and text.isdecimal() else None
    else:
        try:
            value = parse_json(content, "It")
        except InvalidRequest as error:
            raise DataError(f"{where}: {error.detail}") from None
        if isinstance(value, dict):
            value = value.get("cls", value.get("label"))
    labels = value if isinstance(value, list) else [value]
    for label in labels:
        if not (isinstance(label, str) and label.strip()) and not (type(label) is int and label >= 0):
            rule = "a class number" if kind == "cls" else "a class number, a text, or a list of them, as cls or label"
            raise DataError(f"{where}: it must have {rule}")
    return [label.strip() if isinstance(label, str) else label for label in labels]
