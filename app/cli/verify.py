"""`siglip verify`: compares real weights with published results."""

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
    """Prints a line for every published fact. Returns 1 if one is missed, 2 if there is nothing to compare."""
    parser = argparse.ArgumentParser(
        prog="siglip verify",
        allow_abbrev=False,
        description="Compares what this code computes from published weights with what others published. The exit "
        "status is 1 if a value is outside its tolerance, and 2 if there is nothing to compare. Images are not "
        "downloaded: without them, their lines say where to get them.",
    )
    parser.add_argument("--model", help="variant, such as SigLIPBaseP16; needed if several variants have these weights")
    parser.add_argument("--weights", required=True, help="published name, checkpoint directory or hub id")
    parser.add_argument("--coco", type=Path, metavar="IMAGE", help=f"the image {COCO} of COCO's val2017")
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder of published images with their own names")
    options = parser.parse_args(arguments)
    import_tensorflow()
    from model.verify import verify_weights

    with as_command_error(CheckpointError, OSError, status=MISTAKE):
        images = {path.name: path for path in options.images.iterdir()} if options.images else {}
        images |= {COCO: options.coco} if options.coco else {}
        lines = verify_weights(options.model, options.weights, images)
    return report(lines)


def report(lines: Iterable["Line"]) -> int:
    """Prints the expected and the actual value of each line. Returns 1 if a line failed."""
    counts: Counter[str] = Counter()
    for line in lines:
        counts[line.verdict] += 1
        print(f"{line.verdict.upper()}: {line.name}\n    expected {line.expected}  ({line.remark})")
        print(f"    actual   {line.actual}  (tolerance {line.tolerance})")
    print(", ".join(f"{counts[verdict]} {verdict}" for verdict in ("pass", "fail", "not checked")))
    return int(counts["fail"] > 0)
