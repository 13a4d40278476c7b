"""The command as a process, with the real hub client and a local hub. See also tests/model/."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from app.cli import CommandError
from app.cli.download import main
from model.published import EMBEDDED, EMBEDDED_DIRECTORY
from tests.hub import COMMIT, HUB_ID, Hub

EMBEDDED_CHECKPOINT = EMBEDDED_DIRECTORY / EMBEDDED[1]


def download(hub: Hub, home: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = hub.environment(home, **variables)
    command = [sys.executable, "-m", "app", "download", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_checkpoint_is_downloaded_and_checked_and_then_found_in_the_cache(tmp_path):
    with Hub(EMBEDDED_CHECKPOINT) as hub:
        done = download(hub, tmp_path, "--weights", HUB_ID, "--revision", "v1.0", "--model", "SigLIPTinyP16")
        again = download(hub, tmp_path, "--weights", HUB_ID, "--revision", COMMIT, HF_HUB_OFFLINE="1")
        digest = hub.entry(EMBEDDED_CHECKPOINT / "model.safetensors")["lfs"]["oid"]  # type: ignore[index]
    assert done.returncode == 0
    assert done.stderr.splitlines()[:1] == ["downloading 0 %"]
    assert done.stderr.splitlines()[-1] == "downloading 100 %"
    directory = tmp_path / "hub" / f"models--{HUB_ID.replace('/', '--')}" / "snapshots" / COMMIT
    assert done.stdout.splitlines() == [
        f"directory         {directory}",
        "tensors           168, each with the right name, shape and type",
        f"sha256 of them    {digest}",
        "published sha256  none is known",
    ]
    assert (again.stdout, again.stderr) == (done.stdout, "")


@pytest.mark.slow
def test_a_missing_tensor_is_reported_by_name(tmp_path):
    directory = shutil.copytree(EMBEDDED_CHECKPOINT, tmp_path / "broken")
    tensors = load_file(directory / "model.safetensors")
    del tensors["logit_bias"]
    save_file(tensors, directory / "model.safetensors", {"format": "pt"})
    with Hub(directory) as hub:
        done = download(hub, tmp_path / "home", "--weights", HUB_ID)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "  missing: logit_bias [1]"


@pytest.mark.slow
def test_prepare_makes_the_graphs_that_the_first_start_would_make(tmp_path):
    cache = tmp_path / "engine"
    with Hub(EMBEDDED_CHECKPOINT) as hub:
        environment = {"HF_HUB_OFFLINE": "1", "SIGLIP_ENGINE_CACHE": str(cache)}
        done = download(hub, tmp_path, "--weights", EMBEDDED[1], "--prepare", **environment)
        again = download(hub, tmp_path, "--weights", EMBEDDED[1], "--prepare", SIGLIP_ENGINE="tensorflow")
        (cache / "file").touch()
        failed = download(hub, tmp_path, "--weights", EMBEDDED[1], "--prepare", SIGLIP_ENGINE_CACHE=str(cache / "file"))
    assert done.stdout.splitlines()[-1] == f"engine            openvino, float32; its graphs are in {cache}"
    assert [path.name.partition("-")[0] for path in cache.iterdir() if path.is_dir()] == ["float32"]
    assert again.stdout.splitlines()[-1] == "engine            tensorflow, which needs no preparation"
    assert (done.returncode, again.returncode, failed.returncode) == (0, 0, 1)
    assert "cannot be stored" in failed.stderr.splitlines()[-1]


def test_prepare_refuses_invalid_settings_before_it_downloads(tmp_path):
    with Hub(EMBEDDED_CHECKPOINT) as hub:
        done = download(hub, tmp_path, "--weights", HUB_ID, "--prepare", SIGLIP_ENGINE="onnx")
    assert (done.returncode, done.stdout) == (2, "")
    assert "SIGLIP_ENGINE" in done.stderr


def test_an_unreachable_hub_is_a_one_line_error(tmp_path):
    with Hub(EMBEDDED_CHECKPOINT) as hub:
        done = download(hub, tmp_path, "--weights", HUB_ID, HF_HUB_OFFLINE="1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {HUB_ID} could not be fetched: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--weights", "google_224"], "name the variant too"),
        (["--weights", "nothing"], "unknown weights 'nothing'"),
        (["--weights", "google_224", "--model", "SigLIP"], "unknown variant 'SigLIP'"),
    ],
)
def test_an_unknown_name_is_a_users_mistake(arguments, message):
    with pytest.raises(CommandError, match=message) as exc_info:
        main(arguments)
    assert exc_info.value.status == 2
