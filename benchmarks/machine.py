"""Describes the machine and the packages of a measurement, and summarises ratios."""

import os
import platform
import re
import statistics
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from model.engines.machine import has_int8_dot_product

RESULTS = Path(__file__).parent / "results"


def machine() -> str:
    """Returns the CPU's name, the number of cores that this process may use, and Python's version, as text."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    names = re.findall(r"model name\s*:\s*(.+)", text)
    wide = " with AVX-512" if "avx512f" in text else ""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{names[0] if names else platform.machine()}{wide}, {cores} cores, Python {platform.python_version()}"


def result_file(name: str) -> Path:
    """Returns the file for results that depend on the speed of int8: on CPUs without VNNI, a second file."""
    return RESULTS / f"{name}{'' if has_int8_dot_product() else '_without_vnni'}.json"


def versions(*packages: str) -> dict[str, str]:
    """Returns the packages' versions."""
    return {package: version_of(package) for package in packages}


def version_of(package: str) -> str:
    """Returns a package's version. TensorFlow without CUDA has another name, `tensorflow_cpu`."""
    try:
        return version(package)
    except PackageNotFoundError:
        return version(f"{package}_cpu")


def spread(ratios: list[float]) -> dict[str, Any]:
    """Returns the median and the quartiles of ratios; of up to three, the lowest and the highest."""
    ends = statistics.quantiles(ratios, n=4)[::2] if len(ratios) > 3 else (min(ratios), max(ratios))
    return {"ratio": round(statistics.median(ratios), 3), "spread": [round(each, 3) for each in ends]}
