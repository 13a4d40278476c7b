"""The architecture, read from the source: who may import whom, and what no file may do. CONTRIBUTING.md draws it.

Imports are read from the syntax tree, also those inside functions.
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

# From the lowest floor to the highest: a file imports its own folder and the floors below it.
APP = [
    ["app.errors", "app.settings", "app.healthcheck", "app"],
    ["app.labels", "app.schemas", "app.validation"],
    ["app.images", "app.observability"],
    ["app.inference"],
    ["app.label_sets"],
    ["app.http"],
    ["app.routes"],
    ["app.main"],
    ["app.cli", "app.__main__"],
]
MODEL = [
    ["model.config", "model.preprocess", "model.zero_shot", "model.published"],
    ["model.network", "model.text"],
    ["model.checkpoint"],
    ["model.processor"],
    ["model.verify", "model.engines"],
    ["model"],
]
# Package -> the folders and files that alone may import it.
ONLY = {
    "tensorflow": ["model.engines.tensorflow_encoder"],
    "openvino": ["model.engines.openvino_encoder", "model.engines.openvino_convert"],
    "nncf": ["model.engines.openvino_convert"],
    "keras": ["model.network", "model.checkpoint", "model.engines.tensorflow_encoder", "training"],
    "PIL": ["app.images", "model.preprocess", "model.processor", "training"],
    "huggingface_hub": ["model.checkpoint.hub"],
    "fastapi": ["app.http", "app.routes", "app.main"],
    "starlette": ["app.http", "app.routes", "app.main"],
    "uvicorn": ["app.http"],
    "prometheus_client": ["app.observability.metrics"],
    "opentelemetry": ["app.observability.tracing"],
    "model": ["model", "training", "app.inference", "app.label_sets", "app.main", "app.cli", "app.routes.info"],
    "app": ["app"],
    "training": ["training"],
    "model.engines.load": ["app.inference.encoder", "training"],
}
FORBIDDEN_NAMES = {"utils", "util", "helpers", "common", "base", "manager", "handler", "misc"}


def imports(file: str) -> set[str]:
    """Returns the full names of the modules that a file imports, and of what it imports from them."""
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


def place(module: str, floors: list[list[str]]) -> tuple[int, str]:
    """Returns a module's floor, and its entry there: the longest that it belongs to."""
    fitting = [(floor, entry) for floor, entries in enumerate(floors) for entry in entries if within(module, entry)]
    return max(fitting, key=lambda found: len(found[1]))


@pytest.mark.parametrize(("package", "floors"), [("app", APP), ("model", MODEL)])
def test_a_file_imports_its_own_folder_and_the_floors_below(package, floors):
    wrong = []
    for module in (module for module in MODULES if within(module, package)):
        floor, entry = place(module, floors)
        for imported in (name for name in GRAPH[module] if within(name, package)):
            other_floor, other_entry = place(imported, floors)
            same_files = entry in MODULES and not (ROOT / entry.replace(".", "/")).is_dir()
            if other_floor > floor or (other_floor == floor and other_entry != entry and not same_files):
                wrong.append(f"{module} imports {imported}")
    assert wrong == []


def test_no_imports_form_a_circle():
    TopologicalSorter(GRAPH).prepare()  # raises CycleError


@pytest.mark.parametrize("package", ONLY)
def test_a_package_is_imported_only_where_it_belongs(package):
    wrong = [
        module
        for module, imported in IMPORTS.items()
        if any(within(name, package) for name in imported)
        and not any(within(module, allowed) for allowed in ONLY[package])
    ]
    assert wrong == []


def test_every_rule_is_about_something_that_exists():
    named = {name for floors in (APP, MODEL) for floor in floors for name in floor}
    named |= {name for allowed in ONLY.values() for name in allowed}
    assert {name for name in named if not any(within(module, name) for module in MODULES)} == set()


@pytest.mark.parametrize("file", FILES)
def test_a_file_says_what_it_is_for_and_is_not_too_long(file):
    text = (ROOT / file).read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), "a module's docstring says what the file is for"
    assert len(text.splitlines()) <= 260, "a file past about 250 lines is two files"
    assert Path(file).stem not in FORBIDDEN_NAMES


def test_every_file_of_app_and_model_has_its_tests_in_the_same_folder():
    untested = {"__init__", "__main__", "schemas", "record"}
    missing = []
    for file in (Path(file) for file in FILES if not file.startswith("training/")):
        if file.stem not in untested and not (ROOT / "tests" / file.parent / f"test_{file.stem}.py").is_file():
            missing.append(file.as_posix())
    assert missing == []
