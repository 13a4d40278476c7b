import argparse

import pytest

from app.cli.setting_flags import add_setting_flags, flaggable, given_flags
from app.settings import Settings, load_settings


def parsed(*arguments: str) -> dict[str, str]:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_setting_flags(parser, flaggable())
    return given_flags(parser.parse_args(arguments), flaggable())


def test_every_setting_is_a_flag_except_secrets_and_those_of_vertex_ai():
    assert set(Settings.model_fields) - set(flaggable()) == {
        "api_keys",
        "admin_keys",
        "store",
        "aip_http_port",
        "aip_health_route",
        "aip_predict_route",
    }


def test_only_given_flags_are_settings():
    assert parsed() == {}
    assert parsed("--port", "9000", "--model", "SigLIPBaseP16") == {"port": "9000", "model": "SigLIPBaseP16"}


def test_a_flag_takes_precedence_over_its_variable(monkeypatch):
    monkeypatch.setenv("SIGLIP_PORT", "1")
    monkeypatch.setenv("SIGLIP_REDUCE_JPEGS", "true")
    settings = load_settings(**parsed("--port", "9000", "--public-paths", "/a/,/b"))
    assert (settings.port, settings.reduce_jpegs, settings.public_paths) == (9000, True, ["/a", "/b"])


@pytest.mark.parametrize(("given", "value"), [(["--reduce-jpegs"], True), (["--reduce-jpegs", "false"], False)])
def test_a_flag_that_is_true_or_false_needs_no_value(given, value):
    assert load_settings(**parsed(*given)).reduce_jpegs is value


def test_a_secret_is_not_a_flag(capsys):
    with pytest.raises(SystemExit):
        parsed("--api-keys", "secret")
    assert "unrecognized arguments: --api-keys" in capsys.readouterr().err
