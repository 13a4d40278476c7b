"""GET /metrics: what Prometheus reads, also before a model is loaded."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse

from app.observability.metrics import Metrics

router = APIRouter()


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Answers all metrics, in Prometheus' text format or, where `Accept` names it, OpenMetrics."""
    kept: Metrics = request.app.state.metrics
    content, content_type = kept.exposition(request.headers.get("accept", ""))
    return Response(content, headers={"Content-Type": content_type})
