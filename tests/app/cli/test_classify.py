"""The whole command, with the fake encoder or with a real service that uses it.

The last test uses the real model in the command and in the service.
"""

import csv
import json
import os
import pty
import subprocess
import sys
import termios
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.cli import CommandError, embed
from app.cli.classify import main
from app.cli.printing import warning_line
from app.images.identify import ACCEPTED
from app.inference import acceptance
from app.inference.identity import model_fingerprint
from app.label_sets.definition import LabelSetDefinition
from app.label_sets.tuning import bind
from app.settings import Settings
from tests.app.image_files import BLUE, RED, encoded, plain_image
from tests.fakes import INFO, FakeEncoder

ROOT = Path(__file__).parents[3]


NOT_AN_IMAGE = f"The file is not an image in an accepted format. Send one of {', '.join(ACCEPTED)}."


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with two images, a damaged image and a text file."""
    photos = tmp_path / "photos"
    (photos / "more").mkdir(parents=True)
    (photos / "red.png").write_bytes(encoded(plain_image(RED)))
    (photos / "more/blue.jpg").write_bytes(encoded(plain_image(BLUE), "BMP"))
    (photos / "more/bad.png").write_bytes(encoded(plain_image(RED))[:60])
    (photos / "notes.txt").write_text("hello")
    return photos


def load(_settings: Settings, on_stage: Callable[[str], None]) -> FakeEncoder:
    on_stage("loading")
    return FakeEncoder()


def run(*arguments: Any) -> int:
    return main([str(argument) for argument in arguments], load)


def json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_folder_gives_a_table_and_a_bad_file_is_reported_and_the_status_is_1(folder, capsys):
    assert run(folder, "--labels", "cat", "dog") == 1
    stdout, stderr = capsys.readouterr()
    lines = stdout.splitlines()
    assert lines[0] == " sigmoid  softmax  label"
    assert [line for line in lines if line.startswith("/")] == [f"{folder}/more/blue.jpg", f"{folder}/red.png"]
    assert sorted(line.split()[-1] for line in lines[2:4]) == ["cat", "dog"]
    assert stderr.splitlines() == [
        f"{folder}/more/bad.png: The PNG is truncated: the file ends before the image does.",
        f"{folder}/notes.txt: {NOT_AN_IMAGE}",
        "without scores: 2 of 4",
    ]


def test_a_frame_of_an_animation_is_scored(folder, capsys):
    frames = [Image.fromarray(plain_image(colour)) for colour in (RED, BLUE)]
    (folder / "two.gif").write_bytes(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    for frame, colour in ((1, BLUE), (0, RED)):
        assert run(folder / "two.gif", "--labels", "cat", "--frame", frame, "--json") == 0
        (line,) = json_lines(capsys.readouterr().out)
        expected = FakeEncoder().logit(plain_image(colour), "This is a photo of cat.")
        assert line["scores"][0]["logit"] == pytest.approx(expected, abs=1e-5)
    assert run(folder / "two.gif", "--labels", "cat", "--frame", 2, "--json") == 1
    assert "there is no frame 2" in capsys.readouterr().err


def test_if_all_files_are_good_the_status_is_0_and_stderr_is_empty(folder, capsys):
    assert run(folder / "red.png", folder / "red.png", "--labels", "cat", "--json") == 0
    stdout, stderr = capsys.readouterr()
    assert [line["path"] for line in json_lines(stdout)] == [str(folder / "red.png")] * 2
    assert stderr == ""


def test_a_folder_without_images_gives_status_1(folder, capsys):
    (folder / "empty").mkdir()
    with pytest.raises(CommandError, match="there are no files in the folder"):
        run(folder / "empty", "--labels", "cat")
    (folder / "empty/notes.txt").write_text("hello")
    assert run(folder / "empty", "--labels", "cat", "--csv") == 1
    assert capsys.readouterr().out == "path,label,logit,sigmoid,softmax\n"


def test_json_and_csv_have_the_same_values_for_all_labels(folder, capsys):
    labels = [f"label {number}" for number in range(8)]
    run(folder / "red.png", "--labels", *labels, "--json")
    (line,) = json_lines(capsys.readouterr().out)
    assert line["image"] == {"width": 24, "height": 24, "format": "PNG", "notes": []}
    assert {score["label"] for score in line["scores"]} == set(labels)
    run(folder / "red.png", "--labels", *labels, "--csv")
    rows = list(csv.DictReader(StringIO(capsys.readouterr().out)))
    assert [{**row, "path": line["path"]} for row in rows] == [
        {"path": line["path"], **{name: str(value) for name, value in score.items()}} for score in line["scores"]
    ]


def test_the_table_shows_the_best_five_labels_by_default(folder, capsys):
    labels = [f"label {number}" for number in range(8)]
    run(folder / "red.png", "--labels", *labels)
    assert len(capsys.readouterr().out.splitlines()) == 2 + 5
    run(folder / "red.png", "--labels", *labels, "--top-k", 8)
    assert len(capsys.readouterr().out.splitlines()) == 2 + 8
    run(folder / "red.png", "--labels", *labels, "--threshold", 1)
    assert capsys.readouterr().out.splitlines()[2].strip() == "no label reaches the threshold"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.txt", "# animals\ncat\n\n dog \n"),
        ("labels.json", '["cat", {"label": "dog", "prompts": ["This is a photo of dog."]}]'),
    ],
)
def test_a_labels_file_has_the_same_format_as_a_label_set(folder, tmp_path, capsys, name, content):
    (tmp_path / name).write_text(content)
    run(folder / "red.png", "--labels", "cat", "dog", "--json")
    expected = capsys.readouterr().out
    run(folder / "red.png", "--labels-file", tmp_path / name, "--json")
    assert capsys.readouterr().out == expected


def test_a_service_and_the_command_give_exactly_the_same_numbers(folder, client, capsys):
    options = ["--labels", "cat", "dog", "a [b", "--template", "a {}", "--template", "{}!", "--json", "--top-k", "2"]
    assert run(folder, *options) == 1
    local, local_stderr = capsys.readouterr()
    assert run(folder, *options, "--server", client.base_url) == 1
    remote, remote_stderr = capsys.readouterr()
    assert len(json_lines(local)) == 2
    assert remote == local
    assert remote_stderr == local_stderr


def test_a_label_set_of_a_service_is_used_by_name_with_an_api_key(folder, running, monkeypatch, capsys):
    with running(api_keys="secret") as client:
        client.headers["X-API-Key"] = "secret"
        client.put("/label-sets/pets", json={"labels": ["cat", "dog"]})
        monkeypatch.setenv("SIGLIP_API_KEYS", "secret")
        assert run(folder / "red.png", "--label-set", "pets", "--json", "--server", client.base_url) == 0
    (line,) = json_lines(capsys.readouterr().out)
    assert {score["label"] for score in line["scores"]} == {"cat", "dog"}


TUNED = {
    "labels": ["cat", {"label": "dog", "threshold": None}],
    "templates": ["a {}"],
    "threshold": 0.0,
    "calibration": {"slope": 0.5, "intercept": 1.0},
}
OTHER_ENCODER = {"tuned_for": {"model_fingerprint": "0" * 64, "texts": "1" * 64}}
NOT_IN_FORCE = f"{warning_line(acceptance.NOT_IN_FORCE)}\n"


@pytest.fixture
def embeddings(folder, tmp_path, capsys) -> Path:
    """The embeddings of the folder's two images."""
    assert embed.main([str(folder), "--out", str(tmp_path / "photos.npz")], lambda *_: FakeEncoder()) == 1
    capsys.readouterr()
    return tmp_path / "photos.npz"


@pytest.mark.parametrize(("more", "accepted", "stderr"), [({}, True, ""), (OTHER_ENCODER, None, NOT_IN_FORCE)])
def test_a_label_set_with_thresholds_says_what_is_accepted_here_and_with_a_service(
    folder, embeddings, client, tmp_path, capsys, more, accepted, stderr
):
    definition = TUNED | more
    (tmp_path / "pets.json").write_text(json.dumps(definition))
    client.put("/label-sets/pets", json=definition).raise_for_status()
    here = ["--labels-file", tmp_path / "pets.json"]
    there = ["--label-set", "pets", "--server", client.base_url]
    images = [folder / "red.png", folder / "more/blue.jpg"]
    for output in (["--json"], ["--csv"], [], ["--json", "--top-k", 1]):
        found = []
        for source, labels in ((s, ls) for s in (images, ["--embeddings", embeddings]) for ls in (here, there)):
            assert run(*source, *labels, *output) == 0
            found.append(capsys.readouterr())
        assert [errors for _, errors in found] == [stderr] * 4
        assert found[0] == found[1]
        assert found[2] == found[3]
        if "--json" in output:
            for line in (line for text, _ in found for line in json_lines(text)):
                answers = {score["label"]: score["accepted"] for score in line["scores"]}
                assert answers in (
                    {"cat": accepted},
                    {"dog": accepted and False},
                    {"cat": accepted, "dog": accepted and False},
                )
                assert line["accepted_labels"] == (accepted and [{"index": 0, "label": "cat"}])
                assert [set(score) for score in line["scores"]] == [
                    {"label", "logit", "sigmoid", "softmax", "accepted"} | ({"probability"} if accepted else set())
                ] * len(answers)


def test_thresholds_are_not_in_force_with_another_template(folder, tmp_path, capsys):
    here = Settings()
    definition = LabelSetDefinition(labels=["cat"], threshold=0.0)
    bound = bind(definition, model_fingerprint(INFO, here)).content
    (tmp_path / "pets.json").write_text(json.dumps(bound))
    arguments = [folder / "red.png", "--labels-file", tmp_path / "pets.json", "--json"]
    assert run(*arguments) == 0
    assert json_lines(capsys.readouterr().out)[0]["accepted_labels"] == [{"index": 0, "label": "cat"}]
    assert run(*arguments, "--template", "a {}") == 0
    text, errors = capsys.readouterr()
    assert json_lines(text)[0]["accepted_labels"] is None
    assert errors == NOT_IN_FORCE


def test_the_demonstration_model_is_announced_on_stderr(folder, capsys):
    main([str(folder / "red.png"), "--labels", "cat"], lambda *_: FakeEncoder(info=replace(INFO, demonstration=True)))
    assert capsys.readouterr().err == "note: this is the embedded demonstration model for pictograms, not for photos\n"


def test_a_model_that_cannot_be_loaded_is_a_one_line_error(folder):
    def fail(*_: object) -> FakeEncoder:
        raise ValueError("the file is damaged")

    with pytest.raises(CommandError, match=r"^the model cannot be loaded: the file is damaged$") as exc_info:
        main([str(folder), "--labels", "cat"], fail)
    assert exc_info.value.status == 1


def test_model_options_take_precedence_over_environment_variables(folder, monkeypatch):
    monkeypatch.setenv("SIGLIP_DEVICE", "gpu")
    monkeypatch.setenv("SIGLIP_MODEL", "SigLIPBaseP16")
    seen: list[Settings] = []

    def remember(settings: Settings, _on_stage: Callable[[str], None]) -> FakeEncoder:
        seen.append(settings)
        return FakeEncoder()

    options = ["--weights", "google_512", "--device", "cpu", "--engine", "openvino"]
    main([str(folder / "red.png"), "--labels", "cat", *options], remember)
    (settings,) = seen
    assert (settings.model, settings.weights) == ("SigLIPBaseP16", "google_512")
    assert (settings.device, settings.engine) == ("cpu", "openvino")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.png", "--labels", "cat"], "there is no file or folder nowhere.png"),
        ([".", "--labels", " "], "Label 1 has 0 characters; it must have 1 to 256."),
        ([".", "--labels", "cat", "--template", "a cat"], "Template 1 must contain {} for the label, at most 4 times."),
        ([".", "--labels", "cat", "--top-k", "0"], "top_k: input should be greater than or equal to 1."),
        ([".", "--labels", "cat", "--threshold", "2"], "threshold: input should be less than or equal to 1."),
        ([".", "--labels-file", "no.txt"], "no.txt: No such file or directory"),
        ([".", "--labels-file", "no.csv"], "no.csv: a label set is a .txt or a .json file"),
        ([".", "--label-set", "pets"], "--label-set needs a running service: name it with --server"),
        ([".", "--label-set", "pets", "--server", "http://127.0.0.1:1", "--template", "a {}"], "label_set replaces"),
        ([".", "--labels", "cat", "--server", "127.0.0.1"], "a URL begins with http:// or https://"),
        ([".", "--labels", "cat", "--server", "http://127.0.0.1:1", "--dtype", "float32"], "leave out --dtype"),
        ([".", "--labels", "cat", "--device", "tpu"], "--device: Input should be 'auto', 'gpu' or 'cpu'"),
        ([".", "--labels", "cat", "--weights", "google_1"], "unknown weights 'google_1'. Known: "),
    ],
)
def test_a_users_mistake_is_reported_before_anything_is_loaded(arguments, message, folder, monkeypatch):
    monkeypatch.chdir(folder)
    with pytest.raises(CommandError) as exc_info:
        main(arguments, lambda *_: pytest.fail("loaded"))
    assert message in str(exc_info.value)
    assert exc_info.value.status == 2


@pytest.mark.parametrize(
    "content", ['[{"label": "dog", "prompts": ["ein Hund"]}]', '{"labels": ["dog"], "threshold": 0.5}']
)
def test_labels_with_prompts_or_thresholds_cannot_be_sent_to_a_service(folder, tmp_path, content):
    (tmp_path / "own.json").write_text(content)
    with pytest.raises(CommandError, match="store it with `siglip label-sets put`, and use --server and --label-set"):
        run(folder, "--labels-file", tmp_path / "own.json", "--server", "http://127.0.0.1:1")


def test_a_terminal_shows_a_progress_bar_that_disappears_at_the_end(folder):
    code = """if True:
        import sys
        from app.cli.classify import main
        from tests.fakes import FakeEncoder
        sys.exit(main(sys.argv[1:], lambda *_: FakeEncoder()))
    """
    primary, secondary = pty.openpty()
    termios.tcsetwinsize(secondary, (24, 80))
    command = [sys.executable, "-c", code, str(folder), "--labels", "cat", "--json"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=secondary)
    os.close(secondary)
    shown = bytearray()
    with suppress(OSError):  # Linux raises it when the last writer has closed the terminal
        while piece := os.read(primary, 65_536):
            shown += piece
    os.close(primary)
    output, _ = process.communicate()
    assert b"/4 [" in shown
    assert shown.splitlines()[-1] == b"without scores: 2 of 4"
    assert len(output.splitlines()) == 2


@pytest.mark.slow
def test_the_real_model_scores_the_samples_as_the_service_does(tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SIGLIP_")}
    environment["SIGLIP_ENGINE"] = "tensorflow"  # OpenVINO would convert the checkpoint first
    settings = {
        "SIGLIP_PORT": "0",
        "SIGLIP_LOG_FORMAT": "text",
        "SIGLIP_DRAIN_S": "0",
        "SIGLIP_DATA_DIR": str(tmp_path),
    }
    server = subprocess.Popen(
        [sys.executable, "-m", "app", "serve"], cwd=ROOT, env=environment | settings, stderr=subprocess.PIPE, text=True
    )
    assert server.stderr
    command = [sys.executable, "-m", "app", "classify", "samples", "--labels", "cat", "dog", "car", "--json"]
    local = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert local.returncode == 1, local.stderr  # because of the README, which is named
    url = ""
    for line in server.stderr:
        url = line.rpartition("listening on ")[2].split()[0] if "listening on" in line else url
        if " ready: " in line:
            break
    command += ["--server", url]
    remote = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    server.terminate()
    server.communicate(timeout=60)
    assert remote.returncode == 1, remote.stderr
    results, expected = json_lines(local.stdout), json_lines(remote.stdout)
    assert [result["path"] for result in results] == sorted(
        f"samples/{path.name}" for path in ROOT.glob("samples/*.png")
    )
    best = {Path(result["path"]).stem: result["scores"][0]["label"] for result in results}
    assert (best["cat"], best["car"]) == ("cat", "car")
    for result, wanted in zip(results, expected, strict=True):
        for score, wanted_score in zip(result.pop("scores"), wanted.pop("scores"), strict=True):
            assert score.pop("label") == wanted_score.pop("label")
            # Which images share a batch depends on timing, and another batch size changes the order of the additions.
            # The product of scale and cosine, about 6, differed by up to 9 units in the last place (4.3e-6), also if
            # the logit, which is this product plus the bias, is near 0. There, a relative tolerance alone would fail.
            np.testing.assert_allclose(list(score.values()), list(wanted_score.values()), rtol=1e-6, atol=2e-5)
        assert result == wanted
    assert local.stderr.splitlines() == [
        "note: this is the embedded demonstration model for pictograms, not for photos",
        f"samples/README.md: {NOT_AN_IMAGE}",
        "without scores: 1 of 7",
    ]
