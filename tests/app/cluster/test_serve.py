"""The application that `serve run app.cluster.serve:app` deploys. `make acceptance` runs it on a cluster."""

import warnings
from typing import Any

import pytest

from app.cluster.options import Scale
from app.settings import Settings, SettingsError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own, while it is imported
    pytest.importorskip("ray.serve", reason="needs the extra ray: make acceptance installs it")
    from app.cluster.serve import NAME, app, application


def built(made: Any) -> Any:
    """Returns the only deployment of an application."""
    return made._bound_deployment


def test_the_application_has_the_settings_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGLIP_MAX_BATCH", "10")
    deployment = built(app(Scale(min_replicas=3)))
    assert deployment.name == NAME
    assert (deployment.num_replicas, deployment.max_ongoing_requests) == (3, 20)


def test_an_unknown_setting_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGLIP_MAX_BACH", "10")
    with pytest.raises(SettingsError, match="there is no setting SIGLIP_MAX_BACH; the nearest is SIGLIP_MAX_BATCH"):
        app(Scale())


def test_options_that_are_given_take_precedence() -> None:
    assert built(application(Settings(), Scale(), max_queued_requests=3)).max_queued_requests == 3
