"""Classification of files by a running service, several requests at once."""

import json
from collections.abc import Iterable, Iterator

from pydantic import ValidationError

from app import errors
from app.cli.ahead import map_ordered
from app.cli.client import Refused, Service
from app.cli.files import ImageFile, NotScored
from app.cli.local import Result
from app.schemas import ClassifyOptions, ScoredImage

REQUESTS_AT_ONCE = 8
# What a service answers because of one image. Anything else it would answer to all of them.
OF_ONE_IMAGE = {
    failure.code
    for failure in (
        errors.BodyTooLarge,
        errors.ImageTooLarge,
        errors.UnsupportedMediaType,
        errors.InvalidImage,
        errors.InternalError,
        errors.DeadlineExceeded,
    )
}


def results_of_service(service: Service, files: Iterable[ImageFile], options: ClassifyOptions) -> Iterator[Result]:
    """Yields each file's path with its scores, or with why it has none, in order.

    Raises:
        CommandError: The service refuses what has nothing to do with one image, or there is none.
    """
    fields = options.model_dump(exclude_none=True)
    if options.labels is not None:
        fields["labels"] = json.dumps(options.labels)  # one field, where 10,000 would be 10,000 parts of each request

    def ask(file: ImageFile) -> Result:
        try:
            answer = service.ask("POST", "/classify", files={"image": file.read()}, data=fields)
            return file.path, ScoredImage.model_validate_json(answer.content)
        except NotScored as error:
            return file.path, error
        except Refused as error:
            if error.code not in OF_ONE_IMAGE:
                raise
            return file.path, NotScored(error.detail)
        except ValidationError:
            raise service.not_ours() from None

    return map_ordered(ask, files, threads=REQUESTS_AT_ONCE, ahead=2 * REQUESTS_AT_ONCE)
