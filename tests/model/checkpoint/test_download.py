"""The real hub client against a hub on the loopback; the client reads its settings once a process."""

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
answer = {"stages": []}
try:
    directory = checkpoint_directory(None, sys.argv[1], revision=sys.argv[2] or None, on_stage=answer["stages"].append)
    answer["directory"] = str(directory)
except CheckpointError as error:
    answer["error"] = str(error)
print(json.dumps(answer))
"""


@dataclass
class Answer:
    """What a download came to: the directory or an error, by way of which stages, and what it wrote to stderr."""

    stages: list[str]
    stderr: str
    directory: str = ""
    error: str = ""


def download(hub: Hub, home: Path, hub_id: str = HUB_ID, revision: str = "", **variables: str) -> Answer:
    environment = hub.environment(home, **variables)
    command = [sys.executable, "-c", DOWNLOAD, hub_id, revision]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return Answer(stderr=done.stderr, **json.loads(done.stdout))


def contents(directory: Path | str) -> dict[str, bytes]:
    return {name: (Path(directory) / name).read_bytes() for name in NEEDED}


def percents(stages: list[str]) -> list[int]:
    assert [stage for stage in stages if not (stage.startswith("downloading ") and stage.endswith(" %"))] == []
    return [int(stage.split()[1]) for stage in stages]


def test_a_download_counts_to_a_hundred_and_the_next_start_reads_the_cache_also_without_a_network(tmp_path):
    with Hub(DIRECTORY) as hub:
        first = download(hub, tmp_path)
        assert contents(first.directory) == contents(DIRECTORY)
        counted = percents(first.stages)
        assert (counted[0], counted[-1]) == (0, 100)
        assert counted == sorted(set(counted))
        assert first.stderr == ""  # no bar in a log
        hub.requests.clear()
        second = download(hub, tmp_path)
        assert (second.directory, second.stages) == (first.directory, [])
        assert [path for _, path, _ in hub.requests] == [f"/api/models/{HUB_ID}/revision/main"]
        hub.requests.clear()
        third = download(hub, tmp_path, HF_HUB_OFFLINE="1")
        assert (third.directory, hub.requests) == (first.directory, [])
    assert download(hub, tmp_path).directory == first.directory  # the hub is gone


def test_without_a_listener_a_terminal_shows_the_clients_own_bar(tmp_path):
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    shown = bytearray()
    code = f"from model.checkpoint.hub import checkpoint_directory; checkpoint_directory(None, {HUB_ID!r})"
    with Hub(DIRECTORY) as hub:
        process = subprocess.Popen([sys.executable, "-c", code], env=hub.environment(tmp_path), stderr=theirs)
        os.close(theirs)
        with contextlib.suppress(OSError):  # how Linux says that nobody is left to write
            while piece := os.read(ours, 65_536):
                shown += piece
        assert process.wait() == 0
    os.close(ours)
    assert b"100%|" in shown


def test_what_the_model_does_not_need_is_not_fetched(tmp_path):
    with Hub(DIRECTORY) as hub:
        answer = download(hub, tmp_path)
    assert sorted(path.name for path in Path(answer.directory).iterdir()) == NEEDED
    assert {path.name for path in DIRECTORY.iterdir()} > set(NEEDED)


def test_what_a_training_left_in_folders_is_not_fetched_and_not_counted(tmp_path):
    repository = tmp_path / "repository"
    (repository / "checkpoint-500").mkdir(parents=True)
    for name in ("config.json", "spiece.model"):
        (repository / name).write_bytes((DIRECTORY / name).read_bytes())
    (repository / "model.safetensors").write_bytes(bytes(3 * CHUNK_BYTES))
    (repository / "checkpoint-500/model.safetensors").write_bytes(bytes(3 * CHUNK_BYTES))
    with Hub(repository) as hub:
        answer = download(hub, tmp_path)
    assert not (Path(answer.directory) / "checkpoint-500").exists()
    assert percents(answer.stages)[-1] == 100


@pytest.mark.parametrize(("others", "fetched"), [([], True), (["tokenizer.model"], False)])
def test_a_vocabulary_of_transformers_is_fetched_where_there_is_no_other(tmp_path, others, fetched):
    directory = tmp_path / "repository"
    directory.mkdir()
    for name in ("config.json", "processor_config.json", "model.safetensors", "tokenizer.json", *others):
        (directory / name).write_bytes(b"{}")
    with Hub(directory) as hub:
        answer = download(hub, tmp_path)
    assert {path.name for path in directory.iterdir()} - {path.name for path in Path(answer.directory).iterdir()} == (
        set() if fetched else {"tokenizer.json"}
    )


def test_a_connection_that_breaks_is_taken_up_where_it_broke(tmp_path):
    with Hub(DIRECTORY, break_after_bytes=CHUNK_BYTES + 1000) as hub:
        answer = download(hub, tmp_path)
        assert contents(answer.directory) == contents(DIRECTORY)
        assert [headers.get("range") for headers in hub.asked("GET", "^/cdn/")] == [None, f"bytes={CHUNK_BYTES}-"]
    counted = percents(answer.stages)
    assert counted[-1] == 100
    assert counted == sorted(set(counted))


@pytest.mark.slow
def test_a_hub_that_goes_away_is_one_sentence_and_the_next_try_fetches_only_what_is_missing(tmp_path):
    with Hub(DIRECTORY, break_after_bytes=CHUNK_BYTES, gone_after_break=True) as hub:
        answer = download(hub, tmp_path)
    assert answer.error.startswith(f"{HUB_ID} could not be fetched: RemoteProtocolError: Server disconnected")
    assert "\n" not in answer.error
    with Hub(DIRECTORY) as hub:
        again = download(hub, tmp_path)
        assert contents(again.directory) == contents(DIRECTORY)
        assert hub.asked("GET", "/resolve/.*spiece") == []
    assert percents(again.stages)[-1] == 100


@pytest.mark.parametrize("revision", ["v1.0", COMMIT])
def test_a_revision_is_what_is_fetched(tmp_path, revision):
    with Hub(DIRECTORY) as hub:
        answer = download(hub, tmp_path, revision=revision)
    assert Path(answer.directory).name == COMMIT
    assert percents(answer.stages)[-1] == 100


@pytest.mark.parametrize(
    ("hub_id", "revision", "reason"),
    [
        ("someone/else", "", "the hub has no such repository, or a private one: then set HF_TOKEN"),
        (HUB_ID, "v2", "it has no revision 'v2'"),
    ],
)
def test_what_the_hub_does_not_have_is_one_sentence(tmp_path, hub_id, revision, reason):
    with Hub(DIRECTORY) as hub:
        assert download(hub, tmp_path, hub_id, revision).error == f"{hub_id} could not be fetched: {reason}"


def test_a_gated_repository_wants_a_token_which_is_for_the_hub_alone(tmp_path):
    with Hub(DIRECTORY, token="hf_secret") as hub:
        refused = download(hub, tmp_path)
        assert refused.error.startswith(f"{HUB_ID} could not be fetched: it is gated: accept its conditions")
        assert download(hub, tmp_path, HF_TOKEN="hf_secret").directory
        assert hub.asked("GET", "spiece")[0]["authorization"] == "Bearer hf_secret"
        assert [headers.get("authorization") for headers in hub.asked("GET", "^/cdn/")] == [None]


def test_without_a_place_for_the_listing_there_are_no_percents_but_a_model(tmp_path):
    repository = tmp_path / "hub" / f"models--{HUB_ID.replace('/', '--')}"
    repository.mkdir(parents=True)
    (repository / "trees").touch()
    with Hub(DIRECTORY) as hub:
        answer = download(hub, tmp_path)
    assert contents(answer.directory) == contents(DIRECTORY)
    assert answer.stages == []
