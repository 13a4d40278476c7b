"""The doors of the house, read from the source: who may import what, and what no file may do.

CONTRIBUTING.md draws the same picture. Imports are read by AST, those inside functions too.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted(
    path for room in ("app", "model", "training") for path in (ROOT / room).rglob("*.py") if "build" not in path.parts
)

# Package -> the files that alone may import it (a folder stands for all files in it).
DOORS = {
    "tensorflow": ["model/engines/tensorflow_encoder.py"],
    "openvino": ["model/engines/openvino_encoder.py", "model/engines/openvino_cache.py"],
    "nncf": ["model/engines/openvino_cache.py"],
    "keras": [
        "model/engines/tensorflow_encoder.py",
        "model/network/layers.py",
        "model/network/siglip.py",
        "model/network/loss.py",
        "model/checkpoint/weights.py",
        "model/checkpoint/tensor_table.py",
        "training/",
    ],
    "PIL": [
        "app/images/__init__.py",
        "app/images/formats.py",
        "app/images/colours.py",
        "model/preprocess.py",
        "model/processor.py",
        "training/",
    ],
    "huggingface_hub": ["model/checkpoint/hub.py"],
    "safetensors": ["model/checkpoint/weights.py", "model/checkpoint/safetensors_files.py"],
    "sentencepiece": ["model/text/vocabulary.py", "training/"],
    "tokenizers": ["model/text/vocabulary.py"],
    "fastapi": ["app/main.py", "app/http/", "app/routes/", "app/errors.py"],
    "starlette": ["app/main.py", "app/routes/", "app/http/", "app/errors.py"],
    "uvicorn": ["app/http/server.py", "app/http/connection.py"],
    "prometheus_client": ["app/observability/metrics.py"],
    "opentelemetry": ["app/observability/tracing.py"],
    "pydantic_settings": ["app/settings.py"],
    "httpx2": ["app/cli/client.py"],
    "tqdm": ["app/cli/classify.py", "training/"],
    "model.zero_shot": [
        "app/inference/engine.py",
        "app/inference/scoring.py",
        "app/cli/local.py",
        "app/label_sets/definition.py",
        "model/",
        "training/",
    ],
    "model": [
        "app/inference/encoder.py",
        "app/inference/engine.py",
        "app/inference/scoring.py",
        "app/label_sets/definition.py",
        "app/main.py",
        "app/cli/classify.py",
        "app/cli/download.py",
        "app/cli/local.py",
        "app/cli/silence.py",
        "app/cli/verify.py",
        "model/",
        "training/",
    ],
    "app": ["app/"],
    "training": ["training/"],
}
FORBIDDEN_NAMES = {"utils", "util", "helpers", "common", "base", "manager", "handler", "misc"}


def imports(path: Path) -> set[str]:
    """Returns the full names of the modules that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def strangers(package: str, allowed: list[str], files: dict[str, set[str]]) -> list[str]:
    """Returns the files that import the package and may not."""
    return [
        name
        for name, imported in files.items()
        if any(module == package or module.startswith(f"{package}.") for module in imported)
        and not any(name == door or (door.endswith("/") and name.startswith(door)) for door in allowed)
    ]


@pytest.mark.parametrize("package", DOORS)
def test_only_the_named_files_import(package: str) -> None:
    files = {path.relative_to(ROOT).as_posix(): imports(path) for path in SOURCES}
    assert strangers(package, DOORS[package], files) == []


def test_a_stranger_at_a_door_is_noticed() -> None:
    files = {
        "app/inference/engine.py": {"tensorflow.keras"},
        "model/engines/tensorflow_encoder.py": {"tensorflow"},
        "app/x.py": {"tensorflow_x"},
    }
    assert strangers("tensorflow", DOORS["tensorflow"], files) == ["app/inference/engine.py"]


def test_every_door_leads_to_a_file_that_exists() -> None:
    assert [door for doors in DOORS.values() for door in doors if not (ROOT / door).exists()] == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_source_file_is_one_room_with_a_sign(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), "a module's docstring says which room this is"
    assert len(text.splitlines()) <= 260, "a file past about 250 lines is two rooms"
    assert path.stem not in FORBIDDEN_NAMES


def test_every_file_of_app_and_model_has_its_tests() -> None:
    missing = []
    for path in SOURCES:
        room, *inner = path.relative_to(ROOT).parts
        if room == "training" or path.stem in {"__init__", "__main__", "schemas"}:
            continue
        if not list((ROOT / "tests" / room).rglob(f"test_{path.stem}.py")):
            missing.append("/".join((room, *inner)))
    assert missing == []
