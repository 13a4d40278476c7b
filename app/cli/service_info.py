"""What commands need to know about a running service: its model, and its limits."""

from pydantic import BaseModel, ValidationError

from app.cli.client import Service
from app.cli.embedding_files import StoredModel


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
