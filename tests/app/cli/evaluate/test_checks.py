"""Conditions on a result that is made of known numbers."""

from dataclasses import replace

import numpy as np
import pytest

from app.cli import CommandError
from app.cli.evaluate.checks import check_options, failed_checks, goal_of, other_images, read_baseline
from app.cli.evaluate.options import make_parser
from app.evaluation.evaluation import Evaluation, evaluate
from app.evaluation.names import DataError


def result(right: int = 8) -> Evaluation:
    """Returns the result of ten images of which this many are right."""
    truth = np.zeros((10, 2), bool)
    truth[:, 0] = True
    logits = np.zeros((10, 2), np.float32)
    logits[:right, 0] = logits[right:, 1] = 1
    return evaluate(logits, truth, ["cat", "dog"], model_fingerprint="", versions={})


def options(*arguments):
    return make_parser().parse_args(["data", *arguments])


@pytest.mark.parametrize(("bound", "failed"), [("0.8", False), ("0.81", True)])
def test_a_metric_below_its_bound_fails(bound, failed, capsys):
    assert failed_checks(options("--fail-under", f"top1={bound}"), result(), None, None) is failed
    word = "FAILED: top1 is 0.8000, below 0.81" if failed else "passed: top1 is 0.8000, at least 0.8"
    assert capsys.readouterr().err == f"{word}\n"


def test_a_metric_that_these_images_do_not_have_is_a_mistake():
    with pytest.raises(CommandError, match="top5 cannot be computed"):
        failed_checks(options("--fail-under", "top5=0.5"), result(), None, None)


def test_a_baseline_of_other_images_is_noted(capsys):
    assert not failed_checks(options(), result(), result(), None)
    assert "warning" not in capsys.readouterr().err
    other = replace(result(), labels=["cat", "cow"])
    assert not failed_checks(options(), result(), other, None)
    assert "the baseline has 10 images and 2 labels, this evaluation 10 and 2" in capsys.readouterr().err
    assert other_images(result(), result()) == ""


def test_a_stored_result_is_read_back(tmp_path):
    (tmp_path / "old.json").write_text(result().to_json())
    assert read_baseline(tmp_path / "old.json").summary == result().summary
    (tmp_path / "old.json").write_text("{}")
    with pytest.raises(DataError, match=r"old\.json: "):
        read_baseline(tmp_path / "old.json")


@pytest.mark.parametrize(
    ("arguments", "goal"),
    [([], None), (["--f1"], "f1"), (["--precision", "0.9"], 0.9), (["--precision", "1e-3"], 1e-3)],
)
def test_the_goal_is_the_best_f1_or_a_precision(arguments, goal):
    check_options(options(*arguments))
    assert goal_of(options(*arguments)) == goal


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--precision", "1"], "goal must be"),
        (["--preset", "mnist", "--template", "a {}"], "--preset has published texts"),
        (["--f1", "--write-label-set", "a.txt"], "--write-label-set writes a .json file"),
        (["--f1", "--write-label-set", "no/a.json"], "there is no folder no"),
    ],
)
def test_contradictions_are_found_before_anything_is_read(arguments, message):
    with pytest.raises(CommandError, match=message) as error:
        check_options(options(*arguments))
    assert error.value.status == 2
