"""Names to checkpoint directories, with a hub cache in the layout of the hub client. Nothing is downloaded."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from model.checkpoint.hub import check_sha256, checkpoint_directory, failure_reason, sha256
from model.config import CheckpointError
from model.published import EMBEDDED, EMBEDDED_DIRECTORY

COMMIT = "7fd15f0689c79d79e38b1c2e2e2370a7bf2761ed"


def cached(home: Path, hub_id: str, directory: Path) -> Path:
    """Copies a directory into a hub cache as the snapshot of `hub_id`, and returns the snapshot's path."""
    repository = home / "hub" / f"models--{hub_id.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text(COMMIT)
    return Path(shutil.copytree(directory, repository / "snapshots" / COMMIT))


def offline(code: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Runs Python code in a subprocess, offline and with the hub cache in `home` only."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(home), "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment.pop("HF_HUB_CACHE", None)
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_hub_id_is_loaded_from_the_cache_offline(checkpoint, tmp_path):
    cached(tmp_path, "someone/small-siglip", checkpoint)
    answer = offline(
        "from model import SigLIPProcessor\n"
        "from model.checkpoint.variants import load_model\n"
        "inputs = SigLIPProcessor(weights='someone/small-siglip')(text=['a cat', 'a dog'])\n"
        "print(load_model(None, 'someone/small-siglip').encode_texts(inputs['input_ids']).shape)",
        tmp_path,
    )
    assert answer.stdout == "(2, 32)\n", answer.stderr


def test_a_published_name_is_found_in_the_cache_under_its_hub_id(checkpoint, tmp_path):
    snapshot = cached(tmp_path, "google/siglip-base-patch16-256-multilingual", checkpoint)
    answer = offline(
        "from model.checkpoint.hub import checkpoint_directory as d\nname = 'google_multilingual_256'\n"
        f"print(d('SigLIPBaseP16', name), d(None, name, revision='{COMMIT}'))",
        tmp_path,
    )
    assert answer.stdout == f"{snapshot} {snapshot}\n", answer.stderr


def test_a_siglip_2_name_is_loaded_from_the_files_of_its_hub_id(checkpoint_2, tmp_path):
    cached(tmp_path, "google/siglip2-giant-opt-patch16-256", checkpoint_2)
    answer = offline(
        "from model import SigLIPProcessor\n"
        "processor = SigLIPProcessor('SigLIP2GiantOptP16')\n"
        "print(processor.preprocessor.resample, processor(text='A CAT')['input_ids'][0, -2:])",
        tmp_path,
    )
    assert answer.stdout == "2 [0 0]\n", answer.stderr


def test_a_cached_file_with_a_wrong_sha256_is_refused(checkpoint, tmp_path):
    cached(tmp_path, "google/siglip-base-patch16-224", checkpoint)
    answer = offline("from model import SigLIPProcessor; SigLIPProcessor()", tmp_path)
    assert "spiece.model is not the published file: sha256 is" in answer.stderr


def test_the_files_of_a_given_revision_are_not_compared_with_published_hashes(checkpoint, tmp_path):
    snapshot = cached(tmp_path, "google/siglip-base-patch16-224", checkpoint)
    answer = offline(
        "from model.checkpoint.hub import checkpoint_directory\n"
        f"print(checkpoint_directory('SigLIPBaseP16', None, revision='{COMMIT}'))",
        tmp_path,
    )
    assert answer.stdout == f"{snapshot}\n", answer.stderr


@pytest.mark.slow
def test_offline_without_a_cache_the_error_lists_the_alternatives(tmp_path):
    answer = offline("from model import SigLIPBaseP16; SigLIPBaseP16(weights='google_224')", tmp_path)
    last = answer.stderr.splitlines()[-1]
    assert last.startswith("model.config.CheckpointError: google/siglip-base-patch16-224 could not be fetched")
    assert [option for option in ("checkpoint directory", "HF_HOME", EMBEDDED[1]) if option not in last] == []


def test_a_directory_is_returned_as_it_is_and_not_compared_with_published_hashes(checkpoint):
    assert checkpoint_directory(None, str(checkpoint)) == checkpoint
    assert checkpoint_directory("SigLIPBaseP16", str(checkpoint)) == checkpoint


def test_the_default_is_the_embedded_checkpoint():
    assert checkpoint_directory(None, None) == EMBEDDED_DIRECTORY / EMBEDDED[1]
    assert checkpoint_directory(*EMBEDDED) == EMBEDDED_DIRECTORY / EMBEDDED[1]


@pytest.mark.parametrize("weights", ["/no/such/directory", "./no/such", "a/b/c", "../x/y", "https://hub.example/a"])
def test_weights_that_are_neither_a_directory_nor_a_hub_id_are_refused(weights):
    with pytest.raises(CheckpointError, match="is neither an existing directory nor a hub id"):
        checkpoint_directory(None, weights)


def test_the_error_for_a_file_names_its_directory_as_the_remedy(checkpoint):
    with pytest.raises(CheckpointError, match=r"model\.safetensors' is a file\. Give its directory"):
        checkpoint_directory(None, str(checkpoint / "model.safetensors"))


def test_hashes_are_compared_for_existing_files_only(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256(tmp_path / "a") == digest
    check_sha256(tmp_path, {"a": digest, "absent": "0"})
    with pytest.raises(CheckpointError, match=f"sha256 is {digest}, not 0. Delete it to download it again"):
        check_sha256(tmp_path, {"a": "0"})


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_cache_that_cannot_be_written_is_named_with_its_variable(number):
    reason = failure_reason(OSError(number, os.strerror(number), "/weights/hub"), None)
    assert "'/weights/hub'. The cache cannot be written: set HF_HOME to a folder that this user can write" in reason
