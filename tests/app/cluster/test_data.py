"""How a pool fits a cluster. Jobs on a real cluster are in tests/acceptance/test_batch_ray.py."""

import pytest

from app.batch import BatchMistake

pytest.importorskip("ray", reason="Ray is not installed: `make acceptance` installs it")
from app.cluster.data import Pool

CPU_ONLY = [{"CPU": 4.0}, {"CPU": 2.0}, {"memory": 1e9}]
WITH_GPUS = [{"CPU": 16.0, "GPU": 2.0}, {"CPU": 16.0, "GPU": 2.0}]


@pytest.mark.parametrize(
    ("given", "nodes", "fitted"),
    [
        (Pool(), CPU_ONLY, Pool(2, 2, 0.0)),
        (Pool(actors=3), CPU_ONLY, Pool(3, 2, 0.0)),
        (Pool(actors=6), CPU_ONLY, Pool(6, 1, 0.0)),
        (Pool(cpus=4), CPU_ONLY, Pool(2, 4, 0.0)),
        (Pool(), WITH_GPUS, Pool(4, 8, 1.0)),
        (Pool(gpus=0.5), WITH_GPUS, Pool(8, 4, 0.5)),
        (Pool(gpus=0), WITH_GPUS, Pool(2, 16, 0.0)),
    ],
)
def test_actors_share_the_machines(given, nodes, fitted):
    assert given.fitted(nodes, use_gpus=True) == fitted


def test_on_the_cpu_gpus_are_not_reserved():
    assert Pool().fitted(WITH_GPUS, use_gpus=False) == Pool(2, 16, 0.0)


@pytest.mark.parametrize("given", [Pool(cpus=8), Pool(gpus=1)])
def test_a_cluster_that_is_too_small_is_a_mistake(given):
    with pytest.raises(BatchMistake, match=r"^an actor needs \d CPUs and \d GPUs, and the cluster has 6 and 0$"):
        given.fitted(CPU_ONLY, use_gpus=True)
