"""Downloads by the real hub client from a fake hub on localhost.

Each download runs in a subprocess, because the client reads its settings only once per process.
"""

import contextlib
import json
import os
import pty
import subprocess
import sys
import termios
from dataclasses import dataclass
from pathlib import Path

import pytest

from model.checkpoint.hub import SMALL_FILES
from model.published import EMBEDDED, EMBEDDED_DIRECTORY
from tests.hub import CHUNK_BYTES, COMMIT, HUB_ID, Hub

DIRECTORY = EMBEDDED_DIRECTORY / EMBEDDED[1]
NEEDED = sorted({"model.safetensors", *SMALL_FILES} & {path.name for path in DIRECTORY.iterdir()})
DOWNLOAD = """
import json, sys
from model.config import CheckpointError
from model.checkpoint.hub import checkpoint_directory
result = {"stages": []}
try:
    directory = checkpoint_directory(None, sys.argv[1], revision=sys.argv[2] or None, on_stage=result["stages"].append)
    result["directory"] = str(directory)
except CheckpointError as error:
    result["error"] = str(error)
print(json.dumps(result))
"""


@dataclass
class Download:
    """The result of a download: the directory or an error, the reported stages, and stderr."""

    stages: list[str]
    stderr: str
    directory: str = ""
    error: str = ""


def download(hub: Hub, home: Path, hub_id: str = HUB_ID, revision: str = "", **variables: str) -> Download:
    environment = hub.environment(home, **variables)
    command = [sys.executable, "-c", DOWNLOAD, hub_id, revision]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return Download(stderr=done.stderr, **json.loads(done.stdout))


def contents(directory: Path | str) -> dict[str, bytes]:
    return {name: (Path(directory) / name).read_bytes() for name in NEEDED}


def percentages(stages: list[str]) -> list[int]:
    assert [stage for stage in stages if not (stage.startswith("downloading ") and stage.endswith(" %"))] == []
    return [int(stage.split()[1]) for stage in stages]


def test_a_download_reports_progress_up_to_100_and_later_starts_use_the_cache_even_offline(tmp_path):
    with Hub(DIRECTORY) as hub:
        first = download(hub, tmp_path)
        assert contents(first.directory) == contents(DIRECTORY)
        counted = percentages(first.stages)
        assert (counted[0], counted[-1]) == (0, 100)
        assert counted == sorted(set(counted))
        assert first.stderr == ""  # no progress bar in a log
        hub.requests.clear()
        second = download(hub, tmp_path)
        assert (second.directory, second.stages) == (first.directory, [])
        assert [path for _, path, _ in hub.requests] == [f"/api/models/{HUB_ID}/revision/main"]
        hub.requests.clear()
        third = download(hub, tmp_path, HF_HUB_OFFLINE="1")
        assert (third.directory, hub.requests) == (first.directory, [])
    assert download(hub, tmp_path).directory == first.directory  # the hub is down


def test_without_an_on_stage_callback_a_terminal_shows_the_progress_bar_of_the_client(tmp_path):
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    shown = bytearray()
    code = f"from model.checkpoint.hub import checkpoint_directory; checkpoint_directory(None, {HUB_ID!r})"
    with Hub(DIRECTORY) as hub:
        process = subprocess.Popen([sys.executable, "-c", code], env=hub.environment(tmp_path), stderr=theirs)
        os.close(theirs)
        with contextlib.suppress(OSError):  # raised on Linux when the process has closed the terminal
            while piece := os.read(ours, 65_536):
                shown += piece
        assert process.wait() == 0
    os.close(ours)
    assert b"100%|" in shown


def test_only_needed_files_are_downloaded(tmp_path):
    with Hub(DIRECTORY) as hub:
        result = download(hub, tmp_path)
    assert sorted(path.name for path in Path(result.directory).iterdir()) == NEEDED
    assert {path.name for path in DIRECTORY.iterdir()} > set(NEEDED)


def test_checkpoints_in_subfolders_are_not_downloaded_or_counted(tmp_path):
    repository = tmp_path / "repository"
    (repository / "checkpoint-500").mkdir(parents=True)
    for name in ("config.json", "spiece.model"):
        (repository / name).write_bytes((DIRECTORY / name).read_bytes())
    (repository / "model.safetensors").write_bytes(bytes(3 * CHUNK_BYTES))
    (repository / "checkpoint-500/model.safetensors").write_bytes(bytes(3 * CHUNK_BYTES))
    with Hub(repository) as hub:
        result = download(hub, tmp_path)
    assert not (Path(result.directory) / "checkpoint-500").exists()
    assert percentages(result.stages)[-1] == 100


@pytest.mark.parametrize(("others", "downloaded"), [([], True), (["tokenizer.model"], False)])
def test_tokenizer_json_is_downloaded_only_without_another_vocabulary_file(tmp_path, others, downloaded):
    directory = tmp_path / "repository"
    directory.mkdir()
    for name in ("config.json", "processor_config.json", "model.safetensors", "tokenizer.json", *others):
        (directory / name).write_bytes(b"{}")
    with Hub(directory) as hub:
        result = download(hub, tmp_path)
    assert {path.name for path in directory.iterdir()} - {path.name for path in Path(result.directory).iterdir()} == (
        set() if downloaded else {"tokenizer.json"}
    )


def repository(directory: Path, *names: str, **contents: str) -> Path:
    """Writes files with "{}", or with the contents given by name, where a double underscore is a dot."""
    directory.mkdir()
    for name, content in {**dict.fromkeys(names, "{}"), **contents}.items():
        (directory / name.replace("__", ".")).write_text(content)
    return directory


def test_a_repository_with_only_a_pickle_gives_the_commands_and_the_pickle_is_not_downloaded(tmp_path):
    with Hub(repository(tmp_path / "repository", "config.json", "spiece.model", "pytorch_model.bin")) as hub:
        result = download(hub, tmp_path)
        assert hub.headers_of("GET", "pytorch_model") == []
    assert result.error.startswith(f"{HUB_ID} has no .safetensors file, only pytorch_model.bin. This is a pickle")
    assert f"hf download {HUB_ID} --local-dir siglip-fine-tune && python -c " in result.error
    assert "\n" not in result.error


def test_the_error_for_an_adapters_repository_names_the_model_to_merge_it_into_and_a_folder_here(tmp_path):
    adapter = {"adapter_config__json": '{"base_model_name_or_path": "google/siglip-x"}'}
    with Hub(repository(tmp_path / "repository", "adapter_model.safetensors", **adapter)) as hub:
        result = download(hub, tmp_path)
    assert result.error.startswith(f"{HUB_ID} is an adapter (LoRA), which is not a whole model. Merge it into google/")
    assert f"use ./{HUB_ID.rpartition('/')[2]}-merged: python -c" in result.error


def test_an_open_clip_repository_is_downloaded_with_its_tokenizer(tmp_path):
    names = {"open_clip_config.json", "open_clip_model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    with Hub(repository(tmp_path / "repository", *names, "open_clip_pytorch_model.bin")) as hub:
        result = download(hub, tmp_path)
    assert {path.name for path in Path(result.directory).iterdir()} == names


def test_a_broken_connection_is_resumed_where_it_stopped(tmp_path):
    with Hub(DIRECTORY, break_after_bytes=CHUNK_BYTES + 1000) as hub:
        result = download(hub, tmp_path)
        assert contents(result.directory) == contents(DIRECTORY)
        assert [headers.get("range") for headers in hub.headers_of("GET", "^/cdn/")] == [None, f"bytes={CHUNK_BYTES}-"]
    counted = percentages(result.stages)
    assert counted[-1] == 100
    assert counted == sorted(set(counted))


@pytest.mark.slow
def test_a_failing_hub_gives_a_one_line_error_and_a_retry_downloads_only_missing_files(tmp_path):
    with Hub(DIRECTORY, break_after_bytes=CHUNK_BYTES, gone_after_break=True) as hub:
        result = download(hub, tmp_path)
    assert result.error.startswith(f"{HUB_ID} could not be fetched: RemoteProtocolError: Server disconnected")
    assert "\n" not in result.error
    with Hub(DIRECTORY) as hub:
        again = download(hub, tmp_path)
        assert contents(again.directory) == contents(DIRECTORY)
        assert hub.headers_of("GET", "/resolve/.*spiece") == []
    assert percentages(again.stages)[-1] == 100


@pytest.mark.parametrize("revision", ["v1.0", COMMIT])
def test_a_given_revision_is_downloaded(tmp_path, revision):
    with Hub(DIRECTORY) as hub:
        result = download(hub, tmp_path, revision=revision)
    assert Path(result.directory).name == COMMIT
    assert percentages(result.stages)[-1] == 100


@pytest.mark.parametrize(
    ("hub_id", "revision", "reason"),
    [
        ("someone/else", "", "the hub has no such repository, or it is private; for a private one, set HF_TOKEN"),
        (HUB_ID, "v2", "it has no revision 'v2'"),
    ],
)
def test_an_unknown_repository_or_revision_gives_a_one_line_error(tmp_path, hub_id, revision, reason):
    with Hub(DIRECTORY) as hub:
        assert download(hub, tmp_path, hub_id, revision).error == f"{hub_id} could not be fetched: {reason}"


def test_a_gated_repository_needs_a_token_which_is_sent_only_to_the_hub(tmp_path):
    with Hub(DIRECTORY, token="hf_secret") as hub:
        refused = download(hub, tmp_path)
        assert refused.error.startswith(f"{HUB_ID} could not be fetched: it is gated: accept its conditions")
        assert download(hub, tmp_path, HF_TOKEN="hf_secret").directory
        assert hub.headers_of("GET", "spiece")[0]["authorization"] == "Bearer hf_secret"
        assert [headers.get("authorization") for headers in hub.headers_of("GET", "^/cdn/")] == [None]


def test_if_the_file_listing_cannot_be_stored_the_download_works_without_progress(tmp_path):
    repository = tmp_path / "hub" / f"models--{HUB_ID.replace('/', '--')}"
    repository.mkdir(parents=True)
    (repository / "trees").touch()
    with Hub(DIRECTORY) as hub:
        result = download(hub, tmp_path)
    assert contents(result.directory) == contents(DIRECTORY)
    assert result.stages == []
