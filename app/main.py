"""`create_app` and its lifespan; nothing else."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI

from app import __version__, errors
from app.config import Settings
from app.engine import Encoder, Engine
from app.limits import BodyLimit
from app.routes import classify, health, info
from app.telemetry import Telemetry

log = logging.getLogger("app")


def create_app(
    settings: Settings, encoder: Encoder | None = None, on_load_failure: Callable[[], None] = lambda: None
) -> FastAPI:
    """Returns the service, which loads its model once it runs and answers probes meanwhile.

    Args:
        settings: All of its numbers.
        encoder: What computes; None loads the configured checkpoint.
        on_load_failure: Called when there will be no model; it should end the process, with a status other than 0.
    """

    def load_encoder(on_stage: Callable[[str], None]) -> Encoder:
        if encoder is not None:
            return encoder
        # Here, on the device thread: importing TensorFlow takes seconds.
        from model.encoder import load_encoder

        loaded: Encoder = load_encoder(
            settings.model,
            settings.weights,
            revision=settings.revision,
            device=settings.device,
            dtype=settings.dtype,
            max_batch=settings.max_batch,
            on_stage=on_stage,
        )
        return loaded

    async def load(engine: Engine) -> None:
        def on_stage(stage: str) -> None:
            engine.report(stage)
            if stage.endswith("0 %") or not stage.endswith("%"):  # every tenth percent
                log.info(stage)

        try:
            await engine.load(lambda: load_encoder(on_stage))
        except Exception as error:
            log.error("cannot load the model: %s", " ".join(str(error).split()) or type(error).__name__)  # noqa: TRY400 (no traceback)
            on_load_failure()
            return
        facts = engine.encoder.info
        log.info("ready: %s %s on %s, %s", facts.variant, facts.weights, facts.device, facts.dtype)
        if facts.demonstration:
            log.warning("this is the embedded demonstration model for pictograms, not a photo classifier")

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        engine = Engine(
            max_batch=settings.max_batch,
            max_queue_items=settings.max_queue_items,
            text_cache_bytes=settings.text_cache_bytes,
        )
        app.state.engine = engine
        app.state.loading = asyncio.create_task(load(engine))
        yield
        app.state.loading.cancel()
        await engine.close()

    app = FastAPI(
        title="SigLIP zero-shot image classification",
        version=__version__,
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would make a client upload its image twice
    )
    app.state.settings = settings
    app.add_middleware(BodyLimit, max_body_bytes=settings.max_body_bytes)
    app.add_middleware(Telemetry)  # added last, so outermost
    errors.install(app)
    for surface in (classify, health, info):
        app.include_router(surface.router)
    return app
