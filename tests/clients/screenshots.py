"""Compares the screenshots in the documents with what Chromium shows now."""

import os
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def check_screenshot(stored: Path, screenshot: bytes, max_bytes: int) -> None:
    """Fails if the stored PNG looks different. UPDATE_SCREENSHOT=1 replaces it first."""
    if os.environ.get("UPDATE_SCREENSHOT"):
        stored.write_bytes(screenshot)
    assert stored.stat().st_size <= max_bytes
    with Image.open(stored) as before, Image.open(BytesIO(screenshot)) as now:
        assert before.width == now.width == 1200
        assert before.height == pytest.approx(now.height, rel=0.05)
        # At this size letters are invisible, so the fonts of another machine make little difference.
        small = [np.asarray(image.convert("RGB").resize((24, 24)), np.float32) for image in (before, now)]
    assert np.abs(small[0] - small[1]).mean() < 6
