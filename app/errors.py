"""Every failure that a client can see: one class each, which knows its code, its status and its title.

    ServiceError
    ├── InvalidRequest         400 invalid_request
    ├── Unauthorized           401 unauthorized
    ├── Forbidden              403 forbidden
    ├── NotFound               404 not_found
    ├── LabelSetNotFound       404 label_set_not_found
    ├── ModelNotFound          404 model_not_found
    ├── MethodNotAllowed       405 method_not_allowed
    ├── BodyTimeout            408 body_timeout
    ├── OtherEncoder           409 other_encoder
    ├── LabelSetsReadOnly      409 label_sets_read_only
    ├── PreconditionFailed     412 precondition_failed
    ├── BodyTooLarge           413 body_too_large
    ├── ImageTooLarge          413 image_too_large
    ├── UnsupportedMediaType   415 unsupported_media_type
    ├── InvalidImage           422 invalid_image
    ├── ImageTooExpensive      422 image_too_expensive
    ├── DecoderFailed          422 decoder_failed
    ├── InvalidLabels          422 invalid_labels
    ├── InvalidTemplate        422 invalid_template
    ├── Overloaded             429 overloaded
    ├── InternalError          500 internal_error
    ├── NotReady               503 not_ready
    ├── Draining               503 draining
    ├── StoreUnavailable       503 store_unavailable
    └── DeadlineExceeded       504 deadline_exceeded

`app.http.problems` turns them into responses (RFC 9457). A message never repeats what the client sent, which may be
large, private, or made to be misread in a log.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Self

TYPE_PREFIX = "urn:siglip:error:"
MAX_FAULTS = 10  # in one response
STORE_RETRY_S = 5


class Fault(NamedTuple):
    """One thing that is wrong: a JSON pointer into the request, or "", and a message."""

    pointer: str
    message: str


class ServiceError(Exception):
    """A failure that is answered. `faults` say where it is in the request; `headers` go out with the response."""

    code: ClassVar[str]
    status: ClassVar[int]
    title: ClassVar[str]

    def __init__(
        self, detail: str, faults: list[Fault] | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.faults = faults or []
        self.headers = dict(headers or {})

    @classmethod
    def at(cls, pointer: str, message: str) -> Self:
        """Returns the error for one fault; `message` becomes the detail, as a sentence."""
        end = "" if message.endswith((".", "?")) else "."
        return cls(message + end, [Fault(pointer, message)])

    def problem(self, request_id: str) -> dict[str, Any]:
        """Returns the response's body. Other clients read `error`, `error_type` and `errors`."""
        # huggingface_hub shows the detail and every message, but equal ones only once.
        faults = [self.faults[0]._replace(message=self.detail)] if len(self.faults) == 1 else self.faults
        return {
            "type": TYPE_PREFIX + self.code,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "error": self.detail,
            "error_type": self.code,
            "errors": [fault._asdict() for fault in faults],
            "request_id": request_id,
        }


class InvalidRequest(ServiceError):
    code, status, title = "invalid_request", 400, "The request is malformed"


class Unauthorized(ServiceError):
    code, status, title = "unauthorized", 401, "An API key is needed"


class Forbidden(ServiceError):
    code, status, title = "forbidden", 403, "This key does not allow this"


class NotFound(ServiceError):
    code, status, title = "not_found", 404, "There is nothing at this path"


class LabelSetNotFound(ServiceError):
    code, status, title = "label_set_not_found", 404, "There is no label set with this name"

    def __init__(self) -> None:
        super().__init__("There is no label set with this name. GET /label-sets lists all of them.")


class ModelNotFound(ServiceError):
    """A request to OpenAI's API names another model than the loaded one."""

    code, status, title = "model_not_found", 404, "There is no model with this name"


class MethodNotAllowed(ServiceError):
    code, status, title = "method_not_allowed", 405, "This path does not take this method"


class BodyTimeout(ServiceError):
    code, status, title = "body_timeout", 408, "The request body did not arrive in time"


class OtherEncoder(ServiceError):
    code, status, title = "other_encoder", 409, "The embeddings are of another encoder"

    def __init__(
        self,
        fault: str = "The embeddings were computed by another encoder: their model_fingerprint is not the one in "
        "GET /info.",
        pointer: str = "/model_fingerprint",
    ) -> None:
        detail = f"{fault} Embed the images again with this service."
        super().__init__(detail, [Fault(pointer, detail)])


class LabelSetsReadOnly(ServiceError):
    """A change would reach only one replica. The message says what to set."""

    code, status, title = "label_sets_read_only", 409, "Label sets cannot be changed here"


class PreconditionFailed(ServiceError):
    code, status, title = "precondition_failed", 412, "Precondition failed"


class BodyTooLarge(ServiceError):
    code, status, title = "body_too_large", 413, "The request body is too large"


class ImageTooLarge(ServiceError):
    code, status, title = "image_too_large", 413, "The image has too many pixels or frames"


class UnsupportedMediaType(ServiceError):
    code, status, title = "unsupported_media_type", 415, "This kind of content is not accepted"


class InvalidImage(ServiceError):
    code, status, title = "invalid_image", 422, "The image cannot be decoded"


class ImageTooExpensive(ServiceError):
    code, status, title = "image_too_expensive", 422, "The image takes too much memory or time to decode"


class DecoderFailed(ServiceError):
    code, status, title = "decoder_failed", 422, "The decoder has crashed on this image"


class InvalidLabels(ServiceError):
    code, status, title = "invalid_labels", 422, "The labels cannot be used"


class InvalidTemplate(ServiceError):
    code, status, title = "invalid_template", 422, "The templates cannot be used"


class Overloaded(ServiceError):
    """The queue is full. 429, because some clients repeat a 503 at once and without end."""

    code, status, title = "overloaded", 429, "The service is busy"

    def __init__(self, retry_after_s: int) -> None:
        detail = f"The queue is full. Try again in {retry_after_s} s."
        super().__init__(detail, headers={"Retry-After": str(retry_after_s)})


class InternalError(ServiceError):
    code, status, title = "internal_error", 500, "The service failed"

    def __init__(self, detail: str = "The service failed. Its log has the reason under this request_id.") -> None:
        super().__init__(detail)


class NotReady(ServiceError):
    code, status, title = "not_ready", 503, "The service is not ready"


class Draining(ServiceError):
    code, status, title = "draining", 503, "The service is shutting down"


class StoreUnavailable(ServiceError):
    """The store of label sets does not answer; its cause is for the log. Only changes of label sets need the store."""

    code, status, title = "store_unavailable", 503, "The store of label sets does not answer"

    def __init__(self) -> None:
        detail = (
            "The store of label sets does not answer, so the change was not confirmed. Read the set, then try again."
        )
        super().__init__(detail, headers={"Retry-After": str(STORE_RETRY_S)})


class DeadlineExceeded(ServiceError):
    code, status, title = "deadline_exceeded", 504, "The request took too long"


# What an image file may cause.
IMAGE_ERRORS = (UnsupportedMediaType, ImageTooLarge, InvalidImage, ImageTooExpensive, DecoderFailed)

# What a change of a label set may cause.
STORE_ERRORS = (Forbidden, LabelSetsReadOnly, StoreUnavailable)

# What every API that takes a body may answer.
BODY_ERRORS = (
    InvalidRequest,
    Unauthorized,
    BodyTimeout,
    BodyTooLarge,
    UnsupportedMediaType,
    Overloaded,
    InternalError,
    NotReady,
    Draining,
    DeadlineExceeded,
)
