"""The labels of an evaluation, from names, label sets, templates and presets; and those of its variants."""

import argparse
from collections.abc import Callable
from typing import NamedTuple

from app.cli import MISTAKE, CommandError
from app.cli.evaluate.options import Variant
from app.evaluation.names import DataError, read_names, read_templates
from app.evaluation.placement import place, renamed, reorder
from app.evaluation.presets import Preset, find_preset
from app.evaluation.truth import LabelledImages
from app.evaluation.tuned_label_set import without_thresholds
from app.label_sets.definition import LabelSetDefinition, check_label_set, own_prompts
from app.label_sets.folder import read_file
from model import zero_shot

ReadSet = Callable[[str], LabelSetDefinition]


class EvaluatedLabels(NamedTuple):
    """The K labels, and which of them each key of the labelled images means."""

    definition: LabelSetDefinition
    label_of: list[int]
    note: str
    preset: Preset | None


def evaluated_labels(
    options: argparse.Namespace, data: LabelledImages, max_labels: int, read_set: ReadSet
) -> EvaluatedLabels:
    """Returns the labels.

    Args:
        options: The command's arguments.
        data: The labelled images.
        max_labels: The most labels.
        read_set: Returns a label set of the service.

    Raises:
        CommandError, DataError, LabelSetFolderError, ServiceError: They cannot be used.
    """
    preset = find_preset(options.preset) if options.preset else None
    dataset = options.dataset or (preset.key if preset else None)
    names = read_names(options.names, dataset) if options.names else {}
    templates = options.template
    if options.templates_file:
        templates = read_templates(options.templates_file, dataset)
    if preset:
        return _of_preset(preset, data, names, templates)
    given = _label_set(options, max_labels, read_set)
    if given and isinstance(names, list):
        raise DataError(f"{options.names} is a list of labels, as the label set is: give one of them")
    note = ""
    if isinstance(names, list):
        definition = LabelSetDefinition(labels=list(names))
        label_of, note = place(data.keys, names, numbered=data.numbered)
    elif given:
        definition = given
        texts = renamed(data.keys, names) if names else data.keys
        label_of, note = place(texts, definition.names, numbered=data.numbered and not names)
    else:
        if data.numbered and not names:
            raise DataError("the labels of these images are class numbers: give their texts with --names")
        definition, label_of = LabelSetDefinition(labels=list(renamed(data.keys, names))), list(range(len(data.keys)))
    if templates:
        definition = _with_templates(definition, templates)
    return EvaluatedLabels(check_label_set(definition, max_labels), label_of, note, None)


def _label_set(options: argparse.Namespace, max_labels: int, read_set: ReadSet) -> LabelSetDefinition | None:
    if options.labels_file:
        return without_thresholds(read_file(options.labels_file, max_labels))
    return without_thresholds(read_set(options.label_set)) if options.label_set else None


def _of_preset(
    preset: Preset, data: LabelledImages, names: dict[str, str] | list[str], templates: list[str] | None
) -> EvaluatedLabels:
    if not isinstance(names, list) or not templates:
        raise CommandError(
            "--preset needs the published texts: --names en_classnames.json and --templates-file "
            "en_zeroshot_classification_templates.json of CLIP_benchmark, or the .txt files of its webdatasets",
            MISTAKE,
        )
    label_of, note = place(data.keys, names, numbered=data.numbered)
    return EvaluatedLabels(preset.definition(names, templates), label_of, note, preset)


def _with_templates(definition: LabelSetDefinition, templates: list[str]) -> LabelSetDefinition:
    if all(own_prompts(label) is not None for label in definition.labels):
        raise DataError("all labels have their own prompts, so templates would change nothing")
    return LabelSetDefinition(labels=definition.labels, templates=templates)


def labels_of_variant(
    variant: Variant, base: LabelSetDefinition, max_labels: int, dataset: str | None
) -> LabelSetDefinition:
    """Returns the same labels in a variant's wording, in the same order.

    Raises:
        DataError, LabelSetFolderError, ServiceError: They cannot be used, or are not the same labels.
    """
    definition = base
    try:
        if variant.labels:
            given = without_thresholds(read_file(variant.labels, max_labels))
            order = reorder(base.names, given.names)
            has_own = given.templates != list(zero_shot.DEFAULT_TEMPLATES)  # a list of labels has no other ones
            definition = LabelSetDefinition(
                labels=[given.labels[index] for index in order],
                templates=given.templates if has_own else base.templates,
            )
        templates = variant.templates or (
            read_templates(variant.templates_file, dataset) if variant.templates_file else []
        )
        if templates:
            definition = _with_templates(definition, templates)
    except DataError as error:
        raise DataError(f"--compare {variant.name}: {error}") from None
    return check_label_set(definition, max_labels)
