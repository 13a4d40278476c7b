"""Scores files with a running service, several requests at once."""

import json
from collections.abc import Iterable, Iterator

from pydantic import ValidationError

from app import errors
from app.batch.ahead import map_ordered
from app.batch.files import ImageFile, NotScored
from app.cli.client import Refused, Service
from app.cli.local import Result
from app.inference.acceptance import TunedImage
from app.schemas import ClassifyOptions, ScoredImage

REQUESTS_AT_ONCE = 8
# Errors because of one image. Any other error would be the answer to every request.
IMAGE_ERRORS = {
    failure.code
    for failure in (
        *errors.IMAGE_ERRORS,
        errors.BodyTooLarge,
        errors.InternalError,
        errors.DeadlineExceeded,
    )
}


def results_of_service(service: Service, files: Iterable[ImageFile], options: ClassifyOptions) -> Iterator[Result]:
    """Yields each file's path with its scores, or with the reason why it has none, in order.

    Raises:
        CommandError: The service does not respond, or refuses for a reason other than one image.
    """
    fields = options.model_dump(exclude_defaults=True)
    if options.labels is not None:
        fields["labels"] = json.dumps(options.labels)  # one field: 10,000 labels would be 10,000 parts

    def ask(file: ImageFile) -> Result:
        try:
            response = service.ask("POST", "/classify", files={"image": file.read()}, data=fields)
            schema = TunedImage if says_what_is_accepted(response.content) else ScoredImage
            return file.path, schema.model_validate_json(response.content)
        except NotScored as error:
            return file.path, error
        except Refused as error:
            if error.code not in IMAGE_ERRORS:
                raise
            return file.path, NotScored(error.detail)
        except ValidationError:
            raise service.not_ours() from None

    return map_ordered(ask, files, threads=REQUESTS_AT_ONCE, ahead=2 * REQUESTS_AT_ONCE)


def says_what_is_accepted(content: bytes) -> bool:
    """Returns whether a response is for a label set with thresholds or a calibration.

    Within a JSON string, such as a label, the quotes would have backslashes.
    """
    return b'"accepted_labels":' in content
