"""The health checks. Startup: has the start finished? Live: would a restart help? Ready: are requests welcome?"""

from fastapi import APIRouter, Request
from pydantic import BaseModel

from app.errors import Draining, NotReady
from app.http.problems import problem_responses
from app.inference.engine import Engine
from app.schemas import example

router = APIRouter()


class Status(BaseModel):
    """The response of a health check that passes."""

    model_config = example({"status": "ready"})

    status: str


@router.get("/health/startup", responses=problem_responses(NotReady))
async def startup(request: Request) -> Status:
    """Returns 200 once the model has been ready, before that 503 with the stage of the start."""
    engine: Engine = request.app.state.engine
    _ = engine.embedder
    return Status(status="started")


@router.get("/health/live", responses=problem_responses(NotReady))
async def live(request: Request) -> Status:
    """Returns 200 unless a restart would help: the device thread runs and does not hang. Also while loading."""
    engine: Engine = request.app.state.engine
    engine.check_live()
    return Status(status="live")


@router.get("/health", responses=problem_responses(NotReady, Draining))
@router.get("/health/ready", responses=problem_responses(NotReady, Draining))
async def ready(request: Request) -> Status:
    """Returns 200 while requests are welcome: the model is loaded, its device works, and there is no drain."""
    engine: Engine = request.app.state.engine
    engine.check_ready()
    return Status(status="ready")
