"""The printed report of the comparison. tests/model/test_verify.py tests the comparison itself."""

from types import SimpleNamespace
from typing import Any

from app.cli.verify import report


def line(name: str, verdict: str) -> Any:
    return SimpleNamespace(
        name=name, expected="-12.9", actual="-12.8", tolerance="0.01", verdict=verdict, remark="somebody"
    )


def test_the_report_shows_expected_and_actual_values_and_a_failure_gives_status_1(capsys):
    assert report([line("bias", "pass"), line("logits", "not checked")]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[:3] == ["PASS: bias", "    expected -12.9  (somebody)", "    actual   -12.8  (tolerance 0.01)"]
    assert shown[3] == "NOT CHECKED: logits"
    assert shown[-1] == "1 pass, 0 fail, 1 not checked"
    assert report([line("bias", "fail"), line("scale", "pass")]) == 1
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "FAIL: bias"
    assert shown[-1] == "1 pass, 1 fail, 0 not checked"
