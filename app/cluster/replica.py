"""One replica: a whole service, which Ray Serve calls instead of an HTTP server. Imports no Ray."""

import logging
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

from app.cluster.options import unused_settings
from app.inference.encoder import Encoder
from app.inference.engine import Engine
from app.main import create_app
from app.observability.logs import configure_logging
from app.observability.tracing import start_tracing
from app.settings import PREFIX, Settings

READ_ONLY = (
    "This service has replicas that do not share label sets, so a change would reach only one of them. Set "
    f"{PREFIX}STORE to a store that all replicas share, or put the set into the folder {PREFIX}LABEL_SETS_DIR."
)
REQUEST_ID = b"x-request-id"

Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]

log = logging.getLogger("app")


class Replica:
    """A replica. `ray.serve.ingress` finds the service by the name of its last method.

    Args:
        settings: The service's settings.
        make_encoder: Returns the encoder to use; None loads the configured checkpoint.

    Raises:
        SettingsError: A file that the settings name cannot be used, or the tracing is not configured correctly.
    """

    def __init__(self, settings: Settings, make_encoder: Callable[[], Encoder] | None = None) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # as `siglip serve`
        configure_logging(settings.log_format)
        if unused := unused_settings(settings):
            log.info("ignored, because Ray Serve listens: %s", ", ".join(unused))
        folder: AbstractContextManager[Any] = nullcontext()
        if not settings.store:  # sets that were once stored on this machine are not on the others
            folder = tempfile.TemporaryDirectory(prefix="siglip-")
            settings = settings.model_copy(update={"data_dir": Path(folder.name)})
        self._service = create_app(
            settings,
            make_encoder() if make_encoder else None,
            self._end_if_loaded,
            start_tracing(),
            read_only_reason=None if settings.store else READ_ONLY,
        )
        self._service.router.lifespan_context = loads_first(self._service.router.lifespan_context, folder)
        self._service.add_middleware(WithoutRequestId)

    async def check_health(self) -> None:
        """Raises `NotReady` if the model does not compute. After three failures in a row, Serve replaces the replica.

        Serve cannot take a replica out of rotation and keep it, so there is no difference between ready and live.
        """
        engine: Engine = self._service.state.engine
        engine.check_ready()

    def _end_if_loaded(self) -> None:
        """Ends the process if its device thread has ended. Until Serve noticed, every request here would fail."""
        engine: Engine = self._service.state.engine
        if engine.loaded:  # else the lifespan fails
            log.error("the device thread has ended, so this replica ends")
            logging.shutdown()
            os._exit(1)

    def __serve_build_asgi_app__(self) -> Any:
        """Returns the service."""
        return self._service


def loads_first(lifespan: Lifespan, folder: AbstractContextManager[Any]) -> Lifespan:
    """Returns a lifespan that starts with the loaded model, since Serve sends requests as soon as it has started.

    It fails if the model cannot be loaded.

    Args:
        lifespan: The service's lifespan, which loads the model meanwhile.
        folder: What is removed after it.
    """

    @asynccontextmanager
    async def loaded(service: Any) -> AsyncIterator[Any]:
        with folder:
            async with lifespan(service) as state:
                await service.state.loading
                if not service.state.engine.loaded:
                    raise RuntimeError("the model cannot be loaded; the log of this replica has the reason")
                yield state

    return loaded


class WithoutRequestId:
    """ASGI middleware that removes `X-Request-Id` from responses: Serve adds it, and the client would get it twice.

    Serve adds the id that it has put into the request, which is the one that the service uses.
    """

    def __init__(self, app: Callable[..., Any]) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Calls the service."""

        async def send_without(message: Any) -> None:
            if message["type"] == "http.response.start":
                kept = [pair for pair in message["headers"] if pair[0].lower() != REQUEST_ID]
                message = message | {"headers": kept}
            await send(message)

        await self._app(scope, receive, send_without)
