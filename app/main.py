"""`create_app` and its lifespan."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI

from app import __version__
from app.http import openapi, problems
from app.http.authentication import Authentication
from app.http.body_limits import BodyLimits
from app.http.deadline import Deadline
from app.http.root_path import RootPath
from app.http.security_headers import SecurityHeaders, allow_origins
from app.http.telemetry import Telemetry
from app.images.workers import WorkersError
from app.inference.admission import Admission
from app.inference.device import Device
from app.inference.encoder import Encoder, OnStage, load_encoder, logged
from app.inference.engine import Engine
from app.inference.local_device import LocalDevice
from app.inference.shared_counts import SharedCounts
from app.label_sets.configured_store import configured_store
from app.label_sets.folder import LabelSetFolderError
from app.label_sets.label_sets import LabelSets
from app.label_sets.store import StoreError
from app.observability.metrics import Metrics
from app.observability.tracing import Tracing
from app.routes import (
    classify,
    classify_embeddings,
    embed,
    evaluate,
    health,
    hugging_face,
    info,
    label_set_examples,
    label_sets,
    metrics,
    open_inference,
    openai,
    page,
    sagemaker,
    vertex,
)
from app.settings import Settings
from model.config import CheckpointError

log = logging.getLogger("app")


def create_app(
    settings: Settings,
    encoder: Encoder | None = None,
    on_failure: Callable[[], None] = lambda: None,
    tracing: Tracing | None = None,
    *,
    device: Device | None = None,
    shared: SharedCounts | None = None,
    read_only_reason: str | None = None,
) -> FastAPI:
    """Returns the service. It loads its model in its lifespan and answers health checks meanwhile.

    Args:
        settings: The service's settings.
        encoder: The encoder to use; None loads the configured checkpoint.
        on_failure: Called, on any thread, if the model cannot be loaded or the device thread has ended. It should end
            the process with a status other than 0.
        tracing: Where traces go, or None. It is shut down with the service.
        device: What computes, if that is not a thread of this process.
        shared: The counts of all processes of this service, if it has several.
        read_only_reason: Why label sets cannot be changed, and what to do about it, if they cannot.

    Raises:
        SettingsError: A file that the settings name cannot be used.
    """

    def load_here(on_stage: OnStage) -> Encoder:
        return encoder or load_encoder(settings, logged(on_stage))

    async def load(engine: Engine, sets: LabelSets) -> None:
        try:
            await engine.load(partial(sets.load, on_stage=partial(setattr, engine, "stage")))
        except (
            CheckpointError,
            LabelSetFolderError,
            StoreError,
            WorkersError,
        ) as error:  # their messages are for people
            log.error("cannot start: %s", " ".join(str(error).split()))  # noqa: TRY400 (no traceback)
            on_failure()
            return
        except Exception:
            log.exception("cannot start")
            on_failure()
            return
        facts = engine.encoder.info
        log.info("ready: %s %s on %s, %s, %s", facts.variant, facts.weights, facts.device, facts.engine, facts.dtype)
        if facts.demonstration:
            log.warning("this is the embedded demonstration model for pictograms, not a photo classifier")

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        computes = device or LocalDevice(load_here, settings, app.state.metrics, on_failure)
        app.state.engine = engine = Engine(settings, admission, app.state.metrics, computes)
        app.state.label_sets = sets = LabelSets(settings, store, app.state.metrics.store_failures.inc)
        sets.read_only_reason = read_only_reason
        app.state.metrics.label_sets.set_function(lambda: sets.count)
        app.state.metrics.store_up.set_function(lambda: sets.store_up)
        app.state.loading = asyncio.create_task(load(engine, sets))
        yield
        app.state.loading.cancel()
        await engine.close()
        await sets.close()
        if tracing:
            await asyncio.to_thread(tracing.shutdown)

    keys, admin_keys, store = settings.read_keys(), settings.read_admin_keys(), configured_store(settings)
    public_paths = [*settings.public_paths, *([settings.aip_health_route] if settings.aip_health_route else [])]
    admission = Admission(settings.max_queue_items, settings.max_queue_bytes, counts=shared)
    app = FastAPI(
        title="SigLIP zero-shot image classification",
        version=__version__,
        lifespan=lifespan,
        openapi_url=None,  # `app.routes.page` has the document and its page, which FastAPI would load from a CDN
        redirect_slashes=False,  # a redirect would make a client upload its image twice
        # FastAPI's own spans and logs would contain queries, and so labels, and the messages of exceptions.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.settings = settings
    app.state.metrics = Metrics((lambda: shared.pids) if shared else None)
    app.state.page, app.state.started_s = page.read_page(), int(time.time())
    # The first one added is the innermost.
    app.add_middleware(Deadline, timeout_s=settings.request_timeout_s)
    app.add_middleware(
        BodyLimits,
        admission=admission,
        max_body_bytes=min(settings.max_body_bytes, settings.max_queue_bytes),
        body_timeout_s=settings.body_timeout_s,
    )
    app.add_middleware(Authentication, keys=keys, admin_keys=admin_keys, public_paths=public_paths)
    app.add_middleware(allow_origins, origins=settings.cors_origins)
    app.add_middleware(RootPath, root_path=settings.root_path, trusted_proxies=settings.trusted_proxies)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(Telemetry, metrics=app.state.metrics, tracing=tracing, probe=settings.aip_health_route)
    problems.install(app)
    app.include_router(vertex.router(settings))
    ours = (classify, classify_embeddings, label_sets, label_set_examples, embed, evaluate)
    for api in (*ours, health, info, metrics, page, hugging_face, open_inference, openai, sagemaker):
        app.include_router(api.router)
    document = openapi.completed(
        app.openapi, needs_key=bool(keys), needs_admin_key=bool(admin_keys), public_paths=public_paths
    )
    app.openapi = document  # type: ignore[method-assign]  # FastAPI's own way
    return app
