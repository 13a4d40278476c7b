"""A job: what is computed, where it is stored, and what is done already.

The output folder has `part-*.parquet` files, one for each chunk of the inputs, and the folder `_job` with the list of
the inputs (`listing`) and `job.json`, the job's identity. A part appears whole and is named by its chunk. So the parts
that exist are the work that is done: there is no log that could differ from them, and two processes that compute the
same part write the same rows.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, JsonValue, ValidationError

from app.batch import BatchError, BatchMistake
from app.batch.classifiers import embedded_examples
from app.batch.inputs import absolute, sources
from app.batch.listing import JOB_FOLDER, Listing, StoredListing, check_unchanged, write_listing
from app.batch.output import Folder, output_folder
from app.batch.parts import MAX_ROWS, chunk_of
from app.images.decode import PIXEL_PIPELINE
from app.inference.identity import EXACT_DTYPES
from app.label_sets.definition import LabelSetDefinition
from app.schemas import ClassifyOptions
from app.settings import Settings
from model.checkpoint.hub import SMALL_FILES, checkpoint_directory, sha256
from model.checkpoint.safetensors_files import fingerprint
from model.processor import SigLIPProcessor

FORMAT = 1
JOB_FILE, FINISHED = f"{JOB_FOLDER}/job.json", "_SUCCESS"
IMAGES_PER_PART = 1_000
MAX_SHOWN = 100  # characters of a value in an error

Identity = dict[str, JsonValue]


class JobRequest(NamedTuple):
    """What a job computes, and where its results go. It can be sent to another process."""

    inputs: tuple[str, ...]
    out: str
    definition: LabelSetDefinition
    options: ClassifyOptions
    settings: Settings
    label_set: str | None = None
    """The name of the label set in a service, or None."""
    column: str | None = None
    """Of tables with images, or None for the usual names."""
    embeddings: bool = False
    images_per_part: int = IMAGES_PER_PART

    @property
    def chunk_size(self) -> int:
        """The number of images in a part, whose rows are limited."""
        rows_per_image = min(self.options.top_k or MAX_ROWS, len(self.definition.labels))
        return max(1, min(self.images_per_part, MAX_ROWS // rows_per_image))


class Manifest(BaseModel):
    """The content of `job.json`."""

    format: int = FORMAT
    identity: Identity
    listing: Listing


class Job(NamedTuple):
    """A job that has begun: its folder, and the list of its images."""

    folder: Folder
    listing: Listing

    def done(self) -> set[int]:
        """Returns the chunks whose parts are stored.

        Raises:
            BatchError: The storage fails.
        """
        found = (chunk_of(name) for name in self.folder.names())
        return {chunk for chunk in found if chunk is not None and chunk < self.listing.num_chunks}

    def chunks(self) -> StoredListing:
        """Returns what reads the job's images."""
        return StoredListing(self.folder, self.listing)

    def finish(self) -> None:
        """Marks the job as finished, as other programs that write folders of `.parquet` files do.

        Raises:
            BatchError: The storage fails.
        """
        self.folder.tidy()
        self.folder.write(FINISHED, b"")


def identity_of(request: JobRequest) -> Identity:
    """Returns everything that the results depend on. The model is not loaded.

    Raises:
        BatchMistake: An example of the label set has no embedding.
        CheckpointError: The checkpoint is unknown, unreachable or incomplete, or has no `max_num_patches`.
    """
    settings, definition, options = request.settings, request.definition, request.options
    embedded_examples(definition)
    directory = checkpoint_directory(settings.model, settings.weights, revision=settings.revision)
    processor = SigLIPProcessor(weights=directory, max_num_patches=settings.max_num_patches)
    exact = settings.dtype == "auto" or settings.dtype in EXACT_DTYPES
    return {
        "input": list(map(absolute, request.inputs)),
        "column": request.column,
        "labels": list(definition.names),
        "templates": list(definition.templates),
        "label_set": request.label_set,
        "label_set_version": definition.digest,
        "checkpoint": fingerprint(directory),
        "checkpoint_config": config_digest(directory),
        "precision": "exact" if exact else settings.dtype,
        "pixel_pipeline": PIXEL_PIPELINE,
        "color_profiles": settings.color_profiles,
        "reduce_jpegs": settings.reduce_jpegs,
        "max_num_patches": processor.max_num_patches,
        "max_image_pixels": settings.max_image_pixels,
        "frame": options.frame,
        "top_k": options.top_k,
        "threshold": options.threshold,
        "embeddings": request.embeddings,
        "images_per_part": request.images_per_part,
    }


def config_digest(directory: Path) -> str:
    """Returns the SHA-256 of a checkpoint's small files, in hex."""
    paths = [directory / name for name in SMALL_FILES]
    found = {path.name: sha256(path) for path in paths if path.is_file()}
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def begin(request: JobRequest, *, as_listed: bool = False) -> Job:
    """Returns a new job, or the one that the output folder has already.

    Args:
        request: What is computed.
        as_listed: Use the stored list of images as it is, and do not look whether the inputs have changed.

    Raises:
        BatchMistake: The folder has another job, or other files, or the inputs have changed.
        BatchError: The storage fails.
        CheckpointError: The checkpoint is unknown, unreachable or incomplete.
    """
    folder, identity = output_folder(request.out), identity_of(request)
    manifest = read_manifest(folder)
    if manifest is None:
        check_empty(folder, request.inputs)
        listing = write_listing(folder, sources(request.inputs), request.column, request.chunk_size)
        new = Manifest(identity=identity, listing=listing)
        # If two processes begin the same job at once, both use the list of the one that was first.
        folder.create(JOB_FILE, new.model_dump_json(indent=1).encode())
        manifest = read_manifest(folder) or new
        as_listed = as_listed or manifest.listing == listing
    if found := differences(manifest.identity, identity):
        raise BatchMistake(
            f"{request.out} has the results of another job: {'; '.join(found)}. Use the same command to resume that "
            "job, or name another --out"
        )
    if not as_listed:
        check_unchanged(folder, manifest.listing, request.inputs)
    return Job(folder, manifest.listing)


def read_manifest(folder: Folder) -> Manifest | None:
    """Returns the manifest of the job in a folder, or None.

    Raises:
        BatchMistake: It is of another version of this program.
        BatchError: The storage fails.
    """
    content = folder.read(JOB_FILE)
    if content is None:
        return None
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError:
        raise BatchError(f"{folder.name}/{JOB_FILE} is damaged, or another version of this program wrote it") from None
    if manifest.format != FORMAT:
        raise BatchMistake(f"{folder.name} has a job of another version of this program: name another --out")
    return manifest


def check_empty(folder: Folder, inputs: Sequence[str]) -> None:
    """Raises BatchMistake if a folder cannot be used for a new job: it has other files, or is inside an input."""
    if others := sorted(name for name in folder.names() if name != JOB_FOLDER):
        raise BatchMistake(f"{folder.name} has other files, such as {others[0]}: name a new or an empty folder")
    out = f"{absolute(folder.name)}/"
    for given in inputs:
        if out.startswith(f"{absolute(given).rstrip('/')}/"):
            raise BatchMistake(f"{folder.name} is inside the input {given}: name a folder outside of it")


def differences(before: Identity, now: Identity) -> list[str]:
    """Returns what differs between two jobs, in words."""
    found = {name for name in before | now if before.get(name) != now.get(name)}
    if found & {"labels", "templates"}:
        found.discard("label_set_version")  # it follows from them
    return [difference(name, before.get(name), now.get(name)) for name in now if name in found]


def difference(name: str, before: JsonValue, now: JsonValue) -> str:
    """Returns the difference between two values in words. Of lists, it is the first different element."""
    if isinstance(before, list) and isinstance(now, list):
        if len(before) != len(now):
            return f"{name}: {len(before):,} before, {len(now):,} now"
        place = next(index for index, pair in enumerate(zip(before, now, strict=True)) if pair[0] != pair[1])
        name, before, now = f"{name}, number {place + 1:,}", before[place], now[place]
    return f"{name}: {shown(before)} before, {shown(now)} now"


def shown(value: JsonValue) -> str:
    """Returns a value as JSON, shortened."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
