"""`python -m app classify`: labels scored against image files, without a service or by a running one."""

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from tqdm import tqdm  # type: ignore[import-untyped]  # it ships no types

from app.cli import FAILURE, MISTAKE, SUCCESS, CommandError, as_command_error
from app.cli.client import Service
from app.cli.files import NotAnImage, image_files
from app.cli.local import Result, embed_classes, results_of_model
from app.cli.printing import CSV, JSON, TABLE, OutputFormat, printable
from app.cli.remote import results_of_service
from app.cli.silence import import_tensorflow
from app.errors import ServiceError
from app.images import FORMATS
from app.inference.encoder import Encoder, load_encoder
from app.label_sets.definition import LabelSetDefinition, check_label_set
from app.label_sets.folder import LabelSetFolderError, read_file
from app.schemas import ClassifyOptions, ScoredImage
from app.settings import PREFIX, Settings, SettingsError, load_settings
from app.validation import validated
from model.config import CheckpointError
from model.published import choose_weights

TOP_K_OF_TABLE = 5
OF_THE_MODEL = ("model", "weights", "revision", "device", "dtype", "engine")

Load = Callable[[Settings, Callable[[str], None]], Encoder]


def load_quietly(settings: Settings, on_stage: Callable[[str], None]) -> Encoder:
    """Returns the configured encoder; see `load_encoder`."""
    if settings.engine == "tensorflow":
        import_tensorflow()
    return load_encoder(settings, on_stage)


def parser() -> argparse.ArgumentParser:
    """Returns the parser of this command's arguments."""
    command = argparse.ArgumentParser(
        prog="python -m app classify",
        allow_abbrev=False,
        usage="%(prog)s PATH... (--labels LABEL... | --labels-file FILE | --label-set NAME) [options]",
        description="Scores labels against image files. Below a folder, all files count that are images by their "
        "content; hidden ones are left out. A file that cannot be used is told on standard error, and the others go "
        "on. Ends with 1 if there was such a file, and with 2 if the command, a setting or a label cannot be used.",
        epilog=f"The settings of `serve` hold, as far as they apply: {PREFIX}WEIGHTS, {PREFIX}MAX_BATCH and so on. A "
        f"service that wants a key gets the first one of {PREFIX}API_KEYS or {PREFIX}API_KEYS_FILE.",
    )
    command.add_argument("paths", nargs="+", metavar="PATH", help="an image file, or a folder")
    labels = command.add_mutually_exclusive_group(required=True)
    labels.add_argument("--labels", nargs="+", metavar="LABEL", help="what may be in the images")
    labels.add_argument(
        "--labels-file",
        type=Path,
        metavar="FILE",
        help="a .txt file with one label a line, or a .json file as `label-sets show` writes it",
    )
    labels.add_argument("--label-set", metavar="NAME", help="a label set that the service has")
    command.add_argument(
        "--template",
        action="append",
        metavar="TEXT",
        help="a sentence with {} for the label; repeated, they are averaged (default: This is a photo of {}.)",
    )
    command.add_argument(
        "--top-k",
        type=int,
        metavar="N",
        help=f"only the N best labels of each image (default: {TOP_K_OF_TABLE} in the table, all in JSON and CSV)",
    )
    command.add_argument("--threshold", type=float, metavar="P", help="only labels with a sigmoid of at least P")
    forms = command.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true", help="a JSON object a line for each image, not a table")
    forms.add_argument("--csv", action="store_true", help="CSV with a row for each image and label, not a table")
    command.add_argument("--server", metavar="URL", help="ask this running service, and load no model")
    for name in OF_THE_MODEL:
        command.add_argument(f"--{name}", help=f"in the place of {PREFIX}{name.upper()}")
    return command


def main(arguments: list[str], load: Load = load_quietly) -> int:
    """Writes the scores of every image; 1 if a file has none."""
    options = parser().parse_args(arguments)
    given = {name: value for name in OF_THE_MODEL if (value := getattr(options, name)) is not None}
    if options.server and given:
        raise CommandError(f"a service has its own model: leave out --{', --'.join(given)}", MISTAKE)
    if options.label_set and not options.server:
        raise CommandError("--label-set is of a running service: name it with --server", MISTAKE)
    with as_command_error(SettingsError, LabelSetFolderError, ServiceError, CheckpointError, status=MISTAKE):
        settings = load_settings(**given)
        definition = None if options.label_set else read_definition(options, settings.max_labels)
        asked = classify_options(options, definition)
        keys = settings.read_keys()
        choose_weights(settings.model, settings.weights)
    form = JSON if options.json else CSV if options.csv else TABLE
    total, files = count_files(options.paths), image_files(options.paths)
    if definition is None or options.server:
        with Service(options.server, keys) as service, progress(total) as bar:
            return write(results_of_service(service, files, asked), form, bar)
    with progress(total) as bar:
        encoder = loaded(load, settings, bar.set_description)
        classes = embed_classes(encoder, settings, definition, bar.set_description)
        bar.set_description()
        return write(results_of_model(encoder, settings, files, classes, asked), form, bar)


def read_definition(options: argparse.Namespace, max_labels: int) -> LabelSetDefinition:
    """Returns the labels and templates that are asked for.

    Raises:
        CommandError, LabelSetFolderError, ServiceError: They cannot be used.
    """
    if options.labels_file:
        definition = read_file(options.labels_file, max_labels)
    else:
        definition = LabelSetDefinition(labels=options.labels)
    if options.template:
        definition = definition.model_copy(update={"templates": options.template})
    definition = check_label_set(definition, max_labels)
    if options.server and not all(isinstance(label, str) for label in definition.labels):
        message = "has labels with prompts of their own: store it with `label-sets put`, and name it by --label-set"
        raise CommandError(f"{options.labels_file} {message}", MISTAKE)
    return definition


def classify_options(options: argparse.Namespace, definition: LabelSetDefinition | None) -> ClassifyOptions:
    """Returns what a request would say.

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
    }
    return validated(ClassifyOptions, values, strict=True)


def count_files(paths: list[str]) -> int:
    """Returns how many files there are, images or not.

    Raises:
        CommandError: A path leads nowhere, or there is no file.
    """
    for path in map(Path, paths):
        if not path.is_file() and not path.is_dir():
            raise CommandError(f"there is no file or folder {printable(str(path))}", MISTAKE)
    total = sum(1 for _ in image_files(paths))
    if not total:
        raise CommandError("there are no files in the folder" + "s" * (len(paths) > 1))
    return total


def progress(total: int) -> tqdm:
    """Returns a bar on standard error, which is drawn on a terminal alone and gone when it is over."""
    return tqdm(total=total, unit=" files", leave=False, disable=None)


def loaded(load: Load, settings: Settings, on_stage: Callable[[str], None]) -> Encoder:
    """Returns the configured encoder.

    Raises:
        CommandError: It cannot be loaded.
    """
    on_stage("loading")
    try:
        encoder = load(settings, on_stage)
    except Exception as error:  # over a damaged checkpoint, libraries raise anything
        raise CommandError(f"the model cannot be loaded: {error or type(error).__name__}") from error
    if encoder.info.demonstration:
        tqdm.write("note: this is the embedded demonstration model for pictograms, not for photos", file=sys.stderr)
    return encoder


def write(results: Iterable[Result], form: OutputFormat, bar: tqdm) -> int:
    """Writes what comes of each file; returns 1 if one that should have scores has none, or none has."""
    scored = failed = skipped = 0
    header = form.header
    for path, result in results:
        if isinstance(result, ScoredImage):
            scored += 1
            tqdm.write(header + form.rows(path, result), end="")
            header = ""
            sys.stdout.flush()  # for whoever reads along
        elif isinstance(result, NotAnImage):
            skipped += 1
        else:
            failed += 1
            tqdm.write(f"{printable(path)}: {result}", file=sys.stderr)
        bar.update()
    bar.close()
    sys.stdout.write(header)
    if skipped:
        accepted = ", ".join(form.name for form in FORMATS)
        print(f"skipped, for they are no {accepted}: {skipped:,}", file=sys.stderr)
    if failed or not scored:
        print(f"without scores: {failed:,} of {scored + failed:,}", file=sys.stderr)
    return FAILURE if failed or not scored else SUCCESS
