"""Finds the tensors of a checkpoint by the names that they have without wrappers around the model. Imports no Keras.

People save the model from inside another one: compiled, distributed, adapted, or as a part of their own class. Its
tensors then have longer names. What stands before or between the usual names is removed:

| name in the file                         | name that is read         |
|------------------------------------------|---------------------------|
| `module.siglip.logit_scale`              | `logit_scale`             |
| `vision_model._orig_mod.head.probe`      | `vision_model.head.probe` |
| `base_model.model.text_model.head.bias`  | `text_model.head.bias`    |

Other tensors keep their names, so loading refuses a file that has more than the model. A prefix of only some names is
not removed: the rest may belong to another model.
"""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from model.checkpoint.safetensors_files import tensor_files

log = logging.getLogger(__name__)

# The modules that torch.compile, DistributedDataParallel, FSDP and activation checkpointing put around others.
WRAPPERS = frozenset({"_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
# The first parts of the names in files of transformers and of open_clip. What is before SCALE is before all of them.
ROOTS = frozenset({"logit_scale", "logit_bias", "vision_model", "text_model", "visual", "text"})
SCALE = "logit_scale"


class StoredTensor(NamedTuple):
    """A tensor's file, and its name there."""

    path: Path
    name: str


def stored_tensors(directory: Path) -> dict[str, StoredTensor]:
    """Returns the tensors of a checkpoint by their names without wrappers.

    Raises:
        CheckpointError: There are no such files, or one is damaged.
    """
    files = tensor_files(directory)
    return {plain: StoredTensor(files[name], name) for plain, name in without_wrappers(files).items()}


def log_wrappers(directory: Path) -> None:
    """Logs one line if the names of a checkpoint's tensors have a wrapper.

    Raises:
        CheckpointError: As `stored_tensors`.
    """
    for plain, (_, name) in stored_tensors(directory).items():
        if plain != name:
            log.info("%s: a wrapper in the tensors' names is ignored: %s is read as %s", directory, name, plain)
            return


def without_wrappers(names: Iterable[str]) -> dict[str, str]:
    """Returns the names by their names without wrappers. If two would become the same, nothing is removed."""
    names = list(names)
    inner = [".".join(part for part in name.split(".") if part not in WRAPPERS) for name in names]
    scales = [name for name in inner if name.split(".")[-1] == SCALE]
    prefix = scales[0].removesuffix(SCALE) if len(scales) == 1 else ""
    if prefix and any(name.split(".")[0] in ROOTS for name in inner if not name.startswith(prefix)):
        prefix = ""
    plain = [name.removeprefix(prefix) for name in inner]
    return dict(zip(plain if len(set(plain)) == len(plain) else names, names, strict=True))
