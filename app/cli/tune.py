"""`siglip tune`: adds labelled images to a label set as examples, and measures how much they help."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from app.batch.files import NotScored
from app.cli import FAILURE, MISTAKE, SUCCESS, CommandError, as_command_error
from app.cli.classify import Load, load_quietly, progress
from app.cli.client import Refused, Service, admin_first
from app.cli.evaluate.data_sets import read_data
from app.cli.evaluate.labelled_files import embedded, file_digests
from app.cli.evaluate.scoring import Run, open_towers
from app.cli.setting_flags import add_source_flags, given_model_flags
from app.errors import ServiceError
from app.evaluation.learning import measure_learning
from app.evaluation.names import DataError
from app.evaluation.placement import place, renamed
from app.evaluation.truth import LabelledImage
from app.label_sets.definition import (
    LabelDefinition,
    LabelSetDefinition,
    own_examples,
    own_members,
    with_labels,
    with_members,
)
from app.label_sets.examples import Example, stored_example
from app.label_sets.folder import LabelSetFolderError, read_file
from app.label_sets.names import check_name
from app.label_sets.responses import LabelSetResponse
from app.label_sets.tuning import bind
from app.observability.logs import printable
from app.settings import PREFIX, Settings, SettingsError, load_settings
from model.config import CheckpointError
from model.published import choose_weights

MISTAKES = (SettingsError, LabelSetFolderError, ServiceError, CheckpointError, DataError)


class Teaching(NamedTuple):
    """An image that shows these labels (`kind` is examples), or does not show them (counterexamples)."""

    image: LabelledImage
    kind: str
    labels: tuple[int, ...]


class StoredSet(NamedTuple):
    """The label set before the change, or None if it is new; and the header under which it may be replaced."""

    definition: LabelSetDefinition | None
    headers: dict[str, str]


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of this command's arguments."""
    parser = argparse.ArgumentParser(
        prog="siglip tune",
        allow_abbrev=False,
        description="Adds the images in a folder to a label set as examples. The sub-folders are the labels. Only the "
        "images' embeddings are kept. Then it measures how much the examples help, on images that were not learnt "
        "from. The exit status is 1 if a file cannot be used, and 2 if the command, a setting or a file is invalid.",
        epilog="The other settings of `siglip serve` apply too. A service that needs an API key gets the first one of "
        f"{PREFIX}API_KEYS or {PREFIX}API_KEYS_FILE.",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="sub-folders are labels; or a .csv or .jsonl file")
    parser.add_argument(
        "--label-set",
        required=True,
        metavar="NAME|FILE",
        help="a .json file, or with --server the name of a set there; if there is none, it gets the folder's labels",
    )
    parser.add_argument(
        "--counterexamples", type=Path, metavar="FOLDER", help="images that do not show the label of their sub-folder"
    )
    add_source_flags(parser)
    return parser


def main(arguments: list[str], load: Load = load_quietly) -> int:
    """Changes the label set. Returns 1 if an image file cannot be used."""
    options = make_parser().parse_args(arguments)
    flags = given_model_flags(options)
    with as_command_error(*MISTAKES, status=MISTAKE):
        settings = load_settings(**flags)
        choose_weights(settings.model, settings.weights)
        stored = read_set(options, settings)
        definition, teachings = read_teachings(options, stored.definition)
    images = [teaching.image for teaching in teachings]
    with progress(len(images)) as bar:
        digests = file_digests(images, bar)
        files = {digest: image for digest, image in zip(digests, images, strict=True) if isinstance(digest, str)}
        with open_towers(Run(settings, options.server, {}), load, bar) as towers:
            facts = towers.facts
            check_model(definition, facts.model_fingerprint)
            classes = towers.embed_labels(definition, bar.set_description)
            rows = embedded(towers, files, None, bar)
        bar.clear()
        found = [rows[digest] if isinstance(digest, str) else digest for digest in digests]
        usable = [
            (teaching, str(digest), row)
            for teaching, digest, row in zip(teachings, digests, found, strict=True)
            if isinstance(row, np.ndarray)
        ]
        for image, row in zip(images, found, strict=True):
            if isinstance(row, NotScored):
                print(f"{printable(image.name)}: {row}", file=sys.stderr)
    if len(usable) < len(images):
        print(f"not used: {len(images) - len(usable):,} of {len(images):,} files", file=sys.stderr)
    if not usable:
        raise CommandError("no file can be used")
    changed = with_teachings(definition, usable, facts.model_fingerprint)
    report_learning(usable, classes, facts.scale, facts.bias)
    with as_command_error(*MISTAKES):
        store(options, settings, bind(changed, facts.model_fingerprint), stored)
    return FAILURE if len(usable) < len(images) else SUCCESS


def read_set(options: argparse.Namespace, settings: Settings) -> StoredSet:
    """Returns the label set as it is.

    Raises:
        CommandError: The option is wrong, or the service does not respond.
        LabelSetFolderError: The file cannot be used.
        InvalidRequest: The name is not valid.
    """
    path = Path(options.label_set)
    if path.suffix == ".json":
        if not path.parent.is_dir():
            raise CommandError(f"there is no folder {printable(str(path.parent))}", MISTAKE)
        return StoredSet(read_file(path, settings.max_labels) if path.exists() else None, {})
    if not options.server:
        raise CommandError("--label-set is a .json file, or the name of a set of a --server", MISTAKE)
    with Service(options.server, settings.read_keys()) as service:
        try:
            response = service.ask("GET", f"/label-sets/{check_name(options.label_set)}")
        except Refused as error:
            if error.code == "label_set_not_found":
                return StoredSet(None, {"If-None-Match": "*"})
            raise
        try:
            shown = LabelSetResponse.model_validate_json(response.content)
        except ValueError:
            raise service.not_ours() from None
    members = {name: getattr(shown, name) for name in LabelSetDefinition.model_fields if name in shown.model_fields_set}
    return StoredSet(LabelSetDefinition(**members), {"If-Match": response.headers["ETag"]})


def read_teachings(
    options: argparse.Namespace, definition: LabelSetDefinition | None
) -> tuple[LabelSetDefinition, list[Teaching]]:
    """Returns the label set, with the folder's labels if it is new, and the images with what they teach.

    Raises:
        DataError: A folder cannot be read, or has labels that the set does not have.
    """
    teachings = []
    for kind, path in (("examples", options.folder), ("counterexamples", options.counterexamples)):
        if path is None:
            continue
        data = read_data(path, ())
        texts = renamed(data.keys, {})
        definition = definition or LabelSetDefinition(labels=list(texts))
        label_of = place(texts, definition.names).indices
        for image in data.images:
            teachings.append(Teaching(image, kind, tuple(label_of[key] for key in image.keys)))
    if not teachings or definition is None:
        raise DataError(f"there are no files in {options.folder}")
    return definition, teachings


def check_model(definition: LabelSetDefinition, fingerprint: str) -> None:
    """Raises CommandError if the set was tuned for another model."""
    if definition.is_tuned and definition.tuned_for and definition.tuned_for.model_fingerprint != fingerprint:
        message = "the label set was tuned for another model. Begin a new set, or remove what was tuned and tuned_for"
        raise CommandError(message, MISTAKE)


def with_teachings(
    definition: LabelSetDefinition, usable: Sequence[tuple[Teaching, str, np.ndarray]], fingerprint: str
) -> LabelSetDefinition:
    """Returns the definition with these images, each with its file's SHA-256 and its embedding, as examples too."""
    more: dict[tuple[int, str], dict[str, Example]] = {}
    for teaching, digest, row in usable:
        for label in teaching.labels:
            more.setdefault((label, teaching.kind), {})[digest] = stored_example(row, fingerprint, digest)
    labels: list[str | LabelDefinition] = list(definition.labels)
    for (index, kind), added in more.items():
        kept = own_examples(labels[index], kind)
        known = {example.digest for example in kept if isinstance(example, Example)}
        new = [example for digest, example in added.items() if digest not in known]
        labels[index] = with_members(labels[index], own_members(labels[index]) | {kind: kept + new})
    return with_labels(definition, labels)


def report_learning(
    usable: Sequence[tuple[Teaching, str, np.ndarray]], classes: np.ndarray, scale: float, bias: float
) -> None:
    """Prints how much the examples help."""
    shown = {digest: (teaching, row) for teaching, digest, row in usable if teaching.kind == "examples"}
    truth = np.zeros((len(shown), len(classes)), dtype=bool)
    for index, (teaching, _) in enumerate(shown.values()):
        truth[index, list(teaching.labels)] = True
    learning = measure_learning(np.array([row for _, row in shown.values()]), truth, classes, scale, bias)
    if learning is None:
        print("how much the examples help cannot be measured: there are too few")
        return
    print(
        f"top-1 of {learning.images:,} images, each scored by what was learnt from the others: "
        f"{learning.examples:.3f}; by text alone: {learning.text:.3f}"
    )


def store(options: argparse.Namespace, settings: Settings, definition: LabelSetDefinition, old: StoredSet) -> None:
    """Writes the file, or stores the set in the service.

    Raises:
        CommandError: The service refuses, for example because the set has changed.
        OSError: The file cannot be written.
    """
    if options.label_set.endswith(".json"):
        text = json.dumps(definition.whole, ensure_ascii=False, indent=1)
        Path(options.label_set).write_text(f"{text}\n", encoding="utf-8")
    else:
        with Service(options.server, admin_first(settings)) as service:
            service.ask("PUT", f"/label-sets/{options.label_set}", json=definition.whole, headers=old.headers)
    counts: Mapping[str, int] = {
        kind: sum(len(own_examples(label, kind)) for label in definition.labels)
        for kind in ("examples", "counterexamples")
    }
    print(
        f"{printable(options.label_set)}: labels {len(definition.labels):,}, examples {counts['examples']:,}, "
        f"counterexamples {counts['counterexamples']:,}"
    )
    if old.definition and old.definition.has_thresholds:
        print("warning: the thresholds were chosen before these examples; choose them again", file=sys.stderr)
