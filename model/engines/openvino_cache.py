"""OpenVINO's form of a checkpoint, in a folder: the two towers, and what else an encoder must know.

    python -m model.engines.openvino_cache CHECKPOINT FOLDER float32|int8

It is made from the Keras model by a process of its own, whose memory, TensorFlow's and two copies of the weights, the
system gets back. Whoever serves from the folder needs neither Keras nor TensorFlow. Beside the towers lie inputs with
TensorFlow's float32 embeddings of them, for the self-test at every start.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from model.config import CheckpointError
from model.engines.encoder import CheckpointFiles, load_encoder
from model.engines.self_test import test_inputs

if TYPE_CHECKING:
    from model.engines.tensorflow_encoder import TensorFlowEncoder

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # it would tell OpenVINO's maker of every start
import openvino  # noqa: E402 (the line above must come first)

TOWERS = {"image": "image.xml", "text": "text.xml"}
FACTS, GOLDEN = "facts.json", "golden.npz"
PACKAGE = Path(__file__).parents[1]
# Whatever takes part in a conversion: another version may make other graphs.
MAKERS = ("openvino", "nncf", "tensorflow", "tensorflow-cpu", "keras", "numpy")
REFUSED = 3  # the exit status where a checkpoint is refused, for the reason that is printed


@contextmanager
def openvino_graphs(files: CheckpointFiles, sha256: str, dtype: str) -> Iterator[Path]:
    """Gives the folder of a checkpoint's graphs, made now if the cache lacks it; without a cache, a temporary one.

    Args:
        files: The checkpoint, the cache, and whom to tell that it is converted.
        sha256: Of its tensors.
        dtype: "float32" or "int8".

    Raises:
        CheckpointError: The checkpoint cannot be converted, or the cache cannot be written.
    """
    with ExitStack() as stack:
        # Only without a cache: where graphs are cached, no folder has to be writable.
        cache = files.cache or stack.enter_context(tempfile.TemporaryDirectory(prefix="siglip-"))
        folder = Path(cache).expanduser() / key(files.directory, sha256, dtype)
        if not folder.is_dir():
            files.on_stage("converting")
            make(files.directory, folder, dtype)
        yield folder


def key(directory: Path, sha256: str, dtype: str) -> str:
    """Returns a folder's name, another for whatever would make other graphs: what is computed, and who makes them."""
    computed = hashlib.sha256(sha256.encode() + (directory / "config.json").read_bytes())
    maker = hashlib.sha256(" ".join(map(installed, MAKERS)).encode())
    for path in sorted(PACKAGE.rglob("*.py")):
        maker.update(path.read_bytes())
    return f"{dtype}-{computed.hexdigest()[:16]}-{maker.hexdigest()[:16]}"


def installed(package: str) -> str:
    """Returns a package with its version, or its name alone if it is not installed."""
    try:
        return f"{package}=={version(package)}"
    except PackageNotFoundError:
        return package


def make(directory: Path, folder: Path, dtype: str) -> None:
    """Converts in a process of its own; the folder is there whole or not at all.

    Raises:
        CheckpointError: As `openvino_graphs`.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = folder.parent / f"partial-{uuid.uuid4().hex}"
        partial.mkdir()  # not mkdtemp, whose folders no other user can read
    except OSError as error:
        raise CheckpointError(f"OpenVINO's form of the checkpoint cannot be kept: {error}") from error
    ours, alive = os.pipe()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "model.engines.openvino_cache", str(directory.resolve()), str(partial), dtype],
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(PACKAGE.parent), *sys.path])},
            stdin=ours,  # at its end, where this process has ended
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == REFUSED:
            raise CheckpointError(done.stdout.strip())
        if done.returncode:
            last = done.stderr.strip().rpartition("\n")[2]
            raise CheckpointError(f"the checkpoint cannot be converted for OpenVINO: {last or done.returncode}")
        with suppress(OSError):  # another process has been faster
            partial.rename(folder)
        of_older_versions = folder.name.rpartition("-")[0] + "-*"
        for outdated in set(folder.parent.glob(of_older_versions)) - {folder}:  # whoever has one open keeps it
            shutil.rmtree(outdated, ignore_errors=True)
    finally:
        os.close(ours)
        os.close(alive)
        shutil.rmtree(partial, ignore_errors=True)


def convert(directory: Path, folder: Path, dtype: str) -> None:
    """Writes a checkpoint's towers, facts, and golden inputs with their float32 embeddings.

    Raises:
        CheckpointError: As `load_encoder`.
    """
    exact = cast("TensorFlowEncoder", load_encoder(weights=str(directory), device="cpu", dtype="float32"))
    given = test_inputs(exact)
    embeddings = {
        "image_embeddings": exact.encode_images(given["images"]),
        "text_embeddings": exact.encode_texts(given["token_ids"]),
    }
    np.savez(folder / GOLDEN, **given, **embeddings)  # type: ignore[arg-type]  # arrays by name
    facts = {"scale": exact.scale, "bias": exact.bias, "not_finite": exact.not_finite(), "patches": exact.patches}
    (folder / FACTS).write_text(json.dumps(facts), encoding="utf-8")
    for tower, traced in (("image", exact.image_tower), ("text", exact.text_tower)):
        graph = openvino.convert_model(traced.get_concrete_function())
        openvino.save_model(
            quantised(graph) if dtype == "int8" else graph, folder / TOWERS[tower], compress_to_fp16=False
        )


def quantised(graph: Any) -> Any:
    """Returns a graph whose weights are int8, each output channel at a scale of its own; it needs no pictures for that.

    What flows between them is quantised as it comes, when the graph is computed: see `model.engines.openvino_encoder`.
    """
    import nncf

    return nncf.compress_weights(graph, mode=nncf.CompressWeightsMode.INT8_SYM)


def end_with_parent(folder: Path) -> None:
    """Waits until the process that wants the folder has ended before this one, and ends too."""
    os.read(0, 1)  # not by sys.stdin, whose lock Python wants at its end
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def main(directory: Path, folder: Path, dtype: str) -> int:
    """Converts; what libraries say goes to stderr, so that stdout is the reason of a refusal."""
    threading.Thread(target=end_with_parent, args=(folder,), daemon=True).start()
    reason = sys.stdout
    sys.stdout = sys.stderr
    try:
        convert(directory, folder, dtype)
    except CheckpointError as error:
        print(error, file=reason)
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
