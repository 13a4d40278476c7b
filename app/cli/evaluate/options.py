"""What `siglip evaluate` can be told: its arguments, and the variants of `--compare`."""

import argparse
import re
from pathlib import Path
from typing import NamedTuple

from app.cli import MISTAKE, CommandError
from app.cli.setting_flags import MODEL_FLAGS, add_source_flags
from app.evaluation.comparison import METRICS
from app.evaluation.presets import preset_names
from app.settings import PREFIX

DEFAULT_CACHE = Path("~/.cache/siglip/embeddings")
KEYS = (*MODEL_FLAGS, "server", "labels", "template", "templates")
NEXT_KEY = re.compile(rf",(?=(?:{'|'.join(KEYS)})=)")
FORM = f"KEY=VALUE, several separated by commas, with the keys {', '.join(KEYS)}"


class Variant(NamedTuple):
    """What one `--compare` changes. None, or an empty list or dictionary: as in the evaluation itself."""

    name: str
    settings: dict[str, str]
    server: str | None
    labels: Path | None
    templates: list[str]
    templates_file: Path | None


def parse_variant(text: str) -> Variant:
    """Returns the variant of a `--compare`. `template` may stand several times; the templates are averaged.

    A comma separates only if a key follows, because templates contain commas.

    Raises:
        CommandError: It is malformed, or has a key twice.
    """
    values: dict[str, str] = {}
    templates = []
    for pair in NEXT_KEY.split(text):
        key, equals, value = pair.partition("=")
        if key not in KEYS or not equals or not value:
            raise CommandError(f"--compare takes {FORM}. Received: {text}", MISTAKE)
        if key == "template":
            templates.append(value)
        elif key in values:
            raise CommandError(f"--compare {text} has {key} twice", MISTAKE)
        else:
            values[key] = value
    settings = {key: value for key, value in values.items() if key in MODEL_FLAGS}
    if "server" in values and settings:
        raise CommandError(f"--compare {text}: a service has its own model, so server stands alone", MISTAKE)
    if templates and "templates" in values:
        raise CommandError(f"--compare {text}: give template or templates, not both", MISTAKE)
    return Variant(
        text,
        settings,
        values.get("server"),
        Path(values["labels"]) if "labels" in values else None,
        templates,
        Path(values["templates"]) if "templates" in values else None,
    )


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of this command's arguments."""
    parser = argparse.ArgumentParser(
        prog="siglip evaluate",
        allow_abbrev=False,
        usage="%(prog)s DATA... [options]",
        description="Says how good the scores are on labelled images: accuracy, precision and recall with 95 % "
        "intervals. DATA is a folder whose sub-folders are the labels, a .csv or .jsonl file with path and label, a "
        ".tar file of webdataset, or a folder of them. Image embeddings are kept on disk, so a second run with other "
        "labels or templates decodes no image. The exit status is 1 if a file cannot be used or a check fails, and 2 "
        "if the command, a setting or a file about the images is invalid.",
        epilog=f"The other settings of `siglip serve` apply too. A service that needs an API key gets the first one of "
        f"{PREFIX}API_KEYS or {PREFIX}API_KEYS_FILE.",
    )
    parser.add_argument("data", nargs="+", type=Path, metavar="DATA", help="a folder, or a .csv, .jsonl or .tar file")
    _add_label_arguments(parser)
    _add_choice_arguments(parser)
    _add_output_arguments(parser)
    parser.add_argument(
        "--cache", type=Path, default=DEFAULT_CACHE, metavar="DIR", help=f"for embeddings (default: {DEFAULT_CACHE})"
    )
    parser.add_argument("--no-cache", action="store_true", help="neither read nor keep embeddings")
    add_source_flags(parser)
    return parser


def _add_label_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("labels")
    group.add_argument(
        "--names",
        type=Path,
        metavar="FILE",
        help="label texts: a .json object or .csv (folder,label) by folder name; or a list in the order of the class "
        "numbers, .json, .txt or CLIP_benchmark's classnames (default: folder names, with _ and - read as spaces)",
    )
    group.add_argument("--dataset", metavar="KEY", help="the data set in files of CLIP_benchmark's")
    group.add_argument(
        "--none-folder",
        action="append",
        default=[],
        metavar="NAME",
        help="the folder, or label, of images that are none of the labels; may be repeated",
    )
    wording = group.add_mutually_exclusive_group()
    wording.add_argument("--labels-file", type=Path, metavar="FILE", help="a .txt or .json label set with these labels")
    wording.add_argument("--label-set", metavar="NAME", help="a label set of the service with these labels")
    templates = group.add_mutually_exclusive_group()
    templates.add_argument(
        "--template", action="append", metavar="TEXT", help="a sentence with {} for the label; several are averaged"
    )
    templates.add_argument(
        "--templates-file", type=Path, metavar="FILE", help=".txt with one a line, or .json, as CLIP_benchmark's"
    )
    group.add_argument(
        "--preset",
        choices=preset_names(),
        metavar="NAME",
        help=f"compare with published accuracy, by its protocol; needs --names and --templates-file. One of "
        f"{', '.join(preset_names())}",
    )


def _add_choice_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("thresholds and calibration")
    goal = group.add_mutually_exclusive_group()
    goal.add_argument(
        "--precision", type=float, metavar="P", help="choose thresholds whose accepted answers have this precision"
    )
    goal.add_argument("--f1", action="store_true", help="choose the thresholds with the best F1")
    group.add_argument(
        "--choose-on",
        action="append",
        default=[],
        type=Path,
        metavar="DATA",
        help="choose thresholds and calibration on these images, and report them on DATA; may be repeated (default: "
        "choose on four fifths of DATA and report on the last fifth, five times)",
    )
    group.add_argument(
        "--calibrate",
        choices=("set", "label"),
        help="fit probabilities: one slope and intercept for the set, or for each label",
    )
    group.add_argument(
        "--write-label-set", type=Path, metavar="FILE", help="write a .json label set with what was chosen"
    )


def _add_output_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("comparisons, checks and output")
    group.add_argument(
        "--compare",
        action="append",
        default=[],
        type=parse_variant,
        metavar="KEY=VALUE",
        help=f"also score the same images with {FORM}; may be repeated",
    )
    group.add_argument(
        "--fail-under",
        action="append",
        default=[],
        metavar="METRIC=N",
        help=f"exit status 1 if a metric is below a number from 0 to 1; one of {', '.join(METRICS)}; may be repeated",
    )
    group.add_argument(
        "--baseline",
        type=Path,
        metavar="FILE",
        help="a stored --json output; exit status 1 if a metric is below its interval there",
    )
    group.add_argument("--json", action="store_true", help="print all numbers as JSON instead of a table")
    group.add_argument("--report", type=Path, metavar="FILE", help="write a report as one .html file")
