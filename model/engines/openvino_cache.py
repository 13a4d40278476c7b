"""The cache of OpenVINO's graphs: one folder per checkpoint, dtype and versions.

Missing graphs are made by a child process, `model.engines.openvino_convert`. A process that serves from the cache
imports neither Keras nor TensorFlow.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from model.checkpoint.hf_config import config_file
from model.checkpoint.safetensors_files import float32_bytes
from model.config import CheckpointError
from model.engines.encoder import CheckpointFiles, GraphsUnavailable

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # it would report every start to OpenVINO's maker

TOWERS = {"image": "image.xml", "text": "text.xml"}
FACTS, GOLDEN = "facts.json", "golden.npz"
PACKAGE = Path(__file__).parents[1]
REFUSED = 3  # the child's exit status for a checkpoint that it refuses; its stdout has the reason
# The memory of a conversion: TensorFlow and the service itself, and two copies of the float32 weights. The conversion
# alone was measured with 0.77 GB for the embedded checkpoint, and with 2.38 GB for a base model.
CONVERTER_BYTES, CONVERTER_COPIES = 900_000_000, 2
# The packages that take part in a conversion: another version may make other graphs.
CONVERTERS = ("openvino", "nncf", "tensorflow", "tensorflow-cpu", "keras", "numpy")


@contextmanager
def openvino_graphs(files: CheckpointFiles, sha256: str, dtype: str) -> Iterator[Path]:
    """Yields the folder of a checkpoint's graphs, which are made first if the cache does not have them.

    Args:
        files: The checkpoint, the cache (None: a temporary folder), and the callback for the stage.
        sha256: The fingerprint of the checkpoint's tensors.
        dtype: "float32" or "int8".

    Raises:
        CheckpointError: The checkpoint is refused.
        GraphsUnavailable: Its graphs cannot be made, or the cache cannot be written.
    """
    with ExitStack() as stack:
        # Only without a cache: a start from cached graphs works on a read-only file system.
        cache = files.cache or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="siglip-")))
        folder = graphs_folder(cache, files, sha256, dtype)
        if not folder.is_dir():
            files.on_stage("converting")
            make(files, folder, dtype)
        yield folder


def check_memory(files: CheckpointFiles, sha256: str, dtype: str, limit_bytes: int | None) -> None:
    """Checks that there is enough memory to make a checkpoint's graphs, unless the cache has them.

    A container that exceeds its memory limit may be killed as a whole, at every start again.

    Args:
        files: The checkpoint and the cache.
        sha256: The fingerprint of the checkpoint's tensors.
        dtype: "float32" or "int8".
        limit_bytes: The memory that this process may use; None if it is not known.

    Raises:
        GraphsUnavailable: There is too little memory.
    """
    needed_bytes = CONVERTER_BYTES + CONVERTER_COPIES * float32_bytes(files.directory)
    cached = files.cache and graphs_folder(files.cache, files, sha256, dtype).is_dir()
    if limit_bytes and needed_bytes > limit_bytes and not cached:
        raise GraphsUnavailable(
            f"making its graphs of the checkpoint needs about {needed_bytes / 1e9:.1f} GB of memory, "
            f"and only {limit_bytes / 1e9:.1f} GB may be used"
        )


def graphs_folder(cache: Path, files: CheckpointFiles, sha256: str, dtype: str) -> Path:
    """Returns the folder of a checkpoint's graphs, which may not exist yet."""
    return cache.expanduser() / cache_key(files.directory, sha256, dtype, files.max_num_patches)


def cache_key(directory: Path, sha256: str, dtype: str, max_num_patches: int | None = None) -> str:
    """Returns the folder's name: the dtype, and hashes of weights, config and patches, and of versions and source."""
    content = hashlib.sha256(sha256.encode() + config_file(directory).read_bytes())
    if max_num_patches:
        content.update(f"max_num_patches {max_num_patches}".encode())
    converter = hashlib.sha256(" ".join(map(installed, CONVERTERS)).encode())
    for path in sorted(PACKAGE.rglob("*.py")):
        converter.update(path.read_bytes())
    return f"{dtype}-{content.hexdigest()[:16]}-{converter.hexdigest()[:16]}"


def installed(package: str) -> str:
    """Returns a package with its version, or its name alone if it is not installed."""
    try:
        return f"{package}=={version(package)}"
    except PackageNotFoundError:
        return package


def make(files: CheckpointFiles, folder: Path, dtype: str) -> None:
    """Converts a checkpoint in a child process. The folder appears complete or not at all.

    Raises:
        CheckpointError: As `openvino_graphs`.
    """
    partial = folder.parent / f"partial-{uuid.uuid4().hex}"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir()  # not mkdtemp, whose folders no other user can read
    except OSError as error:
        raise GraphsUnavailable(f"OpenVINO's graphs of the checkpoint cannot be stored: {error}") from error
    arguments = [str(files.directory.resolve()), str(partial), dtype]
    arguments += [str(files.max_num_patches)] if files.max_num_patches else []
    ours, alive = os.pipe()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "model.engines.openvino_convert", *arguments],
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(PACKAGE.parent), *sys.path])},
            stdin=ours,  # reaches its end when this process ends
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == REFUSED:
            raise CheckpointError(done.stdout.strip())
        if done.returncode:
            last = done.stderr.strip().rpartition("\n")[2]
            raise GraphsUnavailable(f"the checkpoint cannot be converted for OpenVINO: {last or done.returncode}")
        with suppress(OSError):  # another process was faster
            partial.rename(folder)
        older_versions = set(folder.parent.glob(folder.name.rpartition("-")[0] + "-*")) - {folder}
        for outdated in older_versions:  # a process that has one open keeps its files
            shutil.rmtree(outdated, ignore_errors=True)
    finally:
        os.close(ours)
        os.close(alive)
        shutil.rmtree(partial, ignore_errors=True)
