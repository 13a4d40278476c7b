"""The commands of `python -m app`, one file each with a `main(arguments)` that returns the exit status.

What a person can do something about is raised as a `CommandError`, and told in one line without a traceback.
"""

from collections.abc import Iterator
from contextlib import contextmanager

SUCCESS, FAILURE, MISTAKE = 0, 1, 2


class CommandError(Exception):
    """The command ends with this message and status: FAILURE, or MISTAKE if what was asked for cannot be done."""

    def __init__(self, message: str, status: int = FAILURE) -> None:
        super().__init__(message)
        self.status = status


@contextmanager
def as_command_error(*kinds: type[Exception], status: int = FAILURE) -> Iterator[None]:
    """Turns errors of these kinds, whose messages are for people, into the command's end."""
    try:
        yield
    except kinds as error:
        raise CommandError(str(error), status) from error
