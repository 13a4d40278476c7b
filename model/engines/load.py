"""A name, directory or hub id to an encoder on a device. Chooses the engine; no other file of `model` imports this."""

import logging
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from model.checkpoint.hub import checkpoint_directory
from model.checkpoint.tensor_names import log_wrappers
from model.engines.encoder import CheckpointFiles, DeviceError, Encoder, GraphsUnavailable, checkpoint_info
from model.engines.machine import may_have_gpu, memory_limit_bytes
from model.processor import SigLIPProcessor

log = logging.getLogger(__name__)

TENSORFLOW_DTYPES = {"tf32", "float16", "bfloat16"}


def load_encoder(  # noqa: PLR0913 (each is a setting of its own)
    variant: str | None = None,
    weights: str | None = None,
    *,
    revision: str | None = None,
    max_num_patches: int | None = None,
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
        max_num_patches: As for `SigLIPProcessor`.
        device: "auto" (the first GPU, else the CPU), "gpu" or "cpu".
        dtype: "auto" (tf32 on a GPU that supports it, else float32), "float32", "tf32", "float16", "bfloat16", or
            "int8" (OpenVINO only).
        engine: "tensorflow", "openvino" (CPU only), or "auto", which is OpenVINO on a CPU, if it is installed and its
            graphs are in the cache or can be made, and TensorFlow otherwise. `info.engine` is the engine in use.
        engine_cache: The folder where OpenVINO's graphs of a checkpoint are kept for the next start; None keeps
            nothing.
        max_batch: The largest batch that the towers accept.
        on_stage: Called with the current stage, such as "downloading 37 %" or "loading"; None draws a progress bar.

    Raises:
        CheckpointError: The checkpoint is unknown, unreachable, incomplete or of another architecture.
        DeviceError: A GPU was requested and TensorFlow sees none, or the engine does not support the request.
    """
    first, *others = engines_to_try(engine, device, dtype)
    engine_named(first).place(device, dtype)  # before the download: it refuses what the engine does not support
    directory = checkpoint_directory(variant, weights, revision=revision, on_stage=on_stage)
    if on_stage:
        on_stage("loading")
    # Before the tensors: it is quick, and refuses wrong small files.
    processor = SigLIPProcessor(weights=directory, max_num_patches=max_num_patches)
    log_wrappers(directory)
    files = CheckpointFiles(directory, engine_cache, on_stage or (lambda stage: None), processor.max_num_patches)

    def load(name: str) -> Encoder:
        chosen = engine_named(name)
        place, towers_dtype = chosen.place(device, dtype)
        placed = {"dtype": towers_dtype, "device": place, "engine": name}
        info = checkpoint_info(variant, weights, directory, processor, revision=revision, **placed)
        if name == "openvino" and others:
            from model.engines.openvino_cache import check_memory

            check_memory(files, info.sha256, info.dtype, memory_limit_bytes())
        return chosen.load(files, processor, info, max_batch)

    try:
        return load(first)
    except GraphsUnavailable as error:
        if not others:
            raise
        log.warning("TensorFlow is used instead of OpenVINO, which is usually faster: %s", error)
        return load(others[0])


def engines_to_try(
    engine: str, device: str, dtype: str, tensorflow_has_gpu: Callable[[], bool] | None = None
) -> list[str]:
    """Returns the names of the engines to try, in this order.

    | requested                                                  | engines                                     |
    |------------------------------------------------------------|---------------------------------------------|
    | an engine                                                  | this one                                    |
    | auto, dtype int8                                           | openvino                                    |
    | auto, device gpu, or a dtype that only TensorFlow supports | tensorflow                                  |
    | auto, device auto, and there is a GPU                      | tensorflow                                  |
    | auto, otherwise                                            | openvino if it is installed, and tensorflow |

    Args:
        engine: "auto" or an engine.
        device: "auto", "gpu" or "cpu".
        dtype: The requested dtype.
        tensorflow_has_gpu: Returns whether TensorFlow can use a GPU.
    """
    if engine != "auto":
        return [engine]
    if dtype == "int8":
        return ["openvino"]
    has_gpu = device == "auto" and (tensorflow_has_gpu or sees_gpu)()
    if device == "gpu" or dtype in TENSORFLOW_DTYPES or has_gpu or not find_spec("openvino"):
        return ["tensorflow"]
    return ["openvino", "tensorflow"]


def sees_gpu() -> bool:
    """Returns whether TensorFlow can use a GPU. Imports it only if the system shows one."""
    if not may_have_gpu():
        return False
    from model.engines.tensorflow_encoder import list_gpus

    return bool(list_gpus())


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
        raise ValueError(f"engine must be auto, tensorflow or openvino. Received: {engine!r}")
    if not find_spec("openvino"):
        raise DeviceError("the engine openvino is not installed: pip install -r requirements-openvino.txt")
    from model.engines.openvino_encoder import OpenVINOEncoder

    return OpenVINOEncoder
