"""The names of label sets."""

import re

from app.errors import InvalidRequest

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")  # for fullmatch; a set's name may also be a file name


def check_name(name: str) -> str:
    """Returns the name.

    Raises:
        InvalidRequest: The name is not valid for a label set.
    """
    if not NAME.fullmatch(name):
        raise InvalidRequest(
            "A label set's name has 1 to 64 of a-z, 0-9, '.', '_' and '-', and begins with a letter or a digit."
        )
    return name
