"""The command line: runs the subcommand, and reports errors in one line and an exit status."""

import argparse
import os
import sys
from importlib import import_module

from app import __version__
from app.cli import FAILURE, MISTAKE, CommandError

COMMANDS = {
    "serve": "run the HTTP service",
    "classify": "score labels for image files, here or with a running service",
    "batch": "score labels for very many images into .parquet files, here or on Ray; it can be resumed",
    "embed": "store the embeddings of image files, to score them later for any labels",
    "evaluate": "measure accuracy on labelled images, compare choices, and choose thresholds",
    "tune": "add example images to a label set, and measure how much they help",
    "verify": "compare real weights with published results",
    "download": "download a checkpoint in advance, and check it",
    "label-sets": "list, show, store, export or delete the label sets of a running service, or check a folder of them",
}
INTERRUPTED, READER_LEFT = 130, 141
EXIT_STATUSES = """exit status:
  0    success
  1    something failed: a file, a download, a connection, or a check
  2    a mistake in the command, a setting or a file of labels; nothing was done
  130  interrupted with Ctrl-C
  141  the program that read the output has ended, as `head` does
  143  ended by SIGTERM"""


def main(arguments: list[str] | None = None) -> int:
    """Runs the subcommand that the arguments name, and returns its exit status."""
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:{width}}  {meaning}" for name, meaning in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="siglip",
        description="Zero-shot image classification with SigLIP.",
        epilog=f"commands, each with its own --help:\n{commands}\n\n{EXIT_STATUSES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of the commands below")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="the command's arguments")
    given = sys.argv[1:] if arguments is None else arguments
    if not given:
        parser.print_help(sys.stderr)
        return MISTAKE
    options = parser.parse_args(given)
    try:
        # Imported by name, so that `--help` does not import what only some commands need.
        command = import_module(f"app.cli.{options.command.replace('-', '_')}")
        status: int = command.main(options.arguments)
        sys.stdout.flush()  # fails here at the latest if the reader has ended
    except CommandError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.status
    except BrokenPipeError:
        drop_output()
        return READER_LEFT
    except OSError as error:  # such as a full disk
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
    """Redirects stdout to nowhere: the interpreter flushes it again at exit, which would fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
