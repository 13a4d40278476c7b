"""The command line: finds the command, and reports what goes wrong in one line and an exit status."""

import argparse
import os
import sys
from importlib import import_module

from app import __version__
from app.cli import FAILURE, MISTAKE, CommandError

COMMANDS = {
    "serve": "answer over HTTP",
    "classify": "score labels against image files, here or by a running service",
    "verify": "compare real weights with what was published about them",
    "download": "fetch a checkpoint ahead of time, and check it",
    "label-sets": "list, show, store or delete a running service's label sets, or check a folder of them",
}
INTERRUPTED, READER_HAS_LEFT = 130, 141
EXIT_STATUSES = """exit status:
  0    done
  1    something failed: a file, a download, a connection; or what was checked is not as it must be
  2    a mistake in the command, in a setting or in a file of labels; nothing was done
  130  interrupted with Ctrl-C
  141  whoever read the output has left, as `head` does"""


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status of the command that the arguments name."""
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:{width}}  {meaning}" for name, meaning in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="python -m app",
        description="Zero-shot image classification with SigLIP.",
        epilog=f"commands, each with its own --help:\n{commands}\n\n{EXIT_STATUSES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of those below")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="what the command takes")
    given = sys.argv[1:] if arguments is None else arguments
    if not given:
        parser.print_help(sys.stderr)
        return MISTAKE
    options = parser.parse_args(given)
    try:
        # Found by its name, so that `--help` does not import what only some commands need.
        command = import_module(f"app.cli.{options.command.replace('-', '_')}")
        status: int = command.main(options.arguments)
        sys.stdout.flush()  # a reader that has left is noticed here at the latest
    except CommandError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.status
    except BrokenPipeError:
        drop_output()
        return READER_HAS_LEFT
    except OSError as error:  # such as a full disk under the output
        print(f"error: {error}", file=sys.stderr)
        try:
            sys.stdout.flush()
        except OSError:
            drop_output()
        return FAILURE
    except KeyboardInterrupt:
        return INTERRUPTED
    return status


def drop_output() -> None:
    """Leads what standard output still holds nowhere: the interpreter flushes it again at its end, and would fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
