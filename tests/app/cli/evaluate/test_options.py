"""The syntax of `--compare`, and the help."""

from pathlib import Path

import pytest

from app.cli import CommandError
from app.cli.evaluate.options import Variant, make_parser, parse_variant


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("engine=openvino,dtype=int8", Variant("", {"engine": "openvino", "dtype": "int8"}, None, None, [], None)),
        ("max_num_patches=64", Variant("", {"max_num_patches": "64"}, None, None, [], None)),
        ("template=a photo, of a {}", Variant("", {}, None, None, ["a photo, of a {}"], None)),
        ("template=a {},template=b=c {}", Variant("", {}, None, None, ["a {}", "b=c {}"], None)),
        ("labels=other.txt,templates=t.json", Variant("", {}, None, Path("other.txt"), [], Path("t.json"))),
        ("server=http://a:1,labels=o.txt", Variant("", {}, "http://a:1", Path("o.txt"), [], None)),
    ],
)
def test_a_comma_separates_only_before_a_key(text, expected):
    assert parse_variant(text) == expected._replace(name=text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("int8", "--compare takes KEY=VALUE, several separated by commas, with the keys model, weights"),
        ("dtype=", "--compare takes KEY=VALUE"),
        ("dtype=int8,dtype=float32", "has dtype twice"),
        ("server=http://a:1,dtype=int8", "server stands alone"),
        ("template=a {},templates=t.json", "give template or templates, not both"),
    ],
)
def test_a_malformed_variant_is_a_mistake(text, message):
    with pytest.raises(CommandError) as error:
        parse_variant(text)
    assert message in str(error.value)
    assert error.value.status == 2


def test_the_help_is_complete(capsys):
    with pytest.raises(SystemExit):
        make_parser().parse_args(["--help"])
    text = capsys.readouterr().out
    for option in ("--names", "--none-folder", "--compare", "--fail-under", "--baseline", "--preset", "--report"):
        assert option in text
    assert "95 % intervals" in " ".join(text.split())
