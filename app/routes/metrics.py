"""GET /metrics for Prometheus, also before a model is loaded."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse

from app.observability.metrics import Metrics

router = APIRouter()


@router.get(
    "/metrics",
    response_class=PlainTextResponse,
    responses={
        200: {"content": {"text/plain": {"example": "# TYPE siglip_ready gauge\nsiglip_ready 1.0\n"}}},
    },
)
async def metrics(request: Request) -> Response:
    """Returns all metrics, in Prometheus' text format or, if `Accept` names it, in OpenMetrics."""
    kept: Metrics = request.app.state.metrics
    content, content_type = kept.exposition(request.headers.get("accept", ""))
    return Response(content, headers={"Content-Type": content_type})
