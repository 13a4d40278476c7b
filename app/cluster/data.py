"""Runs a job's chunks on a Ray cluster, with Ray Data: a pool of actors, each with a loaded model.

An actor computes a chunk as the local runner does, and stores its part itself. What goes through Ray are the numbers of
the chunks, and a report of each part. Ray repeats the chunks of an actor or a machine that dies.
"""

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import ray
import ray.data
from ray.data import ActorPoolStrategy, DataContext
from ray.exceptions import RayError

from app.batch import BatchError, BatchMistake
from app.batch.job import Job, JobRequest
from app.batch.scorer import Report, make_scorer
from app.inference.encoder import Encoder
from app.schemas import ResponseWarning
from app.settings import Settings

log = logging.getLogger("app")

MAX_TASKS = 10_000  # of which Ray keeps track

Load = Callable[[Settings, Callable[[str], None]], Encoder]


class Pool(NamedTuple):
    """The actors that are asked for. None leaves the choice to `fitted`."""

    actors: int | None = None
    cpus: int | None = None
    gpus: float | None = None

    def fitted(self, nodes: list[dict[str, float]], *, use_gpus: bool) -> "Pool":
        """Returns the pool for a cluster: an actor for each GPU, or else for each machine, with an equal share of CPUs.

        Args:
            nodes: The resources of each machine.
            use_gpus: Whether the model may run on a GPU.

        Raises:
            BatchMistake: The cluster has fewer CPUs or GPUs than asked for.
        """
        num_cpus = [int(node.get("CPU", 0)) for node in nodes]
        num_gpus = sum(node.get("GPU", 0) for node in nodes) if use_gpus else 0
        gpus = self.gpus if self.gpus is not None else float(num_gpus >= 1)
        actors = self.actors or (int(num_gpus / gpus) if gpus else sum(count > 0 for count in num_cpus)) or 1
        # The machine with the fewest CPUs decides, if each has the same number of actors.
        cpus = self.cpus or max(1, min(min(filter(None, num_cpus), default=1), sum(num_cpus) // actors))
        if sum(count // cpus for count in num_cpus) < 1 or gpus > num_gpus:
            raise BatchMistake(
                f"an actor needs {cpus} CPUs and {gpus:g} GPUs, and the cluster has {sum(num_cpus)} and {num_gpus:g}"
            )
        return Pool(actors, cpus, gpus)


class ChunkStorer:
    """An actor: loads the model once, and stores the part of each chunk that it gets.

    Args:
        request: What is computed.
        job: The job.
        load: Loads the model.
    """

    def __init__(self, request: JobRequest, job: Job, load: Load) -> None:
        self._job = job
        self._stack = ExitStack()
        encoder = load(request.settings, log.info)
        self._scorer = self._stack.enter_context(make_scorer(request, encoder, log.info))

    def __call__(self, batch: dict[str, Any]) -> Iterator[dict[str, list[str]]]:
        """Stores the parts of the batch's chunks, and yields a report of each."""
        warnings = [warning.model_dump() for warning in self._scorer.warnings]
        for report in self._scorer.store_parts(self._job, batch["chunk"].tolist()):
            yield {"report": [json.dumps({"report": report._asdict(), "warnings": warnings})]}


def store_on_ray(
    request: JobRequest, job: Job, chunks: list[int], load: Load, pool: Pool
) -> Iterator[Report | ResponseWarning]:
    """Stores the parts of chunks, in any order, and yields a report of each, and the warnings about the labels.

    Args:
        request: What is computed. Its input, its output and its checkpoint must be the same on all machines.
        job: The job.
        chunks: Which chunks are computed.
        load: Loads the model, in each actor.
        pool: The actors.

    Raises:
        BatchMistake: The cluster is too small, or the label set has examples that cannot be used.
        BatchError: There is no cluster, or an actor failed for a reason other than its death.
    """
    with cluster():
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        fitted = pool.fitted(nodes, use_gpus=request.settings.device != "cpu")
        workers = request.settings.decode_workers or fitted.cpus
        request = request._replace(settings=request.settings.model_copy(update={"decode_workers": workers}))
        size = min(fitted.actors or 1, len(chunks))
        tasks = ray.data.from_items(
            [{"chunk": chunk} for chunk in chunks], override_num_blocks=min(MAX_TASKS, len(chunks))
        )
        reports = tasks.map_batches(
            ChunkStorer,
            fn_constructor_args=(request, job, load),
            batch_size=None,
            compute=ActorPoolStrategy(size=size),
            num_cpus=fitted.cpus,
            num_gpus=fitted.gpus,
        )
        with as_batch_error():
            for row in reports.iter_rows():
                found = json.loads(row["report"])
                yield from (ResponseWarning.model_validate(warning) for warning in found["warnings"])
                yield Report(**found["report"])


@contextmanager
def cluster() -> Iterator[None]:
    """Connects to the cluster that RAY_ADDRESS names, or else starts one on this machine, which ends with the job.

    Raises:
        BatchError: There is no cluster at this address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    context = DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    if ray.is_initialized():
        yield
        return
    try:
        if "RAY_ADDRESS" in os.environ:
            ray.init(log_to_driver=False, logging_level=logging.WARNING)
        else:
            # Not one that happens to run here: it may be another user's, or about to end.
            ray.init("local", log_to_driver=False, logging_level=logging.WARNING, include_dashboard=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise BatchError(f"there is no Ray cluster: {error}") from error
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def as_batch_error() -> Iterator[None]:
    """Turns what an actor raised into the error that it was."""
    try:
        yield
    except RayError as error:
        cause: BaseException | None = error
        while cause and not isinstance(cause, BatchError):
            cause = getattr(cause, "cause", None) or cause.__cause__
        if isinstance(cause, BatchError):
            raise type(cause)(str(cause)) from error
        raise BatchError(f"an actor failed: {str(error).strip().splitlines()[-1]}") from error
