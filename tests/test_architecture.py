"""The architecture: which module may import which, and rules for every file. CONTRIBUTING.md describes it.

Imports are read from the syntax tree of the source, including those inside functions.
"""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for package in ("app", "model", "training")
    for path in (ROOT / package).rglob("*.py")
    if "build" not in path.parts
)
MODULES = {file.removesuffix(".py").removesuffix("/__init__").replace("/", "."): file for file in FILES}

# From the lowest layer to the highest. A file may import its own folder and lower layers.
APP = [
    ["app.errors", "app.setting_values", "app.environment", "app.settings", "app.healthcheck", "app"],
    ["app.labels", "app.schemas", "app.validation"],
    ["app.images", "app.observability"],
    ["app.inference"],
    ["app.label_sets"],
    ["app.evaluation"],
    ["app.batch"],
    ["app.http"],
    ["app.routes"],
    ["app.main"],
    ["app.processes"],
    ["app.cluster"],
    ["app.cli", "app.__main__"],
]
MODEL = [
    ["model.config", "model.patches", "model.preprocess", "model.zero_shot", "model.published"],
    ["model.network", "model.text"],
    ["model.checkpoint"],
    ["model.processor", "model.few_shot"],
    ["model.verify", "model.engines"],
    ["model"],
]
# Package -> the only folders and files that may import it.
ONLY = {
    "tensorflow": ["model.engines.tensorflow_encoder"],
    "openvino": ["model.engines.openvino_encoder", "model.engines.openvino_convert"],
    "nncf": ["model.engines.openvino_convert"],
    "keras": ["model.network", "model.checkpoint", "model.engines.tensorflow_encoder", "training"],
    "PIL": ["app.images", "model.patches", "model.preprocess", "model.processor", "training"],
    "huggingface_hub": ["model.checkpoint.hub"],
    "fastapi": ["app.http", "app.routes", "app.main"],
    "starlette": ["app.http", "app.routes", "app.main"],
    "uvicorn": ["app.http"],
    "redis": ["app.label_sets.redis_store", "app.label_sets.redis_errors"],
    "prometheus_client": ["app.observability"],
    "opentelemetry": ["app.observability.tracing"],
    "ray": ["app.cluster"],
    "fsspec": ["app.batch"],
    "model": [
        "model",
        "training",
        "app.inference",
        "app.label_sets",
        "app.evaluation",
        "app.batch",
        "app.main",
        "app.processes",
        "app.cli",
        "app.routes.info",
    ],
    "app": ["app"],
    "training": ["training"],
    "model.engines.load": ["app.inference.encoder", "training"],
}
FORBIDDEN_NAMES = {"utils", "util", "helpers", "common", "base", "manager", "handler", "misc"}


def imports(file: str) -> set[str]:
    """Returns the full names of the modules and of the names that a file imports."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


IMPORTS = {module: imports(file) for module, file in MODULES.items()}
GRAPH = {
    module: {name for name in imported if name in MODULES and name not in ("app", "model")}
    for module, imported in IMPORTS.items()
}


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def layer_of(module: str, layers: list[list[str]]) -> tuple[int, str]:
    """Returns the index of a module's layer, and the longest entry of that layer that contains the module."""
    candidates = [(layer, entry) for layer, entries in enumerate(layers) for entry in entries if within(module, entry)]
    return max(candidates, key=lambda found: len(found[1]))


@pytest.mark.parametrize(("package", "layers"), [("app", APP), ("model", MODEL)])
def test_a_file_imports_only_its_own_folder_and_lower_layers(package, layers):
    wrong = []
    for module in (module for module in MODULES if within(module, package)):
        layer, entry = layer_of(module, layers)
        for imported in (name for name in GRAPH[module] if within(name, package)):
            other_layer, other_entry = layer_of(imported, layers)
            same_files = entry in MODULES and not (ROOT / entry.replace(".", "/")).is_dir()
            if other_layer > layer or (other_layer == layer and other_entry != entry and not same_files):
                wrong.append(f"{module} imports {imported}")
    assert wrong == []


def test_there_are_no_circular_imports():
    TopologicalSorter(GRAPH).prepare()  # raises CycleError


@pytest.mark.parametrize("package", ONLY)
def test_a_package_is_imported_only_where_it_is_allowed(package):
    wrong = [
        module
        for module, imported in IMPORTS.items()
        if any(within(name, package) for name in imported)
        and not any(within(module, allowed) for allowed in ONLY[package])
    ]
    assert wrong == []


def test_every_rule_names_existing_modules():
    named = {name for layers in (APP, MODEL) for layer in layers for name in layer}
    named |= {name for allowed in ONLY.values() for name in allowed}
    assert {name for name in named if not any(within(module, name) for module in MODULES)} == set()


@pytest.mark.parametrize("file", FILES)
def test_a_file_has_a_docstring_and_is_not_too_long(file):
    text = (ROOT / file).read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), "the module has no docstring"
    assert len(text.splitlines()) <= 260, "a file with more than about 250 lines must be split"
    assert Path(file).stem not in FORBIDDEN_NAMES


def test_every_file_of_app_and_model_has_a_test_file_in_the_matching_folder():
    untested = {"__init__", "__main__", "raster", "record", "responses", "schemas"}
    missing = []
    for file in (Path(file) for file in FILES if not file.startswith("training/")):
        if file.stem not in untested and not (ROOT / "tests" / file.parent / f"test_{file.stem}.py").is_file():
            missing.append(file.as_posix())
    assert missing == []
