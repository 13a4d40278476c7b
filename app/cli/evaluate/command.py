"""`siglip evaluate`: how good the scores are on labelled images, and which of several choices is better."""

import argparse
import sys

from app.cli import FAILURE, MISTAKE, SUCCESS, CommandError, as_command_error
from app.cli.classify import Load, load_quietly, progress
from app.cli.client import Service
from app.cli.evaluate.checks import check_options, failed_checks, read_baseline
from app.cli.evaluate.data_sets import read_data_sets
from app.cli.evaluate.labelled_files import file_digests
from app.cli.evaluate.options import make_parser
from app.cli.evaluate.outputs import write_label_set, write_report
from app.cli.evaluate.result import check_inputs, evaluated, report_unusable, usable_inputs
from app.cli.evaluate.scoring import Run, score_files
from app.cli.evaluate.table import evaluation_table
from app.cli.evaluate.towers import EncoderFacts
from app.cli.evaluate.wordings import EvaluatedLabels, evaluated_labels, labels_of_variant
from app.cli.service_info import stored_set
from app.cli.setting_flags import given_model_flags
from app.errors import ServiceError
from app.evaluation.embedding_cache import CacheError
from app.evaluation.names import DataError
from app.evaluation.presets import expected_accuracy
from app.evaluation.statements import warning_text
from app.evaluation.truth import LabelledImage
from app.label_sets.definition import LabelSetDefinition
from app.label_sets.folder import LabelSetFolderError
from app.observability.logs import printable
from app.settings import Settings, SettingsError, load_settings
from model.config import CheckpointError
from model.published import choose_weights

MISTAKES = (SettingsError, LabelSetFolderError, ServiceError, CheckpointError, DataError)
# How the published numbers were measured: pixels as stored, whatever a colour profile says.
PRESET_SETTINGS = {"color_profiles": "ignore", "reduce_jpegs": "false"}


def main(arguments: list[str], load: Load = load_quietly) -> int:
    """Prints the numbers. Returns 1 if a file cannot be used, or a check fails."""
    options = make_parser().parse_args(arguments)
    flags = given_model_flags(options)
    check_options(options)
    with as_command_error(*MISTAKES, status=MISTAKE):
        settings = load_settings(**flags, **(PRESET_SETTINGS if options.preset else {}))
        keys = settings.read_keys()
        baseline = read_baseline(options.baseline) if options.baseline else None
        data = read_data_sets(options.data, options.choose_on, options.none_folder)
        labels = evaluated_labels(
            options, data.all, settings.max_labels, lambda name: set_of_service(options.server, keys, name)
        )
        runs = plan(options, flags, settings, labels)
    images = data.all.images
    for paths, own in ((options.data, images[: data.num_reported]), (options.choose_on, images[data.num_reported :])):
        if paths and not own:
            raise CommandError(f"there are no files in {printable(', '.join(map(str, paths)))}", MISTAKE)

    def check_encoder(facts: EncoderFacts) -> None:
        if labels.preset:
            expected_accuracy(labels.preset, facts.variant, facts.weights)

    with progress(len(images)) as bar:
        digests = file_digests(images, bar)
        files: dict[str, LabelledImage] = {}
        for digest, image in zip(digests, images, strict=True):
            if isinstance(digest, str):
                files.setdefault(digest, image)
        if not files:
            report_unusable(usable_inputs(data, digests, {}), bar)
            raise CommandError("no file can be used")
        cache = None if options.no_cache else options.cache
        with as_command_error(DataError, status=MISTAKE), as_command_error(CacheError):
            scored = score_files(runs, files, load, cache, bar, check_encoder)
        inputs = usable_inputs(data, digests, scored.faults)
        report_unusable(inputs, bar)
        check_inputs(inputs)
        bar.set_description("computing")
        row_of = {digest: row for row, digest in enumerate(files)}
        evaluation, verdict = evaluated(options, data.all, labels, inputs, scored, row_of)
    if options.write_label_set:
        write_label_set(options.write_label_set, labels.definition, evaluation)
    if options.report:
        title = f"Evaluation of {', '.join(path.resolve().name for path in options.data)}"
        write_report(options.report, evaluation, inputs.images, settings, title)
    print(evaluation.to_json(indent=1) if options.json else evaluation_table(evaluation), end="\n" * options.json)
    for warning in evaluation.warnings:
        print(f"warning: {printable(warning_text(evaluation, warning))}", file=sys.stderr)
    return FAILURE if failed_checks(options, evaluation, baseline, verdict) or inputs.unusable else SUCCESS


def plan(options: argparse.Namespace, flags: dict[str, str], settings: Settings, labels: EvaluatedLabels) -> list[Run]:
    """Returns the encoders to load, each with the wordings of the evaluation (place 0) and of `--compare`.

    Raises:
        CommandError, or one of MISTAKES: A setting or a file cannot be used.
    """
    runs: dict[object, Run] = {}
    choose_weights(settings.model, settings.weights)
    runs[options.server, tuple(sorted(flags.items()))] = Run(settings, options.server, {0: labels.definition})
    dataset = options.dataset or (labels.preset.key if labels.preset else None)
    for place, variant in enumerate(options.compare, start=1):
        if options.server and variant.settings:
            raise CommandError(f"--compare {variant.name}: a service has its own model. Name another server", MISTAKE)
        server = variant.server or options.server
        own_flags = {} if server else flags | variant.settings
        own_settings = load_settings(**own_flags, **(PRESET_SETTINGS if options.preset else {}))
        choose_weights(own_settings.model, own_settings.weights)
        key = (server, tuple(sorted(own_flags.items())))
        words = labels_of_variant(variant, labels.definition, settings.max_labels, dataset)
        runs.setdefault(key, Run(own_settings, server, {})).wordings[place] = words
    return list(runs.values())


def set_of_service(url: str, keys: list[str], name: str) -> LabelSetDefinition:
    """Returns a label set of a service.

    Raises:
        CommandError: The set does not exist, or the service does not respond.
    """
    with Service(url, keys) as service:
        return stored_set(service, name, embeddings=True)
