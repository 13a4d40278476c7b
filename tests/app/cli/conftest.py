"""What all tests of the command line need."""

import os

import pytest


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    """Removes the settings of the service from the environment."""
    for name in os.environ:
        if name.startswith("SIGLIP_"):
            monkeypatch.delenv(name)
