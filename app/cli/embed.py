"""`siglip embed`: stores the embeddings of image files, computed here or by a running service."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from tqdm import tqdm  # type: ignore[import-untyped]  # it has no types

from app.batch.files import image_files
from app.cli import FAILURE, MISTAKE, SUCCESS, CommandError, as_command_error
from app.cli.classify import Load, count_files, load_quietly, loaded, progress
from app.cli.client import Service
from app.cli.embedded_files import Embedded, embedded_by_model, embedded_by_service
from app.cli.embedding_files import NPZ, PARQUET, EmbeddedFile, StoredModel, check_format, create
from app.cli.service_info import service_info
from app.cli.setting_flags import add_frame_flag, add_source_flags, given_model_flags
from app.cli.stored_embeddings import local_model
from app.observability.logs import printable
from app.settings import PREFIX, SettingsError, load_settings
from model.config import CheckpointError
from model.published import choose_weights


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of this command's arguments."""
    parser = argparse.ArgumentParser(
        prog="siglip embed",
        allow_abbrev=False,
        description="Stores the embeddings of image files, which `siglip classify --embeddings` scores for any labels. "
        "For a folder, it embeds all files below it; hidden files are ignored. Files without an embedding are reported "
        "on stderr with the reason. The exit status is 1 if there is such a file, and 2 if the command or a setting is "
        "invalid.",
        epilog=f"The other settings of `siglip serve` apply too: {PREFIX}MAX_BATCH and so on. A service that needs an "
        f"API key gets the first one of {PREFIX}API_KEYS or {PREFIX}API_KEYS_FILE.",
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="an image file, or a folder")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help=f"the file to write or replace, {NPZ} (NumPy) or {PARQUET} (needs pyarrow)",
    )
    add_frame_flag(parser)
    add_source_flags(parser)
    return parser


def main(arguments: list[str], load: Load = load_quietly) -> int:
    """Writes the file. Returns 1 if an image file has no embedding."""
    options = make_parser().parse_args(arguments)
    flags = given_model_flags(options)
    if options.frame < 0:
        raise CommandError("--frame counts from 0", MISTAKE)
    check_format(options.out)
    if not options.out.parent.is_dir():
        raise CommandError(f"there is no folder {printable(str(options.out.parent))}", MISTAKE)
    with as_command_error(SettingsError, CheckpointError, status=MISTAKE):
        settings = load_settings(**flags)
        keys = settings.read_keys()
        choose_weights(settings.model, settings.weights)
    total, files = count_files(options.paths), image_files(options.paths)
    if options.server:
        with Service(options.server, keys) as service, progress(total) as bar:
            info = service_info(service)
            results = embedded_by_service(service, info, files, options.frame)
            return write(results, options.out, info.model, info.embed_dim, bar)
    with progress(total) as bar:
        encoder = loaded(load, settings, bar.set_description)
        bar.set_description()
        results = embedded_by_model(encoder, settings, files, options.frame)
        return write(results, options.out, local_model(encoder, settings), encoder.info.embed_dim, bar)


def write(results: Iterable[Embedded], path: Path, model: StoredModel, embed_dim: int, bar: tqdm) -> int:
    """Writes the embeddings of all files, and reports files without one. Returns 1 if there is such a file.

    Raises:
        CommandError: No file has an embedding, so nothing is written.
        OSError: The file cannot be written.
    """
    stored = failed = 0
    with create(path, model, embed_dim) as add:
        for name, result in results:
            if isinstance(result, EmbeddedFile):
                stored += 1
                add(result)
            else:
                failed += 1
                tqdm.write(f"{printable(name)}: {result}", file=sys.stderr)
            bar.update()
        bar.close()
        if failed:
            print(f"without an embedding: {failed:,} of {stored + failed:,}", file=sys.stderr)
        if not stored:
            raise CommandError(f"no file has an embedding, so {printable(str(path))} is not written")
    print(
        f"{printable(str(path))}: {stored:,} embeddings of {model.model}, model_fingerprint {model.model_fingerprint}"
    )
    return FAILURE if failed else SUCCESS
