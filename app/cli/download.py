"""`siglip download`: downloads a checkpoint in advance, and checks what can be checked without loading it."""

import argparse
import sys

from app.cli import MISTAKE, as_command_error
from app.cli.silence import import_tensorflow
from app.inference.encoder import load_encoder, uses_tensorflow
from app.settings import Settings, SettingsError, load_settings
from model.checkpoint.hub import checkpoint_directory
from model.config import CheckpointError
from model.published import VARIANTS, choose_weights


def main(arguments: list[str]) -> int:
    """Prints the checkpoint's directory, its SHA-256, and what was checked."""
    parser = argparse.ArgumentParser(
        prog="siglip download",
        allow_abbrev=False,
        description="Downloads a checkpoint into the cache of the Hugging Face client (HF_HOME), or resumes an "
        "interrupted download, and checks it: published SHA-256, the name, shape and type of every tensor, vocabulary "
        "and pixel rules. No tensor is loaded. The exit status is 1 if it cannot be downloaded or a check fails, and 2 "
        "if there is no such name.",
        epilog="HF_HUB_OFFLINE, HF_TOKEN and HF_ENDPOINT apply.",
    )
    parser.add_argument("--model", help="variant, such as SigLIPBaseP16; needed if several variants have these weights")
    parser.add_argument("--weights", required=True, help="published name, hub id or checkpoint directory")
    parser.add_argument("--revision", help="commit, branch or tag on the hub (default: the published revision)")
    parser.add_argument(
        "--prepare",
        action="store_true",
        help="also do what the first start would: if the engine is openvino, make its graphs in SIGLIP_ENGINE_CACHE, "
        "and test them. The other settings of `siglip serve` apply, such as SIGLIP_DTYPE",
    )
    options = parser.parse_args(arguments)
    given = {"model": options.model, "weights": options.weights, "revision": options.revision}
    with as_command_error(CheckpointError, SettingsError, status=MISTAKE):
        names = choose_weights(options.model, options.weights)
        settings = load_settings(**{name: text for name, text in given.items() if text}) if options.prepare else None
    with as_command_error(CheckpointError):
        on_stage = None if sys.stderr.isatty() else log_stage  # None: the client draws its progress bar
        directory = checkpoint_directory(options.model, options.weights, revision=options.revision, on_stage=on_stage)
        print(f"directory         {directory}", flush=True)
        # After the download: these imports take seconds.
        import_tensorflow()
        from model.checkpoint.hf_config import read_config_of
        from model.checkpoint.safetensors_files import fingerprint
        from model.checkpoint.weights import check_tensors
        from model.processor import SigLIPProcessor

        read_config_of(options.model, directory)
        tensors = check_tensors(directory)
        SigLIPProcessor(weights=directory)
        print(f"tensors           {tensors:,}, each with the right name, shape and type")
        print(f"sha256 of them    {fingerprint(directory)}")
    published = VARIANTS[names[0]][names[1]].sha256 if names and not options.revision else {}
    print(f"published sha256  {', '.join(f'{name} agrees' for name in published) or 'none is known'}", flush=True)
    if settings:
        with as_command_error(CheckpointError):
            print(f"engine            {prepare(settings)}")
    return 0


def prepare(settings: Settings) -> str:
    """Makes and tests OpenVINO's graphs of a checkpoint, unless the engine is TensorFlow, and returns the engine.

    Raises:
        CheckpointError: The graphs cannot be made, or give wrong embeddings.
    """
    if uses_tensorflow(settings):
        return "tensorflow, which needs no preparation"
    encoder = load_encoder(settings.model_copy(update={"engine": "openvino"}), log_stage)  # fails instead of a fallback
    encoder.self_test()
    return f"{encoder.info.engine}, {encoder.info.dtype}; its graphs are in {settings.engine_cache}"


def log_stage(stage: str) -> None:
    """Prints every tenth percent, since a progress bar does not belong in a log."""
    if stage.endswith("0 %"):
        print(stage, file=sys.stderr, flush=True)
