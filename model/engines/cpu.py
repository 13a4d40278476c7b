"""How many processors this process may use, in a container fewer than the machine has, and what they can do."""

import os
from pathlib import Path

CGROUP, CPUINFO = Path("/sys/fs/cgroup"), Path("/proc/cpuinfo")
# What Linux calls the instructions for sums of products of int8: VNNI on x86, the dot product on Arm.
INT8 = {"avx512_vnni", "avx_vnni", "asimddp"}


def processors(cgroup: Path = CGROUP) -> int:
    """Returns the processors that the process may use at once, at least one.

    As many as its affinity names, but no more than its container's quota, which the system tells nobody who counts
    processors: a container of two on a machine of 64 would have 64 threads take turns, and be stopped between them.

    Args:
        cgroup: Where the system shows the container's limits.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(allowed, quota(cgroup) or allowed))


def quota(cgroup: Path) -> int | None:
    """Returns the processors of a container's quota, begun ones as whole; None if there is none.

    | file                                                          | content               | processors |
    |---------------------------------------------------------------|-----------------------|------------|
    | `cpu.max`                                                     | `150000 100000`       | 2          |
    | `cpu.max`                                                     | `max 100000`          | no quota   |
    | `cpu/cpu.cfs_quota_us`, `cpu/cpu.cfs_period_us` (version one) | `100000`, `100000`    | 1          |
    | the same                                                      | `-1`, `100000`        | no quota   |
    """
    version_one = ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")
    names = ("cpu.max",) if (cgroup / "cpu.max").is_file() else version_one
    try:
        given, period = " ".join((cgroup / name).read_text(encoding="ascii") for name in names).split()
        return -(-int(given) // int(period)) if given != "max" and int(given) > 0 else None
    except (OSError, ValueError):  # another system, or one that shows nothing
        return None


def multiplies_int8(cpuinfo: Path = CPUINFO) -> bool:
    """Returns whether the processor has instructions for sums of products of int8; yes where the system does not tell.

    Args:
        cpuinfo: Where the system shows the processors' features.
    """
    known = features(cpuinfo)
    return not known or bool(INT8 & known)


def is_avx2_at_most(cpuinfo: Path = CPUINFO) -> bool:
    """Returns whether AVX2 is the widest that the processor computes in; no where the system does not tell."""
    known = features(cpuinfo)
    return "avx2" in known and "avx512f" not in known


def features(cpuinfo: Path) -> set[str]:
    """Returns the words that the system has for the processors, their features among them; none on other systems."""
    try:
        return set(cpuinfo.read_text(encoding="utf-8").split())
    except OSError:
        return set()
