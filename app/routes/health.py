"""Probes. Startup: has the start come to its end? Live: is a restart of any use? Ready: may requests come?"""

from fastapi import APIRouter, Request
from pydantic import BaseModel

from app.errors import Draining, NotReady
from app.inference.engine import Engine
from app.schemas import problem_responses

router = APIRouter()


class Status(BaseModel):
    """What a probe answers when all is well."""

    status: str


@router.get("/health/startup", responses=problem_responses(NotReady))
async def startup(request: Request) -> Status:
    """Answers 200 from the moment when the model was first ready, else 503 with the stage of the start."""
    engine: Engine = request.app.state.engine
    engine.check_started()
    return Status(status="started")


@router.get("/health/live", responses=problem_responses(NotReady))
async def live(request: Request) -> Status:
    """Answers 200 while a restart would not help: the device thread runs and is not stuck. Also during loading."""
    engine: Engine = request.app.state.engine
    engine.check_live()
    return Status(status="live")


@router.get("/health", responses=problem_responses(NotReady, Draining))
@router.get("/health/ready", responses=problem_responses(NotReady, Draining))
async def ready(request: Request) -> Status:
    """Answers 200 while requests may come: the model is loaded and warm, its device has computed lately, no drain."""
    engine: Engine = request.app.state.engine
    engine.check_ready()
    return Status(status="ready")
