"""The engine: loads an encoder onto the device, and says whether the service is ready and live."""

from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from app.errors import Draining, NotReady
from app.images.workers import Workers
from app.inference.admission import Admission
from app.inference.device import Device
from app.inference.embedder import Embedder
from app.inference.encoder import Processor
from app.inference.image_input import decode_workers, make_workers
from app.inference.threads import Threads
from app.observability.metrics import MODEL, Metrics
from app.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")

READY, FAILED = "ready", "failed"


class Engine:
    """The device, the thread pools, the decode workers and, once it is loaded, the model.

    Args:
        settings: The service's settings.
        admission: Limits the images and the bytes in the service.
        metrics: The service's metrics.
        device: What computes.
    """

    def __init__(self, settings: Settings, admission: Admission, metrics: Metrics, device: Device) -> None:
        self.stage = "starting"
        self.draining = False
        self.admission = admission
        self._settings = settings
        self._metrics = metrics
        self._device = device
        self._threads = Threads(decode_workers(settings))
        self._workers: Workers | None = None
        self._embedder: Embedder | None = None
        metrics.queue_depth.set_function(lambda: admission.items)
        metrics.queue_bytes.set_function(lambda: admission.bytes)
        metrics.ready.set_function(lambda: self.ready)

    async def load(self, load_label_sets: Callable[[Embedder], Awaitable[None]] | None = None) -> None:
        """Loads the model on the device, then the label sets.

        `stage` says how far it is. Any failure is raised.
        """

        def on_stage(stage: str) -> None:
            self.stage = stage

        try:
            processor, queues = await self._device.load(on_stage)
            self.stage = "starting decode workers"
            self._workers = workers = make_workers(processor.preprocessor, self._settings, self._metrics.worker_exit)
            await self._threads.compute.run(workers.start)
            embedder = Embedder(
                processor,
                queues,
                workers,
                self._threads,
                self._settings,
                admission=self.admission,
                metrics=self._metrics,
                on_not_finite=self._device.suspect,
            )
            self._metrics.model({name: getattr(processor.info, name) for name in MODEL})
            self.stage = "label sets"
            if load_label_sets:
                await load_label_sets(embedder)
        except Exception:
            self.stage = FAILED
            raise
        self._embedder = embedder
        self.stage = READY

    @property
    def loaded(self) -> bool:
        """Whether the start has finished."""
        return self._embedder is not None

    @property
    def embedder(self) -> Embedder:
        """The loaded model.

        Raises:
            NotReady: The start has not finished; the message names the stage.
        """
        if self._embedder is None:
            raise NotReady(f"The model is not ready: {self.stage}.")
        return self._embedder

    @property
    def encoder(self) -> Processor:
        """The facts about the loaded model, and what prepares its inputs; raises `NotReady` as `embedder` does."""
        return self.embedder.encoder

    def check_ready(self) -> None:
        """Raises `NotReady` or `Draining` if new requests should go elsewhere."""
        if self.draining:
            raise Draining("The service is shutting down.")
        _ = self.embedder
        self._device.check_ready()

    @property
    def ready(self) -> bool:
        """Whether new requests are welcome."""
        try:
            self.check_ready()
        except (NotReady, Draining):
            return False
        return True

    def check_live(self) -> None:
        """Raises `NotReady` if only a restart would help."""
        self._device.check_live()

    @property
    def computing(self) -> bool:
        """Whether the device can compute. After `close`, it can if it is inside a long call."""
        return self._device.alive

    async def in_thread_if_many(self, labels: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Returns `function(...)`, run in a thread if it treats many labels."""
        return await self._threads.compute_texts(labels)(function, *args, **kwargs)

    async def in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Returns `function(...)`, run in a thread for short work such as parsing."""
        return await self._threads.compute.run(function, *args, **kwargs)

    async def in_long_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Returns `function(...)`, run in the one thread for work that takes seconds, such as an evaluation."""
        return await self._threads.long.run(function, *args, **kwargs)

    async def close(self) -> None:
        """Ends the threads and the workers. It waits neither for a load in progress nor for a device that hangs."""
        await self._device.close()
        self._threads.close()
        if self._workers:
            self._workers.close()
