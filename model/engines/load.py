"""A name, directory or hub id to an encoder on a device. Chooses the engine; no other file of `model` imports this."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from model.checkpoint.hub import checkpoint_directory
from model.engines.encoder import CheckpointFiles, DeviceError, Encoder, checkpoint_info
from model.processor import SigLIPProcessor


def load_encoder(  # noqa: PLR0913 (each is a setting of its own)
    variant: str | None = None,
    weights: str | None = None,
    *,
    revision: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    engine: str = "tensorflow",
    engine_cache: Path | None = None,
    max_batch: int = 32,
    on_stage: Callable[[str], None] | None = None,
) -> Encoder:
    """Returns a checkpoint on its device, not yet warmed up.

    Args:
        variant: A name of `VARIANTS`, or None.
        weights: A published name, a directory, a hub id, or None; see `choose_weights`.
        revision: The hub commit, branch or tag.
        device: "auto" (the first GPU, else the CPU), "gpu" or "cpu".
        dtype: "auto" (bfloat16 on a GPU that supports it, else float32), "float32", "bfloat16", or "int8" (OpenVINO
            only).
        engine: "tensorflow", or "openvino" (CPU only).
        engine_cache: The folder where OpenVINO's graphs of a checkpoint are kept for the next start; None keeps
            nothing.
        max_batch: The largest batch that the towers accept.
        on_stage: Called with the current stage, such as "downloading 37 %" or "loading"; None draws a progress bar.

    Raises:
        CheckpointError: The checkpoint is unknown, unreachable, incomplete or of another architecture.
        DeviceError: A GPU was requested and TensorFlow sees none, or the engine does not support the request.
    """
    chosen = engine_named(engine)
    place, towers_dtype = chosen.place(device, dtype)
    directory = checkpoint_directory(variant, weights, revision=revision, on_stage=on_stage)
    if on_stage:
        on_stage("loading")
    processor = SigLIPProcessor(weights=directory)  # before the tensors: it is quick, and refuses wrong small files
    placed = {"dtype": towers_dtype, "device": place, "engine": engine}
    info = checkpoint_info(variant, weights, directory, processor, revision=revision, **placed)
    files = CheckpointFiles(directory, engine_cache, on_stage or (lambda stage: None))
    return chosen.load(files, processor, info, max_batch)


def engine_named(engine: str) -> type[Encoder]:
    """Returns an engine's class. It is imported here: TensorFlow takes seconds, and OpenVINO is optional.

    Raises:
        DeviceError: It is not installed.
        ValueError: There is no such engine.
    """
    if engine == "tensorflow":
        from model.engines.tensorflow_encoder import TensorFlowEncoder

        return TensorFlowEncoder
    if engine != "openvino":
        raise ValueError(f"engine must be tensorflow or openvino. Received: {engine!r}")
    if not find_spec("openvino"):
        raise DeviceError("the engine openvino is not installed: pip install -r requirements-openvino.txt")
    from model.engines.openvino_encoder import OpenVINOEncoder

    return OpenVINOEncoder
