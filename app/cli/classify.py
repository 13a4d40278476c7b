"""`siglip classify`: scores labels for image files or stored embeddings, without a service or with a running one."""

import argparse
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path

from tqdm import tqdm  # type: ignore[import-untyped]  # it has no types

from app.batch.files import NotScored, image_files
from app.cli import FAILURE, MISTAKE, SUCCESS, CommandError, as_command_error
from app.cli.classifiers import local_classifiers, local_tuning
from app.cli.client import Service
from app.cli.embedding_files import open_file
from app.cli.local import results_of_model
from app.cli.printing import CSV, JSON, TABLE, OutputFormat, Scored, print_warnings
from app.cli.remote import results_of_service
from app.cli.service_info import service_info
from app.cli.setting_flags import add_frame_flag, add_source_flags, given_model_flags
from app.cli.silence import import_tensorflow
from app.cli.stored_embeddings import check_model, local_model, scores_of_model, scores_of_service
from app.errors import ServiceError
from app.inference.encoder import Encoder, load_encoder, uses_tensorflow
from app.inference.identity import model_fingerprint
from app.inference.label_warnings import prompt_warnings
from app.label_sets.definition import LabelSetDefinition, check_label_set
from app.label_sets.folder import LabelSetFolderError, read_file
from app.label_sets.tuning import bind
from app.labels import LABELS_SPLIT, read_labels
from app.observability.logs import printable
from app.schemas import ClassifyOptions
from app.settings import PREFIX, Settings, SettingsError, load_settings
from app.validation import validated
from model.config import CheckpointError
from model.published import choose_weights

TOP_K_OF_TABLE = 5

Load = Callable[[Settings, Callable[[str], None]], Encoder]


def load_quietly(settings: Settings, on_stage: Callable[[str], None]) -> Encoder:
    """Returns the configured encoder; see `load_encoder`."""
    if uses_tensorflow(settings):
        import_tensorflow()
    return load_encoder(settings, on_stage)


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of this command's arguments."""
    parser = argparse.ArgumentParser(
        prog="siglip classify",
        allow_abbrev=False,
        usage="%(prog)s (PATH... | --embeddings FILE) (--labels LABEL... | --labels-file FILE | --label-set NAME) "
        "[options]",
        description="Scores labels for image files. For a folder, it scores all files below it; "
        "hidden files are ignored. Files without scores are reported on stderr with the reason. The exit status is 1 "
        "if there is such a file, and 2 if the command, a setting or a label is invalid.",
        epilog=f"The other settings of `siglip serve` apply too: {PREFIX}MAX_BATCH, {PREFIX}MAX_LABELS and so on. A "
        f"service that needs an API key gets the first one of {PREFIX}API_KEYS or {PREFIX}API_KEYS_FILE.",
    )
    parser.add_argument("paths", nargs="*", metavar="PATH", help="an image file, or a folder")
    parser.add_argument(
        "--embeddings", type=Path, metavar="FILE", help="a file of `siglip embed`, instead of the images themselves"
    )
    labels = parser.add_mutually_exclusive_group(required=True)
    labels.add_argument(
        "--labels", nargs="+", metavar="LABEL", help="what may be in the images; or one text with commas"
    )
    labels.add_argument(
        "--labels-file",
        type=Path,
        metavar="FILE",
        help="a .txt file with one label per line, or a .json file as `siglip label-sets show` prints it",
    )
    labels.add_argument("--label-set", metavar="NAME", help="a label set of the service")
    parser.add_argument(
        "--template",
        action="append",
        metavar="TEXT",
        help="a sentence with {} for the label; several are averaged (default: This is a photo of {}.)",
    )
    parser.add_argument(
        "--top-k",
        type=int,
        metavar="N",
        help=f"only the N best labels of each image (default: {TOP_K_OF_TABLE} in the table, all in JSON and CSV)",
    )
    parser.add_argument("--threshold", type=float, metavar="P", help="only labels with a sigmoid of at least P")
    add_frame_flag(parser)
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print one JSON object per image instead of a table")
    output.add_argument("--csv", action="store_true", help="print one CSV row per image and label instead of a table")
    add_source_flags(parser)
    return parser


def main(arguments: list[str], load: Load = load_quietly) -> int:
    """Prints the scores of every image. Returns 1 if a file has none."""
    options = make_parser().parse_args(arguments)
    flags = given_model_flags(options)
    if bool(options.paths) == bool(options.embeddings):
        raise CommandError("name image files or folders, or one file with --embeddings", MISTAKE)
    if options.embeddings and options.frame:
        raise CommandError("--frame is for image files: `siglip embed` has chosen the frame of each embedding", MISTAKE)
    if options.label_set and not options.server:
        raise CommandError("--label-set needs a running service: name it with --server", MISTAKE)
    with as_command_error(SettingsError, LabelSetFolderError, ServiceError, CheckpointError, status=MISTAKE):
        settings = load_settings(**flags)
        definition = None if options.label_set else requested_labels(options, settings.max_labels)
        request = classify_options(options, definition)
        keys = settings.read_keys()
        choose_weights(settings.model, settings.weights)
    output = JSON if options.json else CSV if options.csv else TABLE
    results: Iterable[tuple[str, Scored | NotScored]]
    with ExitStack() as stack:
        stored = stack.enter_context(open_file(options.embeddings)) if options.embeddings else None
        total, files = stored.num_rows if stored else count_files(options.paths), image_files(options.paths)
        if definition is None or options.server:
            service = stack.enter_context(Service(options.server, keys))
            if stored:
                info = service_info(service)
                check_model(stored, info.model)
                results = scores_of_service(service, info, stored, request)
            else:
                results = results_of_service(service, files, request)
            return write(results, output, stack.enter_context(progress(total)))
        bar = stack.enter_context(progress(total))
        encoder = loaded(load, settings, bar.set_description)
        if stored:
            check_model(stored, local_model(encoder, settings))
        definition = bind(definition, model_fingerprint(encoder.info, settings))
        tuning = local_tuning(encoder, settings, definition)
        classes = local_classifiers(encoder, settings, definition, bar.set_description)
        bar.set_description()
        print_warnings(prompt_warnings(encoder, definition.names, definition.prompts))
        if stored:
            results = scores_of_model(encoder, stored, classes, request, tuning)
        else:
            results = results_of_model(encoder, settings, files, classes, request, tuning)
        return write(results, output, bar)


def requested_labels(options: argparse.Namespace, max_labels: int) -> LabelSetDefinition:
    """Returns the requested labels and templates.

    Raises:
        CommandError, LabelSetFolderError, ServiceError: They cannot be used.
    """
    if options.labels_file:
        definition = read_file(options.labels_file, max_labels)
    else:
        given = read_labels(options.labels)
        print_warnings([LABELS_SPLIT] if given.split else [])
        definition = LabelSetDefinition(labels=list(given.labels))
    if options.template:
        definition = definition.model_copy(update={"templates": options.template})
    definition = check_label_set(definition, max_labels)
    has_own = definition.is_tuned or not all(isinstance(label, str) for label in definition.labels)
    if options.server and has_own:
        message = "store it with `siglip label-sets put`, and use --server and --label-set"
        raise CommandError(f"{options.labels_file} has prompts, thresholds or examples: {message}", MISTAKE)
    return definition


def classify_options(options: argparse.Namespace, definition: LabelSetDefinition | None) -> ClassifyOptions:
    """Returns the options of a request.

    Raises:
        InvalidRequest: A value is out of its range.
    """
    top_k = options.top_k
    if top_k is None and not options.json and not options.csv:
        top_k = TOP_K_OF_TABLE
    values = {
        "labels": definition.names if definition else None,
        "label_set": options.label_set,
        "templates": definition.templates if definition else options.template,
        "top_k": top_k,
        "threshold": options.threshold,
        "frame": options.frame,
    }
    return validated(ClassifyOptions, values, strict=True)


def count_files(paths: list[str]) -> int:
    """Returns the number of files, images or not.

    Raises:
        CommandError: A path does not exist, or there are no files.
    """
    for path in map(Path, paths):
        if not path.is_file() and not path.is_dir():
            raise CommandError(f"there is no file or folder {printable(str(path))}", MISTAKE)
    total = sum(1 for _ in image_files(paths))
    if not total:
        raise CommandError("there are no files in the folder" + "s" * (len(paths) > 1))
    return total


def progress(total: int) -> tqdm:
    """Returns a progress bar on stderr, which is only drawn on a terminal and disappears at the end."""
    return tqdm(total=total, unit=" files", leave=False, disable=None)


def loaded(load: Load, settings: Settings, on_stage: Callable[[str], None]) -> Encoder:
    """Returns the configured encoder.

    Raises:
        CommandError: It cannot be loaded.
    """
    on_stage("loading")
    try:
        encoder = load(settings, on_stage)
    except Exception as error:  # libraries raise almost any exception for a damaged checkpoint
        raise CommandError(f"the model cannot be loaded: {error or type(error).__name__}") from error
    if encoder.info.demonstration:
        tqdm.write("note: this is the embedded demonstration model for pictograms, not for photos", file=sys.stderr)
    return encoder


def write(results: Iterable[tuple[str, Scored | NotScored]], output: OutputFormat, bar: tqdm) -> int:
    """Prints the result of each file. Returns 1 if a file has no scores."""
    scored = failed = 0
    for path, result in results:
        if isinstance(result, NotScored):
            failed += 1
            tqdm.write(f"{printable(path)}: {result}", file=sys.stderr)
        else:
            tqdm.write(output.text(path, result, is_first=not scored), end="")
            scored += 1
            sys.stdout.flush()  # for a program that reads along
        bar.update()
    bar.close()
    if not scored:
        sys.stdout.write(output.header)
    if failed:
        print(f"without scores: {failed:,} of {scored + failed:,}", file=sys.stderr)
    return FAILURE if failed else SUCCESS
