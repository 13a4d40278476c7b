"""`siglip evaluate`: how good the scores are on labelled images, and which of several choices is better."""

import argparse
import sys

from pydantic import ValidationError

from app.cli import FAILURE, MISTAKE, SUCCESS, CommandError, as_command_error
from app.cli.classify import Load, load_quietly, progress
from app.cli.client import Service
from app.cli.evaluate_options import make_parser
from app.cli.evaluated_labels import EvaluatedLabels, evaluated_labels, labels_of_variant
from app.cli.evaluation_checks import check_options, failed_checks, read_baseline
from app.cli.evaluation_files import read_data, write_label_set, write_report
from app.cli.evaluation_result import evaluated, report_unusable, usable_rows
from app.cli.evaluation_table import evaluation_table
from app.cli.labelled_files import file_digests
from app.cli.score_labelled import Run, score_files
from app.cli.setting_flags import given_model_flags
from app.cli.towers import EncoderFacts
from app.errors import ServiceError
from app.evaluation.embedding_cache import CacheError
from app.evaluation.names import DataError
from app.evaluation.presets import expected_accuracy
from app.evaluation.truth import LabelledImage
from app.label_sets.definition import LabelSetDefinition, LabelSetResponse
from app.label_sets.folder import LabelSetFolderError
from app.label_sets.store import check_name
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
        data = read_data(options.data, options.none_folder)
        labels = evaluated_labels(
            options, data, settings.max_labels, lambda name: stored_set(options.server, keys, name)
        )
        runs = plan(options, flags, settings, labels)
    if not data.images:
        raise CommandError(f"there are no files in {printable(str(options.data))}", MISTAKE)

    def check_encoder(facts: EncoderFacts) -> None:
        if labels.preset:
            expected_accuracy(labels.preset, facts.variant, facts.weights)

    with progress(len(data.images)) as bar:
        digests = file_digests(data.images, bar)
        files: dict[str, LabelledImage] = {}
        for digest, image in zip(digests, data.images, strict=True):
            if isinstance(digest, str):
                files.setdefault(digest, image)
        if not files:
            report_unusable(usable_rows(data.images, digests, {}, {}), bar)
            raise CommandError("no file can be used")
        cache = None if options.no_cache else options.cache
        with as_command_error(DataError, status=MISTAKE), as_command_error(CacheError):
            scored = score_files(runs, files, load, cache, bar, check_encoder)
        rows = usable_rows(data.images, digests, scored.faults, {digest: row for row, digest in enumerate(files)})
        report_unusable(rows, bar)
        if not rows.images:
            raise CommandError("no file can be used")
        bar.set_description("computing")
        evaluation, verdict = evaluated(options, data, labels, rows, scored)
    if options.write_label_set:
        write_label_set(options.write_label_set, labels.definition, evaluation)
    if options.report:
        write_report(options.report, evaluation, rows.images, settings, f"Evaluation of {options.data.name}")
    print(evaluation.to_json(indent=1) if options.json else evaluation_table(evaluation), end="\n" * options.json)
    for warning in evaluation.warnings:
        print(f"warning: {printable(warning.message)}", file=sys.stderr)
    return FAILURE if failed_checks(options, evaluation, baseline, verdict) or rows.unusable else SUCCESS


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


def stored_set(url: str, keys: list[str], name: str) -> LabelSetDefinition:
    """Returns a label set of a service.

    Raises:
        CommandError: The set does not exist, or the service does not respond.
    """
    with Service(url, keys) as service:
        response = service.ask("GET", f"/label-sets/{check_name(name)}")
        try:
            return LabelSetResponse.model_validate_json(response.content)
        except ValidationError:
            raise service.not_ours() from None
