"""The Dockerfile: it passes the linter, and agrees with the service. `make image-check` builds and runs the image."""

import importlib.util
import json
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

from app.routes.page import FOLDERS
from model.published import EMBEDDED
from tests.deploy.conftest import ROOT, final_stage, image_environment, instructions, settings_of, tool

DOCKERFILE = ROOT / "Dockerfile"


def test_the_linter_finds_nothing() -> None:
    done = tool("hadolint", "Dockerfile")
    assert (done.returncode, done.stdout) == (0, "")


def test_the_linter_finds_deliberate_errors(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM python:latest\nRUN pip install numpy\nCMD python -m app\n")
    done = tool("hadolint", "Dockerfile", folder=tmp_path)
    assert done.returncode == 1
    for rule in ("DL3007", "DL3013", "DL3025"):  # the tag `latest`, no pinned version, no exec form
        assert rule in done.stdout


def test_the_server_is_process_1() -> None:
    stage = final_stage()
    assert json.loads(stage["ENTRYPOINT"]) + json.loads(stage["CMD"]) == ["python", "-m", "app", "serve"]


def test_the_user_is_a_number_and_not_root() -> None:
    user, group = final_stage()["USER"].split(":")
    assert int(user) > 0
    assert int(group) > 0


def test_the_health_check_runs_our_module_without_a_shell() -> None:
    _, _, command = final_stage()["HEALTHCHECK"].partition(" CMD ")
    assert json.loads(command)[:2] == ["python", "-m"]
    assert importlib.util.find_spec(json.loads(command)[2]) is not None


def test_its_variables_are_valid_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of({}, monkeypatch)
    assert settings.host == ["0.0.0.0"]
    assert str(settings.port) == final_stage()["EXPOSE"]
    assert settings.log_format == "json"
    assert (settings.model, settings.weights) == (None, None)


def test_baked_weights_are_served_without_network() -> None:
    environment = final_stage()["ENV"]
    for pair in ("SIGLIP_MODEL=${BAKE_MODEL}", "SIGLIP_WEIGHTS=${BAKE_WEIGHTS}", "HF_HUB_OFFLINE=${BAKE_WEIGHTS:+1}"):
        assert pair in environment.split()


def test_openvino_is_in_the_cpu_image_and_the_build_makes_its_graphs_where_the_service_looks_for_them() -> None:
    text = DOCKERFILE.read_text(encoding="utf-8")
    assert '"${OPENVINO:-$FLAVOUR}" in' in text
    assert "true|cpu) echo '-r requirements-openvino.txt'" in text
    cache = image_environment()["SIGLIP_ENGINE_CACHE"]
    (build,) = [rest for word, rest in instructions(text) if word == "RUN" and "--prepare" in rest]
    assert f"SIGLIP_ENGINE_CACHE={cache} " in build
    assert f'--weights "${{BAKE_WEIGHTS:-{EMBEDDED[1]}}}"' in build
    assert Path(cache).parent == Path(image_environment()["HF_HOME"])  # a folder of the image, and a volume


def test_the_image_has_the_standard_labels_and_every_build_argument_is_documented() -> None:
    labels = dict(re.findall(r"org\.opencontainers\.image\.([\w.]+)=\"(.*?)\"", final_stage()["LABEL"]))
    assert labels["licenses"] == "Apache-2.0"
    assert set(labels) >= {"title", "description", "version", "revision", "created", "source", "base.name"}
    guide = (ROOT / "docs/deploying.md").read_text(encoding="utf-8")
    rows = "".join(line.rsplit("|", 3)[0] for line in guide.splitlines() if line.startswith("| `"))
    names = {rest.split("=")[0] for word, rest in instructions(DOCKERFILE.read_text(encoding="utf-8")) if word == "ARG"}
    assert {name for name in names if f"`{name}`" not in rows} == set()


def test_the_folders_that_the_service_writes_belong_to_the_user_and_are_writable_for_group_0() -> None:
    user, _ = final_stage()["USER"].split(":")
    text = DOCKERFILE.read_text(encoding="utf-8")
    owned = [rest.split()[-1] for word, rest in instructions(text) if word == "COPY" and f"--chown={user}:0" in rest]
    environment = image_environment()
    assert sorted(owned) == sorted([environment["SIGLIP_DATA_DIR"], environment["HF_HOME"]])
    assert f"chmod -R g=u {' '.join(owned)}" in text


def test_the_files_of_the_page_are_in_the_image() -> None:
    copied = [rest.split()[-1] for word, rest in instructions(DOCKERFILE.read_text(encoding="utf-8")) if word == "COPY"]
    places = [place for place in copied if place.startswith(final_stage()["WORKDIR"])]
    for folder in FOLDERS.values():
        assert f"{final_stage()['WORKDIR']}/{folder.relative_to(ROOT).parts[0]}" in places


def test_dockerignore_allows_exactly_the_copied_files() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    copied = {
        source
        for word, rest in instructions(DOCKERFILE.read_text(encoding="utf-8"))
        if word == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    }
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied
    assert all((ROOT / source).exists() for source in copied)
    assert any(fnmatch("app/__pycache__", rule) for rule in rules[1:])
