"""Converts a checkpoint to OpenVINO's graphs, in a process of its own:

    python -m model.engines.openvino_convert CHECKPOINT FOLDER float32|int8 [MAX_NUM_PATCHES]

The memory of TensorFlow and of two copies of the weights goes back to the system when the process ends. The folder gets
the two towers, the facts that an encoder needs, and test inputs with TensorFlow's float32 embeddings, for the self-test
at every start. `model.engines.openvino_cache` is the parent process.
"""

import json
import os
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np

from model.config import CheckpointError
from model.engines.encoder import CheckpointFiles, checkpoint_info
from model.engines.openvino_cache import FACTS, GOLDEN, REFUSED, TOWERS
from model.engines.self_test import test_inputs
from model.engines.tensorflow_encoder import TensorFlowEncoder
from model.processor import SigLIPProcessor

import openvino  # isort: skip  # after openvino_cache, which turns its telemetry off


def convert(directory: Path, folder: Path, dtype: str, max_num_patches: int | None) -> None:
    """Writes a checkpoint's towers, facts, and test inputs with their float32 embeddings.

    Raises:
        CheckpointError: The checkpoint cannot be loaded.
    """
    exact = float32_encoder(directory, max_num_patches)
    inputs = test_inputs(exact)
    embeddings = {
        "image_embeddings": exact.encode_images(inputs["images"]),
        "text_embeddings": exact.encode_texts(inputs["token_ids"]),
    }
    np.savez(folder / GOLDEN, **inputs, **embeddings)  # type: ignore[arg-type]  # arrays by name
    facts = {"scale": exact.scale, "bias": exact.bias, "not_finite": exact.not_finite(), "patches": exact.patches}
    (folder / FACTS).write_text(json.dumps(facts), encoding="utf-8")
    for tower, traced in (("image", exact.image_tower), ("text", exact.text_tower)):
        graph = openvino.convert_model(traced.get_concrete_function())
        if dtype == "int8":
            graph = quantised(graph)
        openvino.save_model(graph, folder / TOWERS[tower], compress_to_fp16=False)


def float32_encoder(directory: Path, max_num_patches: int | None) -> TensorFlowEncoder:
    """Returns the checkpoint in TensorFlow on the CPU."""
    processor = SigLIPProcessor(weights=directory, max_num_patches=max_num_patches)
    device, dtype = TensorFlowEncoder.place("cpu", "float32")
    info = checkpoint_info(None, str(directory), directory, processor, dtype=dtype, device=device, engine="tensorflow")
    return TensorFlowEncoder.load(CheckpointFiles(directory, None, lambda stage: None), processor, info, 32)


def quantised(graph: Any) -> Any:
    """Returns a graph with int8 weights and one scale per output channel. This needs no calibration images.

    Activations are quantised while the graph runs; see `model.engines.openvino_encoder`.
    """
    import nncf

    return nncf.compress_weights(graph, mode=nncf.CompressWeightsMode.INT8_SYM)


def end_with_parent(folder: Path) -> None:
    """Waits until the parent process has ended, then removes the folder and ends this process."""
    os.read(0, 1)  # not sys.stdin, whose lock Python needs at exit
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def main(directory: Path, folder: Path, dtype: str, max_num_patches: int | None = None) -> int:
    """Converts. Stdout gets only the reason for a refusal; the libraries' output goes to stderr."""
    threading.Thread(target=end_with_parent, args=(folder,), daemon=True).start()
    stdout = sys.stdout
    sys.stdout = sys.stderr
    try:
        convert(directory, folder, dtype, max_num_patches)
    except CheckpointError as error:
        print(error, file=stdout)
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], *map(int, sys.argv[4:])))
