"""What this process may use of the machine, which in a container may be only a part: CPUs and memory."""

import os
from contextlib import suppress
from pathlib import Path

CGROUP, CPUINFO, MEMINFO, DEVICES = Path("/sys/fs/cgroup"), Path("/proc/cpuinfo"), Path("/proc/meminfo"), Path("/dev")
# The files of NVIDIA's driver, of AMD's, and of a GPU in the Windows Subsystem for Linux.
GPU_DEVICES = ("nvidia[0-9]*", "kfd", "dxg")
# Linux's names for int8 dot-product instructions: VNNI on x86, the dot product on Arm.
INT8_DOT_PRODUCT = {"avx512_vnni", "avx_vnni", "asimddp"}


def available_cpus(cgroup: Path = CGROUP) -> int:
    """Returns the number of CPUs that this process may use, at least 1.

    That is the size of its affinity mask, limited by its container's quota. Libraries that count CPUs do not see the
    quota: in a container with 2 CPUs on a machine with 64 they would start 64 threads, which then throttle each other.

    Args:
        cgroup: The folder where the system shows the container's limits.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(allowed, quota(cgroup) or allowed))


def quota(cgroup: Path) -> int | None:
    """Returns the container's CPU quota, rounded up, or None if there is no quota.

    | file                                                       | content            | quota |
    |------------------------------------------------------------|--------------------|-------|
    | `cpu.max`                                                  | `150000 100000`    | 2     |
    | `cpu.max`                                                  | `max 100000`       | None  |
    | `cpu/cpu.cfs_quota_us`, `cpu/cpu.cfs_period_us` (cgroup 1) | `100000`, `100000` | 1     |
    | the same                                                   | `-1`, `100000`     | None  |
    """
    version_1 = ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")
    names = ("cpu.max",) if (cgroup / "cpu.max").is_file() else version_1
    try:
        given, period = " ".join((cgroup / name).read_text(encoding="ascii") for name in names).split()
        return -(-int(given) // int(period)) if given != "max" and int(given) > 0 else None
    except (OSError, ValueError):  # another operating system, or one that hides its limits
        return None


def memory_limit_bytes(cgroup: Path = CGROUP, meminfo: Path = MEMINFO) -> int | None:
    """Returns the container's memory limit, or the machine's memory if it is less, or None if neither is known.

    | file                                            | content              | limit                   |
    |-------------------------------------------------|----------------------|-------------------------|
    | `memory.max`                                    | `4294967296`         | 4,294,967,296           |
    | `memory.max`                                    | `max`                | the machine's memory    |
    | `memory/memory.limit_in_bytes` (cgroup 1)       | `9223372036854771712` | the machine's memory   |

    Args:
        cgroup: The folder where the system shows the container's limits.
        meminfo: The file where the system shows the machine's memory.
    """
    limits = []
    for path in (cgroup / "memory.max", cgroup / "memory" / "memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            limits.append(int(path.read_text(encoding="ascii")))
    with suppress(OSError, ValueError):
        _, kilobytes, *_ = meminfo.read_text(encoding="ascii").split()
        limits.append(1024 * int(kilobytes))
    return min(limits, default=None)


def has_int8_dot_product(cpuinfo: Path = CPUINFO) -> bool:
    """Returns whether the CPU has int8 dot-product instructions; True if the system does not list its features.

    Args:
        cpuinfo: The file where the system lists the CPU's features.
    """
    known = features(cpuinfo)
    return not known or bool(INT8_DOT_PRODUCT & known)


def has_avx2_only(cpuinfo: Path = CPUINFO) -> bool:
    """Returns whether the CPU has AVX2 but not AVX-512; False if the system does not list its features."""
    known = features(cpuinfo)
    return "avx2" in known and "avx512f" not in known


def may_have_gpu(devices: Path = DEVICES) -> bool:
    """Returns whether the system shows a GPU, which TensorFlow may or may not be able to use.

    Without one, nobody has to import TensorFlow, which takes seconds, to learn that there is none.

    Args:
        devices: The folder where the system shows its devices.
    """
    return any(True for pattern in GPU_DEVICES for _ in devices.glob(pattern))


def features(cpuinfo: Path) -> set[str]:
    """Returns the words of the CPU description, which include its features; empty on other operating systems."""
    try:
        return set(cpuinfo.read_text(encoding="utf-8").split())
    except OSError:
        return set()
