"""The distribution: its dependencies, and a wheel installed in an empty environment."""

import ast
import json
import re
import signal
import subprocess
import sys
import tomllib
import venv
from importlib.metadata import packages_distributions
from pathlib import Path

import httpx
import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from app import __version__

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
PINS = [
    "requirements.txt",
    "requirements-codecs.txt",
    "requirements-gpu.txt",
    "requirements-openvino.txt",
    "requirements-otel.txt",
    "requirements-parquet.txt",
    "requirements-ray.txt",
]


def pinned() -> dict[str, Version]:
    """Returns the versions that the requirements files pin."""
    lines = "\n".join((ROOT / name).read_text(encoding="utf-8") for name in PINS)
    return {name.lower(): Version(number) for name, number in re.findall(r"^([\w-]+)(?:\[.*\])?==(\S+)", lines, re.M)}


@pytest.mark.parametrize(
    "requirement", [*PROJECT["dependencies"], *(one for extra in EXTRAS.values() for one in extra)]
)
def test_the_pinned_versions_are_in_the_declared_ranges(requirement):
    range_ = Requirement(requirement)
    assert pinned()[range_.name] in range_.specifier


def test_every_import_is_a_declared_dependency():
    extras = [one for name in ("codecs", "openvino", "otel", "parquet", "ray") for one in EXTRAS[name]]
    declared = {Requirement(one).name for one in [*PROJECT["dependencies"], *extras]}
    distributions = packages_distributions()
    missing = set()
    for path in [*ROOT.glob("app/**/*.py"), *ROOT.glob("model/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            for name in (name.partition(".")[0] for name in names):
                if name in sys.stdlib_module_names or name in ("app", "model"):
                    continue
                found = {
                    one.lower().replace("_", "-").replace("tensorflow-cpu", "tensorflow")
                    for one in distributions.get(name, [name])
                }
                if not any(one.startswith(tuple(declared)) for one in found):
                    missing.add(name)
    assert missing == set()


@pytest.mark.slow
def test_a_wheel_in_an_empty_environment_serves_classifies_and_has_the_page(tmp_path):
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path, ROOT], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv/bin/python"
    generated = Path(sys.prefix) / "requirements.txt"  # written by `make`, with the TensorFlow package for this machine
    pins = generated if generated.is_file() else ROOT / "requirements.txt"
    subprocess.run([*pip, "--python", python, "install", "-q", "-r", pins], check=True)
    subprocess.run([*pip, "--python", python, "install", "-q", "--no-deps", wheel], check=True)
    siglip, image = str(tmp_path / "venv/bin/siglip"), str(ROOT / "samples/cat.png")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([siglip, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert run("--version").stdout.strip() == __version__
    scored = run("classify", image, "--labels", "cat", "dog", "--json")
    assert scored.returncode == 0, scored.stderr
    assert json.loads(scored.stdout)["scores"][0]["label"] == "cat"
    command = [
        siglip,
        "serve",
        "--port",
        "0",
        "--log-format",
        "text",
        "--data-dir",
        str(tmp_path / "data"),
        "--drain-s",
        "0",
    ]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as service:
        assert service.stderr
        lines = []
        for line in service.stderr:
            lines.append(line)
            if " ready: " in line:
                break
        found = re.search(r"listening on (\S+)", "".join(lines))
        assert found, lines
        for path in ("/", "/page/base.css", "/page/samples/cat.png"):
            assert httpx.get(found[1] + path).status_code == 200
        response = httpx.post(
            f"{found[1]}/classify", files={"image": Path(image).read_bytes()}, data={"labels": ["cat", "dog"]}
        )
        assert response.json()["scores"][0]["label"] == "cat"
        service.send_signal(signal.SIGTERM)
        service.stderr.read()
        assert service.wait(60) == 0
