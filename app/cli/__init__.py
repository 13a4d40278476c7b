"""The command `siglip`: one file per subcommand with a `main(arguments)` that returns the exit status.

Errors that a person can act on are raised as `CommandError` and printed in one line without a traceback.
"""

from collections.abc import Iterator
from contextlib import contextmanager

SUCCESS, FAILURE, MISTAKE = 0, 1, 2


class CommandError(Exception):
    """Ends the command with a message and a status: FAILURE, or MISTAKE if the request cannot be carried out."""

    def __init__(self, message: str, status: int = FAILURE) -> None:
        super().__init__(message)
        self.status = status


@contextmanager
def as_command_error(*kinds: type[Exception], status: int = FAILURE) -> Iterator[None]:
    """Turns errors of these kinds, whose messages are for people, into a `CommandError`."""
    try:
        yield
    except kinds as error:
        raise CommandError(str(error), status) from error
