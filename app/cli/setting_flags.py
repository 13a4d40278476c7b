"""Command-line flags for settings: each is named like its variable, and takes precedence over it."""

import argparse
from collections.abc import Iterable
from typing import get_args

from pydantic import SecretStr

from app.cli import MISTAKE, CommandError
from app.settings import Settings, default_text, flag, variable

MODEL_FLAGS = ("model", "weights", "revision", "max_num_patches", "device", "dtype", "engine")


def flaggable() -> list[str]:
    """Returns the settings that may be flags: not secrets, which a process list would show, and not Vertex AI's."""
    fields = Settings.model_fields.items()
    return [
        name for name, field in fields if SecretStr not in get_args(field.annotation) and not field.validation_alias
    ]


def add_setting_flags(parser: argparse.ArgumentParser, names: Iterable[str]) -> None:
    """Adds a flag for each of these settings."""
    group = parser.add_argument_group("settings")
    for name in names:
        default = default_text(name)
        shown = f" (default: {default})" if default else ""
        meaning = f"{Settings.model_fields[name].description}{shown} [{variable(name)}]".replace("%", "%%")
        if Settings.model_fields[name].annotation is bool:
            group.add_argument(flag(name), dest=name, nargs="?", const="true", metavar="false", help=meaning)
        else:
            group.add_argument(flag(name), dest=name, metavar=name.rpartition("_")[2].upper(), help=meaning)


def add_source_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags for what embeds the images: a model here, or a running service."""
    parser.add_argument("--server", metavar="URL", help="use this running service, and load no model")
    add_setting_flags(parser, MODEL_FLAGS)


def add_frame_flag(parser: argparse.ArgumentParser) -> None:
    """Adds `--frame`."""
    parser.add_argument(
        "--frame", type=int, default=0, metavar="N", help="the frame or page of each file, counted from 0 (default: 0)"
    )


def given_model_flags(options: argparse.Namespace) -> dict[str, str]:
    """Returns the flags of the model that were given.

    Raises:
        CommandError: A service was named too.
    """
    flags = given_flags(options, MODEL_FLAGS)
    if options.server and flags:
        raise CommandError(f"a service has its own model: leave out {', '.join(map(flag, flags))}", MISTAKE)
    return flags


def given_flags(options: argparse.Namespace, names: Iterable[str]) -> dict[str, str]:
    """Returns the values of the flags that were given, by setting."""
    return {name: value for name in names if (value := getattr(options, name)) is not None}
