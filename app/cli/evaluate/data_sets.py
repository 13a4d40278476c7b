"""The labelled images of `siglip evaluate`: those that the numbers are about, and those to choose thresholds on."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from app.batch.files import image_files
from app.evaluation.names import DataError
from app.evaluation.truth import LabelledImages, read_folder, read_table
from app.evaluation.webdataset import read_tars, tar_files


class DataSets(NamedTuple):
    """All labelled images: first those that the numbers are about, then those to choose on."""

    all: LabelledImages
    num_reported: int
    """How many of the images the numbers are about."""


def read_data_sets(reported: Sequence[Path], chosen_on: Sequence[Path], none_folders: Collection[str]) -> DataSets:
    """Returns the labelled images of all paths. Equal keys in several of them are one label.

    Args:
        reported: What the numbers are about.
        chosen_on: What thresholds and calibration are chosen on; may be empty.
        none_folders: Folders, or labels, of images for which no label is true. One of the folders must have each.

    Raises:
        DataError: They cannot be read.
    """
    paths = [*reported, *chosen_on]
    sets = [read_data(path, _own_none_folders(path, paths, none_folders)) for path in paths]
    if len({one.numbered for one in sets}) > 1:
        raise DataError("some of the data have class numbers as labels, and others have texts")
    keys = sorted(set().union(*(one.keys for one in sets)), key=int if sets[0].numbered else None)
    index_of = {key: index for index, key in enumerate(keys)}
    images = [
        image._replace(keys=tuple(sorted(index_of[one.keys[key]] for key in image.keys)))
        for one in sets
        for image in one.images
    ]
    outside = tuple(file for one in sets for file in one.outside)
    num_reported = sum(len(one.images) for one in sets[: len(reported)])
    return DataSets(LabelledImages(keys, images, sets[0].numbered, outside), num_reported)


def _own_none_folders(path: Path, paths: Sequence[Path], names: Collection[str]) -> list[str]:
    """Returns the names without those that a folder lacks and another folder has."""
    return [
        name
        for name in names
        if not path.is_dir() or (path / name).is_dir() or not any((other / name).is_dir() for other in paths)
    ]


def read_data(path: Path, none_folders: Collection[str]) -> LabelledImages:
    """Returns the labelled images of one path.

    Raises:
        DataError: They cannot be read.
    """
    if path.suffix in (".csv", ".jsonl"):
        return read_table(path, none_folders)
    if not path.exists():
        raise DataError(f"there is no file or folder {path}")
    tars = tar_files(path)
    if path.is_dir() and not tars:
        return read_folder(path, lambda folder: image_files([folder]), none_folders)
    if not tars:
        raise DataError(f"{path} is not a folder, and not a .csv, .jsonl or .tar file")
    return read_tars(tars, none_folders)
