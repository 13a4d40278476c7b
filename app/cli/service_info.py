"""What commands need to know about a running service: its model, its limits, and its label sets."""

from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from app.cli.client import Service
from app.cli.embedding_files import StoredModel
from app.label_sets.responses import LabelSetResponse


class ServiceLimits(BaseModel):
    """The limits that decide how much one request contains."""

    max_body_bytes: int
    max_images: int


class ServiceInfo(BaseModel):
    """A part of the response of `GET /info`."""

    variant: str
    weights: str
    embed_dim: int
    model_fingerprint: str
    limits: ServiceLimits

    @property
    def model(self) -> StoredModel:
        """The service's model, as files of embeddings name it."""
        return StoredModel(self.model_fingerprint, f"{self.variant} {self.weights}")


def service_info(service: Service) -> ServiceInfo:
    """Returns a service's facts.

    Raises:
        CommandError: It does not respond, or it is another kind of service, or an older one.
    """
    try:
        return ServiceInfo.model_validate_json(service.ask("GET", "/info").content)
    except ValidationError:
        raise service.not_ours() from None


def stored_set(service: Service, name: str, *, embeddings: bool = False) -> LabelSetResponse:
    """Returns a label set of a service; examples have their embeddings if asked for.

    Raises:
        CommandError: There is no such label set, or the service does not respond.
    """
    response = service.ask(
        "GET", f"/label-sets/{quote(name, safe='')}", params={"embeddings": "true"} if embeddings else None
    )
    try:
        return LabelSetResponse.model_validate_json(response.content)
    except ValidationError:
        raise service.not_ours() from None
