"""What a figure was measured on, and how a ratio is written down."""

import os
import platform
import re
import statistics
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from model.engines.cpu import has_int8_dot_product

RESULTS = Path(__file__).parent / "results"


def machine() -> str:
    """Returns the processor, its cores that this process may use, and Python's version, in words."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    names = re.findall(r"model name\s*:\s*(.+)", text)
    wide = " with AVX-512" if "avx512f" in text else ""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{names[0] if names else platform.machine()}{wide}, {cores} cores, Python {platform.python_version()}"


def result_file(name: str) -> Path:
    """Returns the file of results that are others where int8 is slow; there it is a second one, beside the first."""
    return RESULTS / f"{name}{'' if has_int8_dot_product() else '_without_vnni'}.json"


def versions(*packages: str) -> dict[str, str]:
    """Returns the packages' versions."""
    return {package: version_of(package) for package in packages}


def version_of(package: str) -> str:
    """Returns a package's version; TensorFlow without CUDA has a name of its own."""
    try:
        return version(package)
    except PackageNotFoundError:
        return version(f"{package}_cpu")


def spread(ratios: list[float]) -> dict[str, Any]:
    """Returns the median of ratios, and their quartiles, of few the ends."""
    ends = statistics.quantiles(ratios, n=4)[::2] if len(ratios) > 3 else (min(ratios), max(ratios))
    return {"ratio": round(statistics.median(ratios), 3), "spread": [round(each, 3) for each in ends]}
