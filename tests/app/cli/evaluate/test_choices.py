"""The whole command: comparisons, thresholds, checks, presets and the report."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.cli import CommandError
from app.cli.evaluate.command import main
from app.evaluation.evaluation import from_json
from app.settings import Settings
from tests.app.cli.evaluate.colour_folder import LABELS, TEMPLATE, colours, top1
from tests.app.image_files import encoded, plain_image
from tests.fakes import INFO, FakeEncoder, MeanColour, embed


def test_compare_shows_variants_on_the_same_images_and_loads_each_encoder_once(folder, tmp_path, capsys):
    (tmp_path / "other.txt").write_text("sea\ngrass\nfire\n")
    variants = ["template=a {}, of {},template={}!", f"labels={tmp_path}/other.txt", "dtype=bfloat16"]
    arguments = [part for variant in variants for part in ("--compare", variant)]
    loads: list[str] = []

    def load(settings: Settings, _on_stage: Callable[[str], None]) -> FakeEncoder:
        loads.append(settings.dtype)
        return FakeEncoder(info=replace(INFO, dtype=settings.dtype))

    assert main([str(folder), *arguments, "--no-cache", "--json"], load) == 0
    assert loads == ["auto", "bfloat16"]  # one for three wordings
    result = json.loads(capsys.readouterr().out)
    assert [comparison["second"] for comparison in result["comparisons"]] == variants
    assert [comparison["top1"]["second"] for comparison in result["comparisons"]][1:] == [
        pytest.approx(top1([f"This is a photo of {name}." for name in names]))
        for names in (["sea", "grass", "fire"], LABELS)
    ]


def test_compared_values_are_those_of_each_variant_alone(folder, run):
    _, out, _ = run(folder, "--compare", "template=a {}", "--json")
    (comparison,) = json.loads(out)["comparisons"]
    assert (comparison["first"], comparison["second"]) == ("the evaluation", "template=a {}")
    assert comparison["top1"]["first"] == pytest.approx(top1([f"This is a photo of {x}." for x in LABELS]))
    assert comparison["top1"]["second"] == pytest.approx(top1([f"a {x}" for x in LABELS]))


def test_a_label_set_with_thresholds_is_written_and_read_by_the_service(folder, run, tmp_path, client):
    written = tmp_path / "tuned.json"
    status, out, _ = run(
        folder, "--f1", "--calibrate", "set", "--write-label-set", written, "--json", "--server", client.base_url
    )
    assert status == 0
    result, content = json.loads(out), json.loads(written.read_text())
    assert content["labels"] == LABELS  # too few images for their own thresholds
    assert content["threshold"] == pytest.approx(result["thresholds"]["threshold"])
    assert content["tuned_for"]["model_fingerprint"] == result["model_fingerprint"]
    assert content["templates"] == [TEMPLATE]


@pytest.fixture
def old(tmp_path, folder) -> Path:
    """Other images of the folder's labels, a copy of one of its images, and a damaged file."""
    for label, name in enumerate(LABELS):
        (tmp_path / "old" / name).mkdir(parents=True)
        for index, colour in enumerate(colours(label, 20)[8:]):
            (tmp_path / "old" / name / f"{index}.png").write_bytes(encoded(plain_image(colour)))
    (tmp_path / "old/red/copy.png").write_bytes((folder / "red/0.png").read_bytes())
    (tmp_path / "old/red/bad.png").write_bytes(encoded(plain_image())[:60])
    return tmp_path / "old"


def test_thresholds_are_chosen_on_other_images_than_those_of_the_numbers(folder, old, run, tmp_path):
    written, page = tmp_path / "tuned.json", tmp_path / "report.html"
    choices = ["--f1", "--choose-on", old, "--write-label-set", written, "--report", page]
    status, out, errors = run(folder, *choices, "--compare", "template=a {}", "--json")
    assert status == 1  # because of the damaged file
    result = json.loads(out)
    _, out, _ = run(folder, "--json", "--compare", "template=a {}")
    alone = json.loads(out)
    for name in ("data", "summary", "per_label", "confusions", "comparisons"):
        assert result[name] == alone[name]
    assert (result["chosen_on"]["images"], alone["chosen_on"]) == (36, None)
    assert (result["settings"]["data"], result["settings"]["chosen_on"]) == ([str(folder)], [str(old)])
    assert result["settings"]["in_both"] == [[f"{folder}/red/0.png", f"{old}/red/copy.png"]]
    assert "warning: Files to choose on that are also reported on: 1 (" in errors
    assert errors.splitlines()[1] == "not used: 1 of 56 files"
    assert result["thresholds"]["held_out"] == "part"
    assert result["thresholds"]["with_set_threshold"]["images"] == 18
    assert json.loads(written.read_text())["threshold"] == pytest.approx(result["thresholds"]["threshold"])
    sentence = f"Chosen on 36 images of {old}. Measured on 18 images of {folder}, which were not used for choosing."
    assert sentence in page.read_text()
    assert sentence in run(folder, *choices)[1]


def test_several_data_sets_are_evaluated_as_one(folder, old, run):
    _, out, _ = run(folder, old, "--json", "--f1")
    result = json.loads(out)
    assert result["data"]["images"] == 18 + 37
    assert result["settings"]["data"] == [str(folder), str(old)]
    assert result["chosen_on"] is None


def test_images_to_choose_on_must_be_other_ones(folder, run):
    with pytest.raises(CommandError, match="no file of --choose-on can be used: all of them are in DATA too"):
        run(folder, "--f1", "--choose-on", folder)


def test_the_report_has_thumbnails(folder, run, tmp_path):
    report = tmp_path / "report.html"
    status, _, _ = run(folder, "--report", report)
    assert status == 0
    assert report.read_text().count("data:image/jpeg;base64,") == 12 + 18  # mistakes and doubtful images


@pytest.mark.parametrize(("bound", "status"), [(0.0, 0), (1.0, 1)])
def test_fail_under_decides_the_exit_status(folder, run, bound, status):
    found, _, errors = run(folder, "--fail-under", f"top1={bound}", "--fail-under", "macro_f1=0")
    assert found == status
    assert errors.splitlines()[-2].startswith("passed: top1" if status == 0 else "FAILED: top1")
    assert errors.splitlines()[-1].startswith("passed: macro_f1")


def test_a_baseline_fails_if_the_numbers_are_worse_than_its_interval(folder, run, tmp_path):
    _, out, _ = run(folder, "--json")
    old = tmp_path / "old.json"
    old.write_text(out)
    assert run(folder, "--baseline", old)[0] == 0
    better = json.loads(out)
    better["summary"]["top1"] |= {"value": 1.0, "low": 0.99, "high": 1.0}
    old.write_text(json.dumps(better))
    status, _, errors = run(folder, "--baseline", old)
    assert status == 1
    assert "FAILED: top1 is" in errors


def test_a_preset_says_expected_measured_and_within_tolerance_or_not(run, tmp_path):
    encoder = FakeEncoder(info=replace(INFO, variant="SigLIPBaseP16", weights="google_224"))
    names = [f"thing_{number}" for number in range(10)]
    right = 0
    for number in range(10):
        (tmp_path / "stl" / f"n{number}").mkdir(parents=True)
        colour = (10, 20 * number, 100)
        (tmp_path / "stl" / f"n{number}" / "0.png").write_bytes(encoded(plain_image(colour)))
        prompts = [[f"a photo of a thing {n}", f"a photo of the thing {n}"] for n in range(10)]
        image = embed(MeanColour()(plain_image(colour)))
        texts = [np.sum([embed(encoder.prepare_text([text])[0]) for text in own], axis=0) for own in prompts]
        right += int(np.argmax([image @ text / np.linalg.norm(text) for text in texts]) == number)
    (tmp_path / "names.json").write_text(json.dumps({"stl10": names}))
    (tmp_path / "templates.json").write_text('{"stl10": ["A photo of a {c}.", "a photo of the {c}."]}')
    texts = ["--names", tmp_path / "names.json", "--templates-file", tmp_path / "templates.json"]
    status, out, errors = run(tmp_path / "stl", "--preset", "stl10", *texts, "--json", encoder=encoder)
    result = from_json(out)
    assert status == 1
    assert result.settings["preset"] == {
        "preset": "STL-10, test",
        "metric": "top1",
        "expected": 98.21,
        "measured": pytest.approx(10 * right),
        "tolerance": 0.3,
        "within": False,
        "images": 10,
        "published_images": 8000,
    }
    assert f"FAILED: STL-10, test: top1 expected 98.21, measured {10 * right:.2f}, not within" in errors
    assert "Labels are assigned to the sorted names in their order: n0 is thing_0" in errors
    with pytest.raises(CommandError, match="no accuracy on STL-10, test is published for FakeSigLIP fake_8"):
        run(tmp_path / "stl", "--preset", "stl10", *texts)
