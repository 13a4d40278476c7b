"""Measures `siglip batch`: `python -m benchmarks.batch`. The results are in `results/batch.json`.

* The local runner with the embedded model, compared with the bare tower plus decoding: the seconds in which the decode
  workers prepare all images, plus those in which the tower computes them, one after the other.
* Ray with two actors, compared with the local runner. Both rates are those after the start, while parts are stored.
* Resuming a job with a million rows: its seconds, and the largest memory of the process.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.batch.ahead import batches, map_ordered
from app.batch.embedding import encode, started_workers
from app.batch.job import JobRequest, begin
from app.batch.parts import part_name
from app.batch.scorer import Report, make_scorer
from app.inference.encoder import Encoder, load_encoder
from app.label_sets.definition import LabelSetDefinition
from app.schemas import ClassifyOptions
from app.settings import Settings
from benchmarks.machine import RESULTS, machine
from benchmarks.service import ROOT

LABELS = ["cat", "dog", "car", "guitar", "pizza", "rainbow"]
SAMPLES = sorted((ROOT / "app/static/samples").glob("*.png"))
IMAGES_PER_PART = 200
FILES_PER_FOLDER = 1_000  # hard links, of which a file may not have many more


def write_images(folder: Path, count: int) -> Path:
    """Fills a folder with links to the samples, in folders of a thousand."""
    for number in range(0, count, FILES_PER_FOLDER):
        below = folder / f"{number // FILES_PER_FOLDER:04}"
        below.mkdir(parents=True)
        copies = [Path(shutil.copy(sample, below / f"0000-{sample.name}")) for sample in SAMPLES]
        for index in range(len(copies), min(FILES_PER_FOLDER, count - number)):
            os.link(copies[index % len(copies)], below / f"{index:04}-{SAMPLES[index % len(copies)].name}")
    return folder


def job_request(images: Path, out: Path, settings: Settings, images_per_part: int) -> JobRequest:
    """Returns a job over a folder."""
    definition = LabelSetDefinition(labels=list(LABELS))
    options = ClassifyOptions(labels=LABELS, top_k=1)
    return JobRequest((str(images),), str(out), definition, options, settings, images_per_part=images_per_part)


def bare_seconds(encoder: Encoder, settings: Settings, files: list[Path]) -> tuple[float, float]:
    """Returns the seconds for decoding all files, and for their embeddings."""
    contents = [file.read_bytes() for file in files]
    with started_workers(encoder, settings) as workers:
        began_s = time.perf_counter()
        prepared = map_ordered(workers.prepare, contents, threads=workers.processes, ahead=2 * settings.max_batch)
        pixels = [image.pixels for image in prepared]
        decode_s = time.perf_counter() - began_s
    began_s = time.perf_counter()
    for batch in batches(pixels, settings.max_batch):
        encode(encoder.encode_images, batch)
    return decode_s, time.perf_counter() - began_s


def local_seconds(request: JobRequest, encoder: Encoder) -> float:
    """Returns the seconds in which the local runner stores all parts of a job, after its start."""
    job = begin(request)
    with make_scorer(request, encoder, lambda stage: None) as scorer:
        began_s = time.perf_counter()
        failed = sum(report.num_failed for report in scorer.store_parts(job, range(job.listing.num_chunks)))
        if failed:
            raise RuntimeError(f"{failed} images have no scores")
        return time.perf_counter() - began_s


def ray_rate(request: JobRequest, actors: int) -> tuple[float, float]:
    """Returns the images per second when all actors work, and the seconds until then: two parts of each are stored."""
    from app.cluster.data import Pool, store_on_ray

    job = begin(request)
    chunks = list(range(job.listing.num_chunks))
    began_s = time.perf_counter()
    times_s, counts = [], []
    for found in store_on_ray(request, job, chunks, load, Pool(actors=actors, cpus=1)):
        if isinstance(found, Report):
            times_s.append(time.perf_counter())
            counts.append(found.num_images)
    first = 2 * actors
    return sum(counts[first:]) / (times_s[-1] - times_s[first - 1]), times_s[first - 1] - began_s


def load(settings: Settings, on_stage: Any) -> Encoder:
    """Returns the encoder, warmed up: the local one has computed before, too."""
    encoder = load_encoder(settings, on_stage)
    encoder.warm_up()
    return encoder


def throughput(count: int, rounds: int, folder: Path) -> dict[str, Any]:
    """Returns the images per second of the bare tower plus decoding, of the local runner, and of Ray."""
    settings = Settings()
    images = write_images(folder / "images", count)
    files = sorted(path for path in images.rglob("*") if path.is_file())
    encoder = load(settings, lambda stage: None)
    rows = []
    for number in range(rounds):
        decode_s, tower_s = bare_seconds(encoder, settings, files)
        local_s = local_seconds(job_request(images, folder / f"local{number}", settings, IMAGES_PER_PART), encoder)
        rate, start_s = ray_rate(job_request(images, folder / f"ray{number}", settings, IMAGES_PER_PART), actors=2)
        rows.append(
            {
                "decode_per_s": count / decode_s,
                "tower_per_s": count / tower_s,
                "bare_per_s": count / (decode_s + tower_s),
                "local_per_s": count / local_s,
                "ray_per_s": rate,
                "ray_start_s": start_s,
            }
        )
        print(rows[-1], flush=True)
    medians = {name: round(statistics.median(row[name] for row in rows), 1) for name in rows[0]}
    local_per_bare = [row["local_per_s"] / row["bare_per_s"] for row in rows]
    ray_per_local = [row["ray_per_s"] / row["local_per_s"] for row in rows]
    return {
        "images": count,
        "model": "SigLIPTinyP16 pictograms_64",
        "engine": encoder.info.engine,
        **medians,
        "local_per_bare": [round(ratio, 3) for ratio in sorted(local_per_bare)],
        "ray_per_local": [round(ratio, 3) for ratio in sorted(ray_per_local)],
    }


@contextmanager
def measured() -> Iterator[dict[str, float]]:
    """Yields what gets the seconds of a block."""
    found: dict[str, float] = {}
    began_s = time.perf_counter()
    yield found
    found["s"] = round(time.perf_counter() - began_s, 1)


def resuming(count: int, folder: Path) -> dict[str, Any]:
    """Returns the cost of beginning a job, and of runs with everything done and with a part missing."""
    with measured() as writing:
        images = write_images(folder / "images", count)
    request = job_request(images, folder / "out", Settings(), 1_000)
    with measured() as listing:
        job = begin(request)
    small = local_part(folder)
    for chunk in range(job.listing.num_chunks):
        job.folder.write(part_name(chunk), small)
    finished = run(images, folder / "out")
    (folder / "out" / part_name(job.listing.num_chunks // 2)).unlink()
    missing = run(images, folder / "out")
    return {
        "images": count,
        "write_images_s": writing["s"],
        "first_listing_s": listing["s"],
        "all_done": finished,
        "one_part_missing": missing,
    }


def local_part(folder: Path) -> bytes:
    """Returns a part with a thousand rows. Resuming reads the names of parts, not their content."""
    images = write_images(folder / "some", FILES_PER_FOLDER)
    settings = Settings()
    local_seconds(
        job_request(images, folder / "some_out", settings, FILES_PER_FOLDER), load(settings, lambda stage: None)
    )
    return (folder / "some_out" / part_name(0)).read_bytes()


def run(images: Path, out: Path) -> dict[str, float]:
    """Returns the seconds of a run of the command, and the largest memory of its process in bytes."""
    code = """if True:
        import sys
        from pathlib import Path
        from app.cli.command_line import main
        status = main(sys.argv[1:])
        (peak,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
        print(peak.split()[1])
        sys.exit(status)
    """
    arguments = [sys.executable, "-c", code, "batch", str(images), "--out", str(out), "--labels", *LABELS]
    began_s = time.perf_counter()
    done = subprocess.run(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    seconds = time.perf_counter() - began_s
    return {"s": round(seconds, 1), "peak_bytes": int(done.stdout.split()[-1]) * 1024}


def main() -> None:
    """Measures, and writes the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=6_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--done", type=int, default=1_000_000)
    parser.add_argument("--output", type=Path, default=RESULTS / "batch.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="batch") as folder:
        results: dict[str, Any] = {"machine": machine()}
        results["throughput"] = throughput(options.images, options.rounds, Path(folder) / "throughput")
        results["resuming"] = [
            resuming(count, Path(folder) / str(count)) for count in (options.done // 100, options.done)
        ]
    print(json.dumps(results, indent=1))
    options.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
