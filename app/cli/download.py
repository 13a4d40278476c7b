"""`python -m app download`: a checkpoint fetched ahead of time, and checked as far as that goes without loading it."""

import argparse
import sys

from app.cli import MISTAKE, as_command_error
from app.cli.silence import import_tensorflow
from model.checkpoint.hub import checkpoint_directory
from model.config import CheckpointError
from model.published import VARIANTS, choose_weights


def main(arguments: list[str]) -> int:
    """Prints where the checkpoint lies, its sha256, and what was checked."""
    parser = argparse.ArgumentParser(
        prog="python -m app download",
        description="Fetches a checkpoint into the cache of the Hugging Face client (HF_HOME), or goes on where that "
        "was interrupted, and checks it: published sha256, every tensor by name, shape and type, vocabulary and pixel "
        "rules. No tensor is loaded. Ends with 1 if it cannot be fetched or is not as it must be, and with 2 if there "
        "is no such name.",
        epilog="HF_HUB_OFFLINE, HF_TOKEN and HF_ENDPOINT hold.",
    )
    parser.add_argument("--variant", help="such as SigLIPBaseP16; needed where a name is not enough")
    parser.add_argument("--weights", required=True, help="a published name, a hub id or a checkpoint directory")
    parser.add_argument("--revision", help="commit, branch or tag on the hub (default: the published one)")
    options = parser.parse_args(arguments)
    with as_command_error(CheckpointError, status=MISTAKE):
        names = choose_weights(options.variant, options.weights)
    with as_command_error(CheckpointError):
        on_stage = None if sys.stderr.isatty() else log_stage  # None: the client draws its bar
        directory = checkpoint_directory(options.variant, options.weights, revision=options.revision, on_stage=on_stage)
        print(f"directory         {directory}", flush=True)
        # After the download, for they take seconds.
        import_tensorflow()
        from model.checkpoint.hf_config import read_config_of
        from model.checkpoint.safetensors_files import fingerprint
        from model.checkpoint.weights import check_tensors
        from model.processor import SigLIPProcessor

        read_config_of(options.variant, directory)
        tensors = check_tensors(directory)
        SigLIPProcessor(weights=directory)
        print(f"tensors           {tensors:,}, each with its name, shape and type")
        print(f"sha256 of them    {fingerprint(directory)}")
    published = VARIANTS[names[0]][names[1]].sha256 if names and not options.revision else {}
    print(f"published sha256  {', '.join(f'{name} agrees' for name in published) or 'none is known'}")
    return 0


def log_stage(stage: str) -> None:
    """Prints every tenth percent: a log is no place for a bar."""
    if stage.endswith("0 %"):
        print(stage, file=sys.stderr, flush=True)
