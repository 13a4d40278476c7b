"""`python -m app verify`: real weights against what was published about them."""

import argparse
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli import MISTAKE, as_command_error
from app.cli.silence import import_tensorflow
from model.config import CheckpointError

if TYPE_CHECKING:
    from model.verify import Line

COCO = "000000039769.jpg"


def main(arguments: list[str]) -> int:
    """Prints a line for every published fact; 1 if one was missed, 2 if nothing could be compared."""
    parser = argparse.ArgumentParser(
        prog="python -m app verify",
        description="Compares what this code computes from published weights with what others published. Ends with 1 "
        "if a value is outside its tolerance, and with 2 if there is nothing to compare. Images are not downloaded: "
        "without them, their lines say where to get them.",
    )
    parser.add_argument(
        "--variant", help="SigLIPBaseP16, SigLIP2So400mP16 and so on; needed where a name is not enough"
    )
    parser.add_argument("--weights", required=True, help="a published name, a checkpoint directory or a hub id")
    parser.add_argument("--coco", type=Path, metavar="IMAGE", help=f"the image {COCO} of COCO's val2017")
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="a folder with published images under their own names"
    )
    options = parser.parse_args(arguments)
    import_tensorflow()
    from model.verify import verify_weights

    with as_command_error(CheckpointError, OSError, status=MISTAKE):
        images = {path.name: path for path in options.images.iterdir()} if options.images else {}
        images |= {COCO: options.coco} if options.coco else {}
        lines = verify_weights(options.variant, options.weights, images)
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
