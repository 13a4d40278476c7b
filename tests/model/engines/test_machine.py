"""The CPUs and the memory that a container may use, and the instruction sets."""

import os

import pytest

from model.engines.machine import (
    available_cpus,
    has_avx2_only,
    has_int8_dot_product,
    may_have_gpu,
    memory_limit_bytes,
    quota,
)

ALLOWED = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu.max": "no number"}, None),
        ({}, None),
    ],
)
def test_the_quota_of_a_container_is_rounded_up_to_whole_cpus(files, expected, tmp_path):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert quota(tmp_path) == expected


@pytest.mark.parametrize(("given", "expected"), [("100000 100000", 1), ("99900000 100000", ALLOWED)])
def test_available_cpus_is_limited_by_quota_and_affinity(given, expected, tmp_path):
    (tmp_path / "cpu.max").write_text(given)
    assert available_cpus(tmp_path) == expected


MEMINFO = "MemTotal:       16000000 kB\nMemFree:         1000000 kB\n"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"memory.max": "4294967296\n", "meminfo": MEMINFO}, 4_294_967_296),
        ({"memory.max": "max\n", "meminfo": MEMINFO}, 16_384_000_000),
        ({"memory/memory.limit_in_bytes": "2147483648\n", "meminfo": MEMINFO}, 2_147_483_648),
        ({"memory/memory.limit_in_bytes": "9223372036854771712\n", "meminfo": MEMINFO}, 16_384_000_000),
        ({"meminfo": MEMINFO}, 16_384_000_000),
        ({"memory.max": "4294967296\n"}, 4_294_967_296),
        ({"memory.max": "no number", "meminfo": "no memory"}, None),
        ({}, None),
    ],
)
def test_the_memory_limit_is_the_containers_or_the_machines(files, expected, tmp_path):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert memory_limit_bytes(tmp_path, tmp_path / "meminfo") == expected


def test_a_process_pinned_to_one_cpu_has_one(tmp_path):
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert available_cpus(tmp_path) == 1
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.parametrize(
    ("content", "int8", "avx2_only"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512_vnni\nbugs\t\t: spectre_v1\n", True, False),
        ("processor\t: 0\nflags\t\t: fpu avx2 avx_vnni\n", True, True),
        ("processor\t: 0\nflags\t\t: fpu avx2 avx512f\n", False, False),
        ("processor\t: 0\nflags\t\t: fpu avx2\n", False, True),
        ("processor\t: 0\nFeatures\t: fp asimd asimddp\n", True, False),
        ("processor\t: 0\nFeatures\t: fp asimd\n", False, False),
        (None, True, False),
    ],
)
def test_instruction_sets_are_read_from_cpuinfo(content, int8, avx2_only, tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    if content is not None:
        cpuinfo.write_text(content)
    assert (has_int8_dot_product(cpuinfo), has_avx2_only(cpuinfo)) == (int8, avx2_only)


@pytest.mark.parametrize(
    ("device", "expected"),
    [("nvidia0", True), ("dxg", True), ("kfd", True), ("nvidiactl", False), ("null", False), (None, False)],
)
def test_a_gpu_is_recognised_by_the_file_of_its_driver(device, expected, tmp_path):
    if device:
        (tmp_path / device).touch()
    assert may_have_gpu(tmp_path) is expected
