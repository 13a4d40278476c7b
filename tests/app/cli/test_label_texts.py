"""Labels as a person types them after `--labels`, and what the command says about them."""

import json
from pathlib import Path

import pytest

from app.cli import CommandError, evaluate
from app.cli.classify import main
from tests.app.conftest import serve
from tests.app.image_files import encoded, plain_image
from tests.fakes import TokenizingEncoder

ALIKE = (
    'warning: The model reads the same tokens for "C++" and "C#", so they have the same scores and share the softmax.'
)
UNREADABLE = 'warning: The model cannot read "猫": it was not trained on any of the characters.'


@pytest.fixture
def image(tmp_path) -> Path:
    path = tmp_path / "image.png"
    path.write_bytes(encoded(plain_image()))
    return path


def classify(image: Path, *labels: str, **options: str) -> int:
    flags = [text for name, value in options.items() for text in (f"--{name}", value)]
    return main([str(image), "--json", "--labels", *labels, *flags], lambda _settings, _on_stage: TokenizingEncoder())


def scored(out: str) -> list[str]:
    return sorted(score["label"] for score in json.loads(out)["scores"])


@pytest.mark.parametrize(
    ("typed", "labels", "is_split"),
    [
        (["cat,dog,car"], ["car", "cat", "dog"], True),
        (["cat; a dog"], ["a dog", "cat"], True),
        (["cat\ndog\n"], ["cat", "dog"], True),
        (["a cat, red", "dog"], ["a cat, red", "dog"], False),
        (['["a cat, red"]'], ["a cat, red"], False),
        (["cat"], ["cat"], False),
    ],
)
def test_a_lone_text_is_split_with_a_warning(image, capsys, typed, labels, is_split):
    assert classify(image, *typed) == 0
    captured = capsys.readouterr()
    assert scored(captured.out) == labels
    assert captured.err.startswith("warning: labels was one text, and was split") == is_split


def test_an_array_that_is_not_json_is_an_error(image):
    with pytest.raises(CommandError, match="labels is not JSON"):
        classify(image, "[cat")


@pytest.mark.parametrize("with_service", [False, True])
def test_labels_that_the_model_cannot_tell_apart_or_read_are_warnings(image, capsys, with_service):
    with serve(TokenizingEncoder()) as client:
        options = {"server": str(client.base_url)} if with_service else {}
        assert classify(image, "C++", "cat", "C#", "猫", **options) == 0
    captured = capsys.readouterr()
    assert len(scored(captured.out)) == 4
    lines = captured.err.splitlines()
    assert [line[: len(start)] for line, start in zip(lines, (ALIKE, UNREADABLE), strict=True)] == [ALIKE, UNREADABLE]


def test_an_evaluation_warns_about_its_labels(tmp_path, capsys):
    for index, label in enumerate(("C++", "C#")):
        (tmp_path / label).mkdir()
        (tmp_path / label / "image.png").write_bytes(encoded(plain_image((index, 0, 0))))
    evaluate.main([str(tmp_path), "--no-cache", "--json"], lambda *_: TokenizingEncoder())
    assert capsys.readouterr().err.splitlines()[0].startswith("warning: The model reads the same tokens for ")
