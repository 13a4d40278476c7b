"""`siglip batch`: scores labels for very many images, here or on Ray, into `.parquet` files. It can be resumed."""

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm  # type: ignore[import-untyped]  # it has no types

from app.batch import BatchError, BatchMistake
from app.batch.job import IMAGES_PER_PART, Job, JobRequest, begin
from app.batch.parts import MAX_ROWS
from app.batch.scorer import Report, make_scorer
from app.cli import MISTAKE, SUCCESS, CommandError, as_command_error
from app.cli.classify import Load, load_quietly, loaded, requested_labels
from app.cli.client import Service
from app.cli.printing import print_warnings, warning_line
from app.cli.service_info import stored_set
from app.cli.setting_flags import MODEL_FLAGS, add_frame_flag, add_setting_flags, given_flags
from app.errors import ServiceError
from app.label_sets.definition import LabelSetDefinition
from app.label_sets.folder import LabelSetFolderError
from app.observability.logs import printable
from app.schemas import ClassifyOptions, ResponseWarning
from app.settings import PREFIX, Settings, SettingsError, load_settings
from app.validation import validated
from model.config import CheckpointError
from model.published import choose_weights

LOCAL, RAY = "local", "ray"
LINE_S = 30  # between two lines about the progress, if stderr is not a terminal
RAY_FLAGS = ("actors", "cpus_per_actor", "gpus_per_actor")


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of this command's arguments."""
    parser = argparse.ArgumentParser(
        prog="siglip batch",
        allow_abbrev=False,
        usage="%(prog)s INPUT... --out DIRECTORY (--labels LABEL... | --labels-file FILE | --label-set NAME) [options]",
        description="Scores labels for very many images, and writes one row for each image and label into .parquet "
        "files. An image without scores is a row with the reason. If the command is interrupted or killed, the same "
        "command resumes it: every image is in the result exactly once. The exit status is 0 if the result is "
        "complete, also if it has images without scores.",
        epilog=f"The other settings of `siglip serve` apply too: {PREFIX}MAX_BATCH and so on. Folders, files and the "
        "output may be URLs, such as s3://bucket/folder; they need the package of their storage, such as s3fs.",
    )
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="a folder, an image, a .txt list of them, a .tar of webdataset, or a .parquet file with images or paths",
    )
    parser.add_argument("--out", required=True, metavar="DIRECTORY", help="a new folder, or the one to resume")
    labels = parser.add_mutually_exclusive_group(required=True)
    labels.add_argument("--labels", nargs="+", metavar="LABEL", help="as in `siglip classify`")
    labels.add_argument(
        "--labels-file", type=Path, metavar="FILE", help="as in `siglip classify`, with thresholds and examples"
    )
    labels.add_argument("--label-set", metavar="NAME", help="a label set of the service that --server names")
    parser.add_argument("--server", metavar="URL", help="where --label-set is read; it scores no images")
    parser.add_argument("--template", action="append", metavar="TEXT", help="as in `siglip classify`")
    parser.add_argument(
        "--top-k", type=int, default=1, metavar="N", help="the N best labels of each image (default: 1)"
    )
    parser.add_argument("--threshold", type=float, metavar="P", help="only labels with a sigmoid of at least P")
    parser.add_argument("--embeddings", action="store_true", help="store the embedding of each image too")
    parser.add_argument(
        "--column", metavar="NAME", help="the column of a .parquet input (default: image, bytes or path)"
    )
    add_frame_flag(parser)
    parser.add_argument(
        "--images-per-part",
        type=int,
        default=IMAGES_PER_PART,
        metavar="N",
        help=f"images in each file of the result, which has at most {MAX_ROWS:,} rows (default: {IMAGES_PER_PART:,})",
    )
    parser.add_argument("--as-listed", action="store_true", help="resume, also if the input has changed since")
    parser.add_argument("--runner", choices=(LOCAL, RAY), default=LOCAL, help="where it is computed (default: local)")
    ray = parser.add_argument_group("with --runner ray, on the cluster that RAY_ADDRESS names, or else on this machine")
    ray.add_argument(
        "--actors", type=int, metavar="N", help="loaded models (default: one per GPU, or else per machine)"
    )
    ray.add_argument(
        "--cpus-per-actor", type=int, metavar="N", help="CPUs of each, which also decode (default: an equal share)"
    )
    ray.add_argument("--gpus-per-actor", type=float, metavar="N", help="GPUs of each (default: 1 if there are any)")
    add_setting_flags(parser, MODEL_FLAGS)
    return parser


def main(arguments: list[str], load: Load = load_quietly) -> int:
    """Computes what is missing of the job."""
    options = make_parser().parse_args(arguments)
    check_flags(options)
    with as_command_error(SettingsError, LabelSetFolderError, ServiceError, CheckpointError, status=MISTAKE):
        settings = load_settings(**given_flags(options, MODEL_FLAGS))
        choose_weights(settings.model, settings.weights)
        request = job_request(options, settings)
    with (
        as_command_error(BatchError, CheckpointError),
        as_command_error(BatchMistake, status=MISTAKE),
    ):
        job = begin(request, as_listed=options.as_listed)
        done = job.done()
        missing = [chunk for chunk in range(job.listing.num_chunks) if chunk not in done]
        with progress(job, done) as shown:
            if missing and options.runner == RAY:
                from app.cluster.data import Pool, store_on_ray

                pool = Pool(options.actors, options.cpus_per_actor, options.gpus_per_actor)
                for found in store_on_ray(request, job, missing, load, pool):
                    shown.show(found)
            elif missing:
                encoder = loaded(load, settings, shown.bar.set_description)
                with make_scorer(request, encoder, shown.bar.set_description) as scorer:
                    shown.bar.set_description()
                    print_warnings(scorer.warnings)
                    for report in scorer.store_parts(job, missing):
                        shown.show(report)
        job.finish()
    print(shown.summary())
    return SUCCESS


def check_flags(options: argparse.Namespace) -> None:
    """Raises CommandError if flags do not fit together, or something that they need is not installed."""
    if bool(options.label_set) != bool(options.server):
        raise CommandError("--label-set and --server belong together: the set is read from a running service", MISTAKE)
    if options.images_per_part < 1:
        raise CommandError("--images-per-part is at least 1", MISTAKE)
    if not find_spec("pyarrow"):
        raise CommandError("siglip batch needs the package pyarrow: pip install pyarrow", MISTAKE)
    if options.runner == RAY and not find_spec("ray"):
        raise CommandError("--runner ray needs Ray: pip install 'siglip-service[ray]'", MISTAKE)
    for name in RAY_FLAGS:
        value = getattr(options, name)
        if value is not None and options.runner != RAY:
            raise CommandError(f"--{name.replace('_', '-')} is for --runner ray", MISTAKE)
        if value is not None and value < (0 if name == "gpus_per_actor" else 1):
            raise CommandError(f"--{name.replace('_', '-')} is at least 1", MISTAKE)


def job_request(options: argparse.Namespace, settings: Settings) -> JobRequest:
    """Returns what is to be computed.

    Raises:
        CommandError, LabelSetFolderError, ServiceError: The labels or an option cannot be used.
    """
    if options.label_set:
        if options.template:
            raise CommandError("a label set has its own templates: leave out --template", MISTAKE)
        with Service(options.server, settings.read_keys()) as service:
            stored = stored_set(service, options.label_set, embeddings=True).whole
        fields = {name: value for name, value in stored.items() if name in LabelSetDefinition.model_fields}
        definition = LabelSetDefinition.model_validate(fields, strict=True)
    else:
        definition = requested_labels(options, settings.max_labels)
    asked = {"labels": definition.names, "top_k": options.top_k, "threshold": options.threshold, "frame": options.frame}
    return JobRequest(
        inputs=tuple(options.inputs),
        out=options.out,
        definition=definition,
        options=validated(ClassifyOptions, asked, strict=True),
        # Keys are for clients of a service; a job is sent to other machines.
        settings=settings.model_copy(update={"api_keys": None, "api_keys_file": None}),
        label_set=options.label_set,
        column=options.column,
        embeddings=options.embeddings,
        images_per_part=options.images_per_part,
    )


class Progress(NamedTuple):
    """Shows how far a job is: a bar on a terminal, else a line from time to time."""

    job: Job
    bar: tqdm
    num_done: int
    """Images whose parts were stored before."""
    counts: dict[str, float]
    """The images and the failures of this run, and the images and the time of the last line."""
    said: set[str]

    def show(self, found: Report | ResponseWarning) -> None:
        """Shows a part that was stored, or a warning unless it was shown before."""
        if isinstance(found, ResponseWarning):
            if warning_line(found) not in self.said:
                print_warnings([found])
            self.said.add(warning_line(found))
            return
        for failure in found.failures:
            tqdm.write(failure, file=sys.stderr)
        if hidden := found.num_failed - len(found.failures):
            tqdm.write(f"and {hidden:,} more without scores in part {found.chunk:,}", file=sys.stderr)
        self.counts["images"] += found.num_images
        self.counts["failed"] += found.num_failed
        self.bar.set_postfix({"without scores": int(self.counts["failed"])}, refresh=False)
        self.bar.update(found.num_images)
        now_s = time.monotonic()
        if self.bar.disable and now_s > self.counts["line_s"] + LINE_S:
            print(self.line(now_s), file=sys.stderr, flush=True)

    def line(self, now_s: float) -> str:
        """Returns how far the job is, and how fast it was since the last line."""
        rate = (self.counts["images"] - self.counts["line_images"]) / (now_s - self.counts["line_s"])
        self.counts["line_images"], self.counts["line_s"] = self.counts["images"], now_s
        stored = self.num_done + int(self.counts["images"])
        failed = int(self.counts["failed"])
        return (
            f"{stored:,} of {self.job.listing.num_images:,} images, {rate:,.0f} per second, {failed:,} without scores"
        )

    def summary(self) -> str:
        """Returns what this run has done."""
        name, listing = printable(self.job.folder.name), self.job.listing
        if not self.counts["images"]:
            return f"{name}: complete before, {listing.num_images:,} images in {listing.num_chunks:,} parts"
        failed = f"{int(self.counts['failed']):,} of {int(self.counts['images']):,} computed now without scores"
        return f"{name}: {listing.num_images:,} images in {listing.num_chunks:,} parts; {failed}"


@contextmanager
def progress(job: Job, done: set[int]) -> Iterator[Progress]:
    """Yields what shows the progress. An interruption is reported with what is stored."""
    num_done, now_s = sum(map(job.listing.size_of, done)), time.monotonic()
    bar = tqdm(total=job.listing.num_images, initial=num_done, unit=" images", leave=False, disable=None)
    counts = {"images": 0, "failed": 0, "line_images": 0, "line_s": now_s}
    shown = Progress(job, bar, num_done, counts, set())
    try:
        yield shown
    except BaseException:
        bar.close()
        stored = num_done + int(counts["images"])
        print(
            f"stopped: {stored:,} of {job.listing.num_images:,} images are stored. The same command resumes the job",
            file=sys.stderr,
        )
        raise
    bar.close()
