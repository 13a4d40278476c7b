"""The list of packages (SBOM) that the Dockerfile's command writes names every package that the image pins."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.conftest import ROOT, instructions


def normal(name: str) -> str:
    """Returns a package's name as PyPI compares names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(name: str) -> set[str]:
    """Returns the packages of a requirements file: `keras==3.15.1`, and so on."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return {
        f"{normal(package)}=={version}" for package, version in re.findall(r"^([\w.-]+)==(\S+)", "\n".join(lines), re.M)
    }


@pytest.fixture(scope="module")
def components(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """Returns the components of this environment. The command also checks its output against CycloneDX's schema."""
    found = instructions((ROOT / "Dockerfile").read_text(encoding="utf-8"))
    (build,) = [rest for word, rest in found if word == "RUN" and "cyclonedx-py" in rest]
    command = shlex.split(build.rpartition(";")[2])
    interpreter, file = command[-1], tmp_path_factory.mktemp("sbom") / "sbom.cdx.json"
    assert interpreter == "/opt/siglip/bin/python"
    tool = Path(sys.executable).with_name(command[0])
    arguments = [{interpreter: sys.executable, file.name: str(file)}.get(word, word) for word in command[1:]]
    subprocess.run([tool, *arguments], check=True, capture_output=True)
    document = json.loads(file.read_text(encoding="utf-8"))
    assert document["bomFormat"] == "CycloneDX"
    listed: list[dict[str, str]] = document["components"]
    return listed


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-openvino.txt"])
def test_it_lists_every_pinned_package(name: str, components: list[dict[str, str]]) -> None:
    listed = {f"{normal(component['name'])}=={component['version']}" for component in components}
    # This environment may have tensorflow-cpu, as the image has on x86.
    listed |= {package.replace("tensorflow-cpu==", "tensorflow==") for package in listed}
    assert pins(name) - listed == set()


def test_most_packages_have_a_licence(components: list[dict[str, str]]) -> None:
    without = [component["name"] for component in components if not component.get("licenses")]
    assert len(without) < len(components) / 10, without


def test_the_image_contains_the_list() -> None:
    found = instructions((ROOT / "Dockerfile").read_text(encoding="utf-8"))
    assert ("COPY", "--from=build /build/sbom.cdx.json /srv/siglip/") in found
