"""The command line: `python -m app serve` and `python -m app verify`."""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from app.config import SettingsError, load_settings, settings_table
from app.logs import configure_logging
from app.server import serve
from app.tracing import start_tracing

if TYPE_CHECKING:
    from model.verify import Line

COCO = "000000039769.jpg"


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 0, 1 for a failure, 2 for a user's mistake, which is told in one line."""
    parser = argparse.ArgumentParser(prog="python -m app", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_serve(commands)
    add_verify(commands)
    options = parser.parse_args(arguments)
    try:
        status: int = options.run(options)
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return status


def add_serve(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `serve`."""
    parser = commands.add_parser(
        "serve",
        help="answer over HTTP",
        description="Answers over HTTP. All settings are environment variables.",
        epilog=f"settings, defaults and meanings:\n{settings_table()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run_serve)


def run_serve(_options: argparse.Namespace) -> int:
    """Serves until it is told to stop; 1 if the model cannot be loaded, or its device thread ends."""
    settings = load_settings()
    configure_logging(settings.log_format)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's remarks on its own build
    return serve(settings, tracing=start_tracing())


def add_verify(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `verify`."""
    parser = commands.add_parser(
        "verify",
        help="compare real weights with what was published about them",
        description="Compares what this code computes from published weights with what others published. Ends with 1 "
        "if a value is outside its tolerance, and with 2 if there is nothing to compare. Images are not downloaded: "
        "without them, their lines say where to get them.",
    )
    parser.add_argument(
        "--variant", help="SigLIPBaseP16, SigLIPLargeP16 or SigLIPSo400mP14; needed where a name is not enough"
    )
    parser.add_argument("--weights", required=True, help="a published name, a checkpoint directory or a hub id")
    parser.add_argument("--coco", type=Path, metavar="IMAGE", help=f"the image {COCO} of COCO's val2017")
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="a folder with published images under their own names"
    )
    parser.set_defaults(run=verify)


def verify(options: argparse.Namespace) -> int:
    """Prints a line for every published fact; 1 if one was missed, 2 if nothing could be compared."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from model.config import CheckpointError  # here: the service does not need these
    from model.verify import verify_weights

    try:
        images = {path.name: path for path in options.images.iterdir()} if options.images else {}
        lines = verify_weights(
            options.variant, options.weights, images | ({COCO: options.coco} if options.coco else {})
        )
    except (CheckpointError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return report(lines)


def report(lines: Iterable["Line"]) -> int:
    """Prints what was expected and what came, line by line; returns 1 if one failed."""
    counts: Counter[str] = Counter()
    for line in lines:
        counts[line.verdict] += 1
        print(f"{line.verdict.upper()}: {line.name}\n    expected {line.expected}  ({line.remark})")
        print(f"    came     {line.actual}  (tolerance {line.tolerance})")
    print(", ".join(f"{counts[verdict]} {verdict}" for verdict in ("pass", "fail", "not checked")))
    return int(counts["fail"] > 0)


if __name__ == "__main__":
    sys.exit(main())
