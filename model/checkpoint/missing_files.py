"""Says what a checkpoint directory or hub repository is that lacks `config.json` or a safetensors file.

Each function returns one line that says what to do. No file with weights is opened. In particular no pickle is opened
(`pytorch_model.bin`, `*.pt`), because opening one can run any code.
"""

import json
import shlex
from collections.abc import Collection, Sequence
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path, PurePath

ADAPTER_FILE = "adapter_config.json"
PICKLES = ("pytorch_model*.bin", "open_clip_pytorch_model.bin", "*.pt", "*.pth", "*.ckpt")
# Pickles that a training writes next to the weights.
TRAINING_STATE = ("training_args.bin", "optimizer*", "scheduler*", "scaler*", "rng_state*", "random_states*")
FOREIGN = (".h5", ".keras", ".msgpack", ".npz", ".onnx", ".gguf")
CONVERT = (
    "import sys, torch, safetensors.torch as s; d = {}; "
    "[d.update(torch.load(f, 'cpu', weights_only=True)) for f in sys.argv[2:]]; "
    "d = next((d[k] for k in ('state_dict', 'model_state_dict', 'model', 'module') if isinstance(d.get(k), dict)), d); "
    "t = {k: v.contiguous().clone() for k, v in d.items() if torch.is_tensor(v)}; "
    "s.save_file(t, sys.argv[1], {'format': 'pt'}) if t else sys.exit('there are no tensors in ' + sys.argv[2])"
)
MERGE = (
    "import sys; from transformers import AutoModel; from peft import PeftModel; "
    "m = AutoModel.from_pretrained(sys.argv[1]); "
    "PeftModel.from_pretrained(m, sys.argv[2]).merge_and_unload().save_pretrained(sys.argv[3]); "
    "from transformers import AutoProcessor; AutoProcessor.from_pretrained(sys.argv[1]).save_pretrained(sys.argv[3])"
)


def python(code: str, *arguments: PurePath | str) -> str:
    """Returns a command for a shell that runs Python code with arguments."""
    return f'python -c "{code}" {shlex.join(map(str, arguments))}'


def pickles(names: Collection[str]) -> list[str]:
    """Returns the names of files that are pickles with weights."""
    return sorted(
        name
        for name in names
        if any(fnmatch(name, pattern) for pattern in PICKLES)
        and not any(fnmatch(name, pattern) for pattern in TRAINING_STATE)
    )


def conversion(directory: PurePath | str, stored: Sequence[str]) -> str:
    """Returns the command that converts one model, of the pickles of a directory, to `model.safetensors`.

    `pytorch_model-*.bin` are the shards of one model. Other files may be of several epochs, so only one is converted.
    """
    folder, shards = PurePath(directory), [name for name in stored if name.startswith("pytorch_model")]
    names = ["pytorch_model.bin"] if "pytorch_model.bin" in shards else shards or stored[:1]
    return python(CONVERT, folder / "model.safetensors", *(folder / name for name in names))


def without_tensors(directory: PurePath | str, names: Collection[str]) -> str:
    """Returns what to do about a directory without `model.safetensors`, which has files of these names."""
    if ADAPTER_FILE in names:
        return adapter(directory)
    found = f"{directory} has neither model.safetensors nor model.safetensors.index.json"
    if "zero_to_fp32.py" in names:
        command = shlex.join(["python", f"{directory}/zero_to_fp32.py", str(directory), str(directory)])
        return f"{found}, but a DeepSpeed training state. Convert it with: {command} --safe_serialization"
    if stored := pickles(names):
        return f"{found}, {only_pickles(stored)}. Convert it with: {conversion(directory, stored)}"
    if other := sorted(name for name in names if name.endswith(".safetensors") and not name.startswith("adapter_")):
        return f"{found}. If {other[0]} has the whole model, rename it to model.safetensors"
    if foreign := sorted(name for name in names if name.endswith(FOREIGN)):
        return f"{found}, only {foreign[0]}, a format that is not supported. Save the model with PyTorch's transformers"
    return f"{found}. Save the whole model into it: model.save_pretrained({str(directory)!r})"


def only_pickles(stored: Sequence[str]) -> str:
    """Returns what is wrong with files that are pickles."""
    listed = f"{', '.join(stored[:2])}{', ...' * (len(stored) > 2)}"
    return f"only {listed}. This is a pickle, which can run any code when it is opened, so it is never loaded"


def repository_without_tensors(hub_id: str, names: Collection[str], revision: str | None = None) -> str:
    """Returns what to do about a hub repository without safetensors, which has files of these names."""
    folder, found = hub_id.rpartition("/")[2], f"{hub_id} has no .safetensors file"
    if not (stored := pickles(names)):
        return f"{found}, so it is not a checkpoint that can be loaded"
    download = ["hf", "download", hub_id, *(["--revision", revision] if revision else []), "--local-dir", folder]
    return (
        f"{found}, {only_pickles(stored)}. Use it as --weights ./{folder} after you have downloaded and converted it: "
        f"{shlex.join(download)} && {conversion(folder, stored)}"
    )


def without_config(directory: PurePath | str, names: Collection[str]) -> str:
    """Returns what to do about a directory without `config.json`, which has files of these names."""
    if ADAPTER_FILE in names:
        return adapter(directory)
    found = f"{directory} is not a checkpoint directory: it has no config.json"
    if steps := sorted((len(name), name) for name in names if fnmatch(name, "checkpoint-*")):
        return f"{found}. It has trainings' checkpoints: use one of them, such as {directory}/{steps[-1][1]}"
    if "model.safetensors" in names or pickles(names):
        return f"{found}. Copy the config.json of the model that was tuned, or save both: model.save_pretrained"
    return found


def adapter(directory: PurePath | str, hub_id: str | None = None, *, has_weights: bool = False) -> str:
    """Returns what to do about a LoRA adapter.

    Args:
        directory: Its directory.
        hub_id: Its hub repository, of which the directory is a copy.
        has_weights: Whether the directory also has the weights of a whole model.
    """
    base, source = None, hub_id or str(directory)
    with suppress(OSError, ValueError, AttributeError):
        base = json.loads(Path(directory, ADAPTER_FILE).read_text("utf-8")).get("base_model_name_or_path")
    base = base or "BASE"
    merged = f"./{hub_id.rpartition('/')[2]}-merged" if hub_id else f"{source.rstrip('/')}-merged"
    what = "is an adapter (LoRA), which is not a whole model"
    if has_weights:
        what = "has an adapter (LoRA) next to the weights. If it is merged into them, delete adapter_config.json"
    return (
        f"{source} {what}. Merge it into {base}, the model that it was trained on, and use {merged}: "
        f"{python(MERGE, base, source, merged)}"
    )
